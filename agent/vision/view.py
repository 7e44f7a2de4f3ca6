"""How good is this look at an object? Large, sharp, whole and sure, in one number to compare by.

Of the frame only what a thumbnail can show is kept: with ten in view, ten whole frames would be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from agent.vision.frame import Frame, Image
from agent.vision.thumbnail import in_crop, surroundings
from shared.geometry import Box

_LOOK_PX = 128  # longest side of the crop judged, so that near and far objects compare
_HALF_SHARP = 150.0  # variance of the Laplacian of a middling street picture; half of full marks
_EDGE = 0.005  # this near to the frame's edge a box was cut by it
_CUT = 0.5  # what is left of the score for each edge that cuts the object


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One look at an object: with its surroundings, where in them and in the whole frame, when, how good."""

    image: Image
    box: Box  # in `image`
    place: Box  # in the frame
    captured_at: datetime
    monotonic_s: float
    score: float


def better_view(frame: Frame, box: Box, confidence: float, than: View | None) -> View | None:
    """Return this frame's view of the object if it beats `than`, else None.

    Sharpness, the one thing that costs time, is measured only when the rest could win.
    """
    at_most = math.sqrt(box.area) * _whole(box) * confidence
    least = than.score if than else -1.0
    if at_most <= least:
        return None
    score = at_most * sharpness(frame.image, box)
    if score <= least:
        return None
    crop = surroundings(box, *frame.size)
    left, top, right, bottom = crop
    shown = frame.image[top:bottom, left:right].copy()  # a slice would hold all of the frame
    within = in_crop(box, crop, *frame.size)
    return View(shown, within, box, frame.captured_at, frame.monotonic_s, score)


def sharpness(image: Image, box: Box) -> float:
    """0 (a smear) to 1: variance of the Laplacian (Pech-Pacheco 2000) on the object, at one size."""
    height, width = image.shape[:2]
    top, left = min(int(box.y * height), height - 1), min(int(box.x * width), width - 1)
    crop = image[top : max(top + 1, int(box.bottom * height)), left : max(left + 1, int(box.right * width))]
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    shrink = _LOOK_PX / max(grey.shape)
    if shrink < 1:
        size = max(1, round(grey.shape[1] * shrink)), max(1, round(grey.shape[0] * shrink))
        grey = cv2.resize(grey, size)
    variance = float(np.var(cv2.Laplacian(grey, cv2.CV_32F)))
    return variance / (variance + _HALF_SHARP)


def _whole(box: Box) -> float:
    cuts = (box.x < _EDGE, box.y < _EDGE, box.right > 1 - _EDGE, box.bottom > 1 - _EDGE)
    return float(_CUT ** sum(cuts))
