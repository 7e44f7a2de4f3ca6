"""Did anything move, and where? What fits neither the slow picture of the scene nor that of just now.

A frame is made small and grey and compared with two running averages. The slow one (the scene) shows
who is there; the quick one (just now) shows who moves, so that the ghost left in the scene by somebody
who stood there, or a car that has parked, keeps nothing open. A standing object is the tracker's to
remember, not the gate's.

Light is not motion: before comparing, the scene is shown in today's light, first as a whole (`_light`:
one gain and one offset, found with medians so that the walker himself does not count), then place by
place (`_in_light_of`), for clouds and headlights. Rain is not motion: while it rains a pixel shows
the darker of two looks (`_without_rain`), and a drop is in one of them only. What is left is counted in
cells: a few neighbouring ones that changed are motion. What is smaller than that may be somebody far
away: on his own scale (`_far`), where no light has an edge and noise averages out, he stands out also at
night and under clouds, and `agent.vision.specks` follows him to see whether he goes anywhere.

When most of the picture no longer fits, nothing moved either. Did it come slowly, then it is light that
lies otherwise on every place, and the scene is shown in it from now on. Did it come at once (infra-red
switch-over, somebody turned the camera), then the scene is learned anew, and until a far walker can be
told from it again the gate says that it is blind: `agent.vision.pipeline` then goes on patrol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.frame import Frame, Image
from agent.vision.specks import Specks
from shared.geometry import Box

_WIDTH, _HEIGHT = 320, 180  # a person of 8 % of the height is still 14 pixels tall
_CELL = 10  # pixels: 32 x 18 cells; a clock's digit changes one or two, a person three or more
_COLUMNS, _ROWS = _WIDTH // _CELL, _HEIGHT // _CELL
_FEW = _WIDTH // 2, _HEIGHT // 2  # a walker of 6 % of the height is still two pixels wide and five tall
_LOCAL = 21  # of those: a light is broader than that, whoever is narrower keeps all of his contrast
_NEARBY = 11  # of those: a far walker fills a twelfth of it; the edge of a cloud's shadow is wider
_SAMPLE = 8  # every eighth pixel each way, 920 in all, is enough for a median
_A_QUARTER = 60  # of 255: part of a coarse pixel that must have changed for a drop to count
_WHOLE = Box(0.0, 0.0, 1.0, 1.0)

_Grey = NDArray[np.uint8]
_Average = NDArray[np.float32]
_Cells = NDArray[np.bool_]

_NOTHING: _Grey = np.zeros(_FEW[::-1], np.uint8)


@dataclass(frozen=True, slots=True)
class Motion:
    """`moved`: look at this frame. `regions`: where, in fractions; empty during the hold.

    `blind`: somebody far away would not be noticed now.
    """

    moved: bool
    regions: tuple[Box, ...] = ()
    blind: bool = False


@dataclass(frozen=True, slots=True)
class MotionTuning:
    """Numbers of the gate."""

    follow_s: float = 10.0  # a cloud takes longer than a walker stays on one pixel
    just_now_s: float = 0.7  # a far walker goes his own width in that time
    hold_s: float = 1.0  # people pause between steps; measured to keep 95 % of the useful looks
    gap_s: float = 5.0  # no frame for so long: the stream was away, the scene may be another
    difference: float = 18.0  # grey levels; codec noise stays under 10 after the blur
    faint: float = 6.0  # the same on a far walker's scale; 5 to 8 see the same, 10 loses him at dusk
    noise_factor: float = 6.0  # times the picture's own noise, for grainy nights
    cell_share: float = 0.15  # of a cell's pixels; a far walker fills a sixth of his cells
    min_cells: int = 3  # a clock in the picture changes two cells a second
    another_scene: float = 12.0  # median grey levels; noise gives 4 on a bad night, a walker none
    at_once: float = 6.0  # the same against just now; a cloud's edge gives 2, a switch-over 13 and more
    settle_s: float = 2.0  # cameras hunt for exposure that long after switching to infra-red
    blind_s: float = 1.5  # after that: two looks to see a speck, five to see it go somewhere
    drops: int = 8  # more things than that which brightened between two looks are rain
    many_drops: int = 40  # so many that they fall twice on one place; a bright runner may be lost in it
    rain_s: float = 10.0  # rain does not stop between two drops
    max_regions: int = 4  # bounds what a later stage may do per frame


class MotionGate:
    """One per camera. Remembers the empty scene; `reset` when the stream was away."""

    def __init__(self, tuning: MotionTuning | None = None) -> None:
        self._tuning = tuning or MotionTuning()
        self._scene: _Average | None = None
        self._just_now: _Average = np.zeros((_HEIGHT, _WIDTH), np.float32)
        self._size = (0, 0)
        self._seen_s = 0.0
        self._open_until_s = 0.0
        self._settle_until_s = 0.0
        self._specks = Specks()
        self._before = _NOTHING  # what the last look found changed on a far walker's scale
        self._recent: tuple[_Grey, ...] = ()  # the two looks before this one
        self._learned_s = 0.0
        self._raining_until_s = self._pouring_until_s = 0.0

    def reset(self) -> None:
        """Forget the scene: the next frame is a first frame."""
        self._scene = None

    def look(self, frame: Frame) -> Motion:
        """Compare with the scene and learn from it.

        A first frame opens the gate for the hold: whoever stands there already must be seen.
        """
        now, grey = frame.monotonic_s, _small_grey(frame.image)
        elapsed_s, self._seen_s = now - self._seen_s, now
        if self._scene is None or frame.size != self._size or not 0 <= elapsed_s <= self._tuning.gap_s:
            self._scene, self._size = self._learned_anew(grey), frame.size
            self._open_until_s, self._settle_until_s = now + self._tuning.hold_s, 0.0
            return Motion(moved=True, regions=(_WHOLE,))
        if now < self._settle_until_s:
            self._scene = self._learned_anew(grey)
            return Motion(moved=now <= self._open_until_s, blind=True)
        grey = self._without_rain(grey, now)
        gain, offset = _light(self._scene, grey)
        self._scene, self._just_now = self._scene * gain + offset, self._just_now * gain + offset
        if _off(grey, self._scene) > self._tuning.another_scene:
            if _off(grey, self._just_now) > self._tuning.at_once:
                self._scene, self._settle_until_s = self._learned_anew(grey), now + self._tuning.settle_s
                return Motion(moved=now <= self._open_until_s, blind=True)
            self._scene = _in_light_of(self._scene, _few(self._scene), _few(grey), _LOCAL)
        regions = self._compare(grey, self._scene, now)
        if regions:
            self._open_until_s = now + self._tuning.hold_s
        cv2.accumulateWeighted(grey, self._scene, 1 - math.exp(-elapsed_s / self._tuning.follow_s))
        cv2.accumulateWeighted(grey, self._just_now, 1 - math.exp(-elapsed_s / self._tuning.just_now_s))
        blind = now < self._settle_until_s + self._tuning.blind_s
        return Motion(moved=now <= self._open_until_s, regions=regions, blind=blind)

    def _compare(self, grey: _Grey, scene: _Average, now: float) -> tuple[Box, ...]:
        tuning = self._tuning
        unlike_just_now = _unlike(grey, self._just_now)
        noise = _median(_sample(unlike_just_now)) * 1.48  # a normal distribution's deviation
        threshold = max(tuning.difference, tuning.noise_factor * noise)
        few, few_then = _few(grey), _few(scene)
        there = _over(_unlike(grey, _in_light_of(scene, few_then, few, _LOCAL)), threshold)
        moving = _over(unlike_just_now, threshold)
        near = _regions(_cells(there, tuning.cell_share), _cells(moving, tuning.cell_share), tuning)
        return merged([*near, *self._far(few, few_then, now)], tuning.max_regions)

    def _far(self, few: _Average, few_then: _Average, now: float) -> list[Box]:
        """Who is too small for the cells, and goes somewhere?

        On a far walker's own scale: each place against so small a neighbourhood that no light has an edge
        in it, in pixels so large that noise averages out.
        """
        averages = (few_then, _few(self._just_now))
        unlike, unlike_just_now = (cv2.absdiff(few, _in_light_of(one, one, few, _NEARBY)) for one in averages)
        noise = _median(_sample(unlike)) * 1.48
        threshold = max(self._tuning.faint, self._tuning.noise_factor * noise)
        there, moving = _over(unlike, threshold), _over(unlike_just_now, threshold)
        lasting, self._before = np.asarray(cv2.bitwise_and(there, self._before), np.uint8), there
        return self._specks.walking(lasting, moving, now)

    def _without_rain(self, grey: _Grey, now: float) -> _Grey:
        """A drop brightens a pixel for one look only: while it rains, show the darker of two, or three."""
        (earlier, newest), self._recent = self._recent, (self._recent[1], grey)
        brighter = _over(np.asarray(cv2.subtract(grey, newest), np.uint8), self._tuning.difference)
        drops = _blobs(brighter)
        if drops > self._tuning.drops:
            self._raining_until_s = now + self._tuning.rain_s
        if drops > self._tuning.many_drops:
            self._pouring_until_s = now + self._tuning.rain_s
        if now >= self._raining_until_s or self._scene is None:
            return grey
        calm = np.asarray(cv2.min(grey, newest), np.uint8)
        if now < self._pouring_until_s:
            calm = np.asarray(cv2.min(calm, earlier), np.uint8)
        if now - self._learned_s < self._tuning.settle_s:  # drops were taken for a part of the scene
            self._scene = np.asarray(cv2.min(self._scene, calm.astype(np.float32)), np.float32)
        return calm

    def _learned_anew(self, grey: _Grey) -> _Average:
        self._just_now = grey.astype(np.float32)
        self._raining_until_s = self._pouring_until_s = 0.0
        self._before, self._recent, self._learned_s = _NOTHING, (grey, grey), self._seen_s
        self._specks.clear()
        return grey.astype(np.float32)


def _small_grey(image: Image) -> _Grey:
    # Green is three fifths of grey, and cheaper to have. Blur, then pick: a third of the time of
    # cv2.INTER_AREA, and as blind to single noisy pixels.
    step = max(1, image.shape[1] // (2 * _WIDTH))
    green = np.ascontiguousarray(cv2.extractChannel(image, 1)[::step, ::step])
    return np.asarray(cv2.resize(cv2.blur(green, (3, 3)), (_WIDTH, _HEIGHT)), np.uint8)


def _unlike(grey: _Grey, average: _Average) -> _Grey:
    return np.asarray(cv2.absdiff(grey, cv2.convertScaleAbs(average)), np.uint8)


def _off(grey: _Grey, average: _Average) -> float:
    return _median(_sample(_unlike(grey, average)))


def _sample(picture: NDArray[Any]) -> NDArray[Any]:
    return picture[::_SAMPLE, ::_SAMPLE].ravel()


def _median(values: NDArray[Any]) -> float:
    """The upper median; numpy's own takes three times as long."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _few(picture: NDArray[Any]) -> _Average:
    """The same in a quarter of the pixels, each the mean of four."""
    return np.asarray(cv2.resize(picture, _FEW, interpolation=cv2.INTER_AREA), np.float32)


