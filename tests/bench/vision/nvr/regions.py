"""Where the NVR looks: square regions around clusters of boxes; and what is left of what it finds there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from agent.vision.detect import Detector
from agent.vision.frame import Image
from shared.messages import Kind

Pixels = tuple[float, float, float, float]  # left, top, right, bottom, in the frame

OBJECTS: Final = 1.35  # times the longer side of a cluster of known objects
MOTION: Final = 2.0  # of a cluster of motion
_LEAST_SHARE: Final = 0.05  # of a region's area: smaller, and an object is not put into it
_SHARE: Final = 0.1  # of a region's area: as large as a region around one box may get
_CUT: Final = 5  # pixels: a box that near to its region's edge was cut by it
_CUT_SCORE: Final = 0.6  # and is not believed more than that
_ALIKE: Final = {Kind.CAR: 0.6}  # overlap over which two boxes are one object; 0.4 for other kinds
_WITHIN: Final = {Kind.CAR: 0.8}  # part of the smaller box within the larger; 0.9 for other kinds


@dataclass(frozen=True, slots=True)
class Found:
    """One object in one frame."""

    kind: Kind
    score: float
    box: Pixels
    is_cut: bool = False


def area(box: Pixels) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def common(one: Pixels, other: Pixels) -> float:
    """Area of what both cover."""
    return area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def overlap(one: Pixels, other: Pixels) -> float:
    both = common(one, other)
    return both / max(area(one) + area(other) - both, 1e-6)


def touch(one: Pixels, other: Pixels) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def inside(box: Pixels, of: Pixels) -> bool:
    return of[0] <= box[0] and of[1] <= box[1] and box[2] <= of[2] and box[3] <= of[3]


def square(cluster: Sequence[Pixels], size: tuple[int, int], least: int, factor: float) -> Pixels:
    """The region of a cluster: its longer side times the factor, moved into the frame as far as it fits."""
    left, top = min(box[0] for box in cluster), min(box[1] for box in cluster)
    right, bottom = max(box[2] for box in cluster), max(box[3] for box in cluster)
    side = max(int(max(right - left, bottom - top) * factor) // 4 * 4, least)
    x, y = (
        min(max(0, int((low + high - side) / 2)), max(0, whole - side))
        for low, high, whole in ((left, right, size[0]), (top, bottom, size[1]))
    )
    return x, y, x + side, y + side


def clusters(boxes: Sequence[Pixels], size: tuple[int, int], least: int) -> Iterator[list[Pixels]]:
    """Boxes that one region shows well together."""
    left = list(boxes)
    while left:
        cluster, others = [left[0]], []
        within = _boundary(left[0], least)
        for box in left[1:]:
            joined = [*cluster, box]
            region = square(joined, size, least, OBJECTS)
            too_wide = region[2] - region[0] > least and any(
                area(one) < _LEAST_SHARE * area(region) for one in joined
            )
            if inside(box, within) and not too_wide:
                cluster.append(box)
            else:
                others.append(box)
        yield cluster
        left = others


def _boundary(box: Pixels, least: int) -> Pixels:
    """How far the others of a cluster may be: a region in which this box fills a tenth."""
    side = max(least, int(math.sqrt(area(box) / _SHARE)))
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    wide, high = side - (box[2] - box[0]) * 0.55, side - (box[3] - box[1]) * 0.55
    return x - wide, y - high, x + wide, y + high


def look(detector: Detector, image: Image, region: Pixels, least_score: float) -> list[Found]:
    """One inference: a square of the frame, black where it reaches beyond."""
    x, y, right, bottom = (round(side) for side in region)
    height, width = image.shape[:2]
    part = image[y:bottom, x:right]
    if part.shape[:2] != (bottom - y, right - x):
        picture = np.zeros((bottom - y, right - x, 3), np.uint8)
        picture[: part.shape[0], : part.shape[1]] = part
        part = picture
    found = []
    for one in detector.detect(part):
        if one.confidence < least_score:
            continue
        low_x, low_y = x + one.box.x * (right - x), y + one.box.y * (bottom - y)
        high_x, high_y = x + one.box.right * (right - x), y + one.box.bottom * (bottom - y)
        is_cut = (
            (low_x - x < _CUT < x)
            or (low_y - y < _CUT < y)
            or (right - high_x < _CUT and right < width)
            or (bottom - high_y < _CUT and bottom < height)
        )
        box = (max(low_x, 0.0), max(low_y, 0.0), min(high_x, width), min(high_y, height))
        if area(box) > 0:
            found.append(Found(one.kind, one.confidence, box, is_cut))
    return found


def one_per_object(found: Sequence[Found]) -> list[Found]:
    """Of boxes of one kind that overlap the best, whole ones first; then none that lies within another."""
    kept: list[Found] = []
    for kind in {one.kind for one in found}:
        group = [one for one in found if one.kind is kind]
        boxes = [(b[0], b[1], b[2] - b[0], b[3] - b[1]) for b in (one.box for one in group)]
        scores = [min(one.score, _CUT_SCORE) if one.is_cut else one.score for one in group]
        best = cv2.dnn.NMSBoxes(boxes, scores, 0.0, _ALIKE.get(kind, 0.4))
        chosen = sorted((group[index] for index in best), key=lambda one: area(one.box))
        kept += [one for n, one in enumerate(chosen) if not _is_within_any(one, chosen[n + 1 :])]
    return kept


def _is_within_any(one: Found, larger: Sequence[Found]) -> bool:
    """In nearly all of itself; a box twenty times as large is around something else."""
    limit = _WITHIN.get(one.kind, 0.9) * area(one.box)
    return any(
        area(one.box) >= _LEAST_SHARE * area(other.box) and common(one.box, other.box) > limit
        for other in larger
    )
