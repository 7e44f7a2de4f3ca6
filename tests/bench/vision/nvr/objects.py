"""The NVR's objects: which boxes are one, who stands still, and which are told."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

import numpy as np

from agent.vision.frame import Frame
from agent.vision.kalman import Axis, corrected, predicted
from shared.messages import Kind
from tests.bench.vision.nvr.published import Published
from tests.bench.vision.nvr.regions import Found, Pixels, overlap

# Of its filter, in pixels and frames: variances of a new place, a new speed, a measurement, a change of speed
_PLACE, _SPEED, _MEASURED, _CHANGE = 10.0, 1.0, 3.4, 0.1
_POSITIONS: Final = 10  # boxes of which the place is made where an object stands


@dataclass(slots=True)
class Tracked:
    """One object. Made, moved on and changed by `Objects` alone."""

    kind: Kind
    axes: list[Axis]  # of the four sides
    box: Pixels
    score: float
    seen_s: float
    hits: int = 1  # two for every hit, less one for every frame
    missed: int = 0
    is_born: bool = False
    is_told: bool = False
    started_at: datetime | None = None  # all from here on once it is born
    born_s: float = 0.0
    scores: deque[float] = field(default_factory=deque)
    told_score: float = 0.0
    places: list[Pixels] = field(default_factory=list)  # while it stands
    stood: int = 0  # frames
    feet: list[tuple[float, float, float]] = field(default_factory=list)  # seconds, x and y in pixels

    @property
    def expected(self) -> Pixels:
        left, top, right, bottom = (axis.position for axis in self.axes)
        return left, top, max(right, left + 1), max(bottom, top + 1)


def distance(box: Pixels, expected: Pixels) -> float:
    """How far the foot is off, in the object's own widths and heights, with how much these changed."""
    width, height = expected[2] - expected[0], expected[3] - expected[1]
    wide, high = max(box[2] - box[0], 1.0), max(box[3] - box[1], 1.0)
    return math.hypot(
        ((box[0] + box[2]) - (expected[0] + expected[2])) / 2 / width,
        (box[3] - expected[3]) / height,
        max(width, wide) / min(width, wide) - 1,
        max(height, high) / min(height, high) - 1,
    )


class Objects:
    """One per camera."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self.live: list[Tracked] = []

    def update(self, found: Sequence[Found], frame: Frame) -> list[Tracked]:
        """Take in a frame's boxes; return the objects that are over."""
        over = [one for one in self.live if one.hits < 0]
        self.live = [one for one in self.live if one.hits >= 0]
        for one in self.live:
            one.hits -= 1
            one.missed += 1
            one.axes = [predicted(axis, 1.0, math.sqrt(_CHANGE)) for axis in one.axes]
        left = self._hit([one for one in self.live if one.is_born], found, frame)
        left = self._hit([one for one in self.live if not one.is_born], left, frame)
        for one in self.live:
            if one.is_born:
                self._judge(one)
        for new in left:
            axes = [Axis(side, 0.0, _PLACE, 0.0, _SPEED) for side in new.box]
            self.live.append(Tracked(new.kind, axes, new.box, new.score, frame.monotonic_s))
        return over

    def finish(self) -> list[Tracked]:
        over, self.live = self.live, []
        return over

    def _hit(self, objects: Sequence[Tracked], found: Sequence[Found], frame: Frame) -> list[Found]:
        """The nearest pairs first; return what belongs to nobody."""
        near = [
            (far, index, number)
            for index, one in enumerate(objects)
            for number, new in enumerate(found)
            if new.kind is one.kind and (far := distance(new.box, one.expected)) < self._published.distance
        ]
        taken_objects: set[int] = set()
        taken: set[int] = set()
        for _, index, number in sorted(near):
            if index not in taken_objects and number not in taken:
                taken_objects.add(index)
                taken.add(number)
                self._see(objects[index], found[number], frame)
        return [new for number, new in enumerate(found) if number not in taken]

    def _see(self, one: Tracked, new: Found, frame: Frame) -> None:
        published = self._published
        one.axes = [
            corrected(axis, side, math.sqrt(_MEASURED)) for axis, side in zip(one.axes, new.box, strict=True)
        ]
        one.box, one.score, one.seen_s, one.missed = new.box, new.score, frame.monotonic_s, 0
        if one.hits < published.disappears:
            one.hits += 2
        if not one.is_born and one.hits > published.born:
            one.is_born, one.started_at, one.born_s = True, frame.captured_at, frame.monotonic_s
            one.scores = deque(maxlen=published.scores)
        if one.is_born:
            self._stand_or_move(one)
            one.feet.append((frame.monotonic_s - one.born_s, (new.box[0] + new.box[2]) / 2, new.box[3]))

    def _stand_or_move(self, one: Tracked) -> None:
        sides = np.array(one.places or [one.box])
        low, high = np.percentile(sides, 15, axis=0), np.percentile(sides, 85, axis=0)
        place = (float(low[0]), float(low[1]), float(high[2]), float(high[3]))
        if not one.places or overlap(place, one.box) < self._published.position:
            one.places, one.stood = [one.box], 0
            return
        one.stood += 1
        if len(one.places) < _POSITIONS:
            one.places.append(one.box)

    def _judge(self, one: Tracked) -> None:
        """Once told, always told; a frame without it counts as a score of nothing."""
        one.scores.append(0.0 if one.missed else one.score)
        one.told_score = max(one.told_score, median(one.scores))
        one.is_told = one.is_told or one.told_score >= self._published.threshold