def _in_light_of(average: _Average, few_then: _Average, few: _Average, nearby: int) -> _Average:
    """Show the average in the light that lies on each place's surroundings now.

    A cloud's shadow or a sweeping headlight changes all of a neighbourhood by one factor; whoever comes in
    has edges and an inside of his own. The factor is found in few pixels (`_few`, of then and of now): it
    is the mean over so many of them that more would cost three times as much and say the same.
    """
    window = (nearby, nearby)
    factor = cv2.divide(cv2.blur(few, window) + 4, cv2.blur(few_then, window) + 4)  # black has no factor
    height, width = average.shape
    return np.asarray(cv2.multiply(average, cv2.resize(factor, (width, height))), np.float32)


def _over(difference: NDArray[Any], threshold: float) -> _Grey:
    return np.asarray(cv2.threshold(difference, threshold, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _blobs(changed: _Grey) -> int:
    """How many separate things changed? Counted coarsely: a drop is one thing."""
    few = cv2.resize(changed, (_WIDTH // 4, _HEIGHT // 4), interpolation=cv2.INTER_AREA)
    return int(cv2.connectedComponents((few > _A_QUARTER).astype(np.uint8))[0]) - 1


def _cells(changed: _Grey, share: float) -> _Cells:
    """Which cells have more than a share of their pixels changed?"""
    return np.asarray(cv2.resize(changed, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA) > 255 * share)


def _light(scene: _Average, grey: _Grey) -> tuple[float, float]:
    """Return the gain and the offset that show the scene in the light of `grey`.

    The darker and the brighter half of the scene each tell, by their median change, what the light
    did there; a line through the two is the answer. People may cover up to half of each without
    moving a median.
    """
    then = _sample(scene)
    change = _sample(grey) - then
    dark = then <= _median(then)
    bright = ~dark
    if dark.all():
        return 1.0, _median(change)
    low, high = _median(then[dark]), _median(then[bright])
    low_change, high_change = _median(change[dark]), _median(change[bright])
    slope = (high_change - low_change) / max(high - low, 1.0)
    return 1 + slope, low_change - slope * low


def _regions(there: _Cells, moving: _Cells, tuning: MotionTuning) -> tuple[Box, ...]:
    """Group neighbouring cells, drop specks and ghosts, and merge until few enough are left."""
    if not (there & moving).any():
        return ()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(there.astype(np.uint8), connectivity=8)
    alive = set(labels[moving].tolist())
    boxes = [
        Box.from_corners(x / _COLUMNS, y / _ROWS, (x + w) / _COLUMNS, (y + h) / _ROWS)
        for label, (x, y, w, h, size) in enumerate(stats.tolist()[:count])
        if label in alive - {0} and size >= tuning.min_cells
    ]
    return merged(boxes, tuning.max_regions)


def merged(boxes: list[Box], at_most: int) -> tuple[Box, ...]:
    """Join boxes that overlap, then those whose joining adds least area, until few enough are left."""
    boxes = list(boxes)
    while len(boxes) > 1:
        waste, one, other = min(
            (_union(a, b).area - a.area - b.area, i, j)
            for i, a in enumerate(boxes)
            for j, b in enumerate(boxes[:i])
        )
        if waste >= 0 and len(boxes) <= at_most:
            break
        joined = _union(boxes[one], boxes[other])
        boxes = [box for k, box in enumerate(boxes) if k not in {one, other}] + [joined]
    return tuple(sorted(boxes, key=lambda box: box.area, reverse=True))


def _union(a: Box, b: Box) -> Box:
    return Box.from_corners(min(a.x, b.x), min(a.y, b.y), max(a.right, b.right), max(a.bottom, b.bottom))
