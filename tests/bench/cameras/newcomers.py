"""Who comes alone into a still scene? One object at a time, cut out of footage in which many pass.

The scene is the median of the footage, so it is empty; over it the rectangle around one tracked object is
shown as filmed, feathered at the rim. The object is there from one second before the tracker knew it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import cv2
import numpy as np
from uuid6 import uuid7

from agent.vision.detect import Detector
from agent.vision.frame import Frame, Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading
from tests.bench.cameras.as_camera import FPS, SIZE, footage
from tests.fakes import NOON

_BEFORE = FPS  # pictures before the tracker knew it
_LONG_ENOUGH = FPS
_SHOWN = 6 * FPS
_RIM = 0.15  # of the frame: it comes in over an edge, not out of nothing
_MARGIN = 0.35  # of the box, on every side: shadow and stride


@dataclass(frozen=True)
class Newcomer:
    """One object: the pictures in which it is alone, and what it is."""

    kind: str
    from_s: float
    scene: Image
    pictures: tuple[Image, ...]

    def entering(self, still_s: float, after_s: float = 4.0) -> Iterator[Image]:
        """Nobody for so long, then it comes and goes, then nobody."""
        still, gone = repeat(self.scene, round(still_s * FPS)), repeat(self.scene, round(after_s * FPS))
        return chain(still, self.pictures, gone)


def newcomers(video: Path, detector: Detector, seconds: float) -> list[Newcomer]:
    """Every vehicle, and every person who comes in over an edge, followed for a second or more."""
    pictures = list(footage(video, 0.0, seconds))
    scene = np.median(np.stack(pictures[:: max(len(pictures) // 80, 1)]), axis=0).astype(np.uint8)
    found = []
    for kind, first, boxes in _tracks(pictures, detector):
        cut = [
            _alone(scene, pictures[number], box)
            for number, box in _with_lead(first, boxes)
            if 0 <= number < len(pictures)
        ]
        found.append(Newcomer(kind, first / FPS, scene, tuple(cut)))
    return found


def _tracks(pictures: list[Image], detector: Detector) -> list[tuple[str, int, list[Box]]]:
    eye = Pipeline("bench", "bench", detector, Tuning(), uuid7)
    seen: dict[int, dict[int, Box]] = {}
    kinds: dict[int, str] = {}
    for number, picture in enumerate(pictures):
        moment_s = 1000 + number / FPS
        reading = ClockReading(boot_id="bench", monotonic_s=moment_s, quality=ClockQuality.SYNCED)
        eye.step(Frame("bench", picture, NOON, moment_s), reading)
        for track, _ in eye.live:
            seen.setdefault(track.number, {})[number] = track.box
            kinds[track.number] = track.kind.value
    chosen = []
    for track_number, boxes in seen.items():
        first, last = min(boxes), max(boxes)
        shown = range(first, min(last + 1, first + _SHOWN))
        whole = [boxes[max(at for at in boxes if at <= number)] for number in shown]
        if (
            first > _BEFORE
            and len(whole) >= _LONG_ENOUGH
            and (kinds[track_number] != "person" or _is_at_rim(whole[0]))
        ):
            chosen.append((kinds[track_number], first, whole))
    return chosen


def _is_at_rim(box: Box) -> bool:
    return min(box.x, box.y, 1 - box.x - box.w, 1 - box.y - box.h) < _RIM


def _with_lead(first: int, boxes: list[Box]) -> Iterator[tuple[int, Box]]:
    """Go on backwards as it came; a fast one is outside soon."""
    start, later = boxes[0], boxes[min(FPS // 2, len(boxes) - 1)]
    steps = max(min(FPS // 2, len(boxes) - 1), 1)
    step_x, step_y = (later.x - start.x) / steps, (later.y - start.y) / steps
    for back in range(min(_BEFORE, first), 0, -1):
        x, y = start.x - back * step_x, start.y - back * step_y
        left, top = min(max(x, 0.0), 0.99), min(max(y, 0.0), 0.99)
        width, height = min(x + start.w, 1.0) - left, min(y + start.h, 1.0) - top
        if width > 0.005 and height > 0.005:  # some pixels of it are inside
            yield first - back, Box(left, top, width, height)
    for number, box in enumerate(boxes):
        yield first + number, box


def _alone(scene: Image, picture: Image, box: Box) -> Image:
    mask = np.zeros((SIZE[1], SIZE[0]), np.float32)
    corner = (box.x - _MARGIN * box.w, box.y - _MARGIN * box.h)
    far = (box.x + (1 + _MARGIN) * box.w, box.y + (1 + _MARGIN) * box.h)
    (left, top), (right, bottom) = ((round(x * SIZE[0]), round(y * SIZE[1])) for x, y in (corner, far))
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
    mask = cv2.GaussianBlur(mask, (0, 0), 3)[:, :, None]
    return np.asarray(scene * (1 - mask) + picture * mask, np.uint8)
