"""Can this camera still see what it was put up to see? Compares the picture with its reference view.

The reference view is taken at installation. A reading is taken every ten seconds or so from a frame we
have anyway, small and grey, and judges one thing after the other, the plainest first:

    nothing but black                                    → dark
    most of what had structure is smooth now             → covered
    the same scene, its fine detail gone                 → blurred
    the scene is elsewhere in the picture, or nowhere    → turned
    the scene is there, and new edges nearly everywhere  → web or rain

Light is not a fault. Edges are found relative to their own surroundings, so that noon, dusk and infra-red
show mostly the same ones; and when the light is of another kind than the reference's (infra-red now,
colour then), only positive evidence counts. Traffic is not a fault either: a cause must stand over
several readings in a row, longer than a bus stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.frame import Image

FINE = ""
DARK, BLURRED, COVERED = "image-dark", "image-blurred", "image-covered"
TURNED, WEB_OR_RAIN = "image-turned", "image-web-or-rain"
CODES = (DARK, BLURRED, COVERED, TURNED, WEB_OR_RAIN)

_WIDTH, _HEIGHT = 320, 180  # an edge of a house is still sharp; phase correlation costs 2 ms
_CELL = 20  # pixels: 16 x 9 cells
_COLUMNS, _ROWS = _WIDTH // _CELL, _HEIGHT // _CELL

_Any = TypeVar("_Any", bound=np.generic)
_Plane = NDArray[np.float32]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HealthTuning:
    """Numbers of the judgement; measured on four streets and what was done to them (tests)."""

    black: float = 24.0  # grey levels of the brightest hundredth; a night without infra-red, lens cap
    structured: float = 2.0  # grey levels of structure a cell of the reference must have to be judged
    min_judged: int = 8  # of 144 cells; with fewer the scene says nothing about cover or sharpness
    flat: float = 0.3  # of the reference's structure: a cell with less has lost it
    day: float = 60.0  # grey levels; under it a smooth dark cell is night, not a hand
    lit: float = 40.0  # grey levels; a smooth cell brighter than this is covered by something lit
    covered_share: float = 0.45  # of the judged cells; a bus close by took 0.18, a hand 0.69
    blurred_sharpness: float = 0.45  # of the reference's; infra-red and rain only raise it
    same_scene: float = 0.38  # correlation of the structure; night gave 0.5, another view 0.1 to 0.35
    drift: float = 0.025  # of the width or height; wind on a mast gave 0.015
    fits: float = 0.3  # of the edges found where the picture went, above chance; noise gives 0.05
    fits_better: float = 1.5  # than where it was; 3 % of drift gave 1.8
    added_share: float = 0.65  # of the cells with room; a crowd gave 0.2, a bus 0.5, rain 0.75, a web 0.9
    added_edges: float = 0.08  # of the room in a cell; noise gives 0.02
    room: float = 0.4  # of a cell's pixels far from the reference's edges, to see new ones in
    readings: dict[str, int] = field(
        default_factory=lambda: {  # in a row, at one per ten seconds
            DARK: 6,  # a minute: a lorry's shadow, a power cut of the lamp
            BLURRED: 12,  # two minutes: cameras focus anew after switching to infra-red
            COVERED: 12,  # two minutes: a bus stands at a stop for half of one
            TURNED: 12,
            WEB_OR_RAIN: 30,  # five minutes: a shower passes, a web stays
            FINE: 3,  # half a minute of a good picture ends a ticket
        }
    )


@dataclass(frozen=True, slots=True)
class Measures:
    """What one look found, against the reference."""

    brightest: float  # grey level of the brightest hundredth
    lost: float  # share of the judged cells that are smooth now
    sharpness: float  # fine detail per structure, 1 = the reference's
    edges: float  # share of the reference's edges found, chance taken out
    drift: tuple[float, float]  # of width and height, where the picture went
    shifted: float  # as `edges`, after moving it back by the drift
    alike: float  # correlation of the structure, -1..1
    added: float  # share of the cells with room that are full of new edges
    same_light: bool  # infra-red as the reference, or colour as the reference


@dataclass(frozen=True, slots=True)
class Reading:
    """One look: the cause it speaks for, and the measures it rests on."""

    cause: str
    measures: Measures


class _Features:
    """A picture as it is compared. `seen`: height x width, False where we blacked it out."""

    def __init__(self, image: Image, masked: _Mask | None) -> None:
        small = np.asarray(cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
        self.is_infrared = _is_colourless(small)
        self.grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        self.seen = _seen(masked)
        soft, softer = _blurred(self.grey, 1.0), _blurred(self.grey, 6.0)
        self.fine = _by_cell(np.abs(self.grey - soft))
        self.band = soft - softer
        self.structure = _by_cell(np.abs(self.band))
        self.brightness = _by_cell(self.grey)
        self.edges = _edges(soft)


class ImageHealth:
    """One per camera and reference view; pure. `cause` is what stands, or empty."""

    def __init__(
        self, reference: Image, masked: _Mask | None = None, tuning: HealthTuning | None = None
    ) -> None:
        """`masked`: which pixels of the reference are black by us (height x width)."""
        self._tuning = tuning or HealthTuning()
        self._reference = _Features(reference, masked)
        self._pending, self._in_a_row = FINE, 0
        self.cause = FINE

    def look(self, image: Image, masked: _Mask | None = None) -> Reading:
        """Judge one picture, and let it count towards `cause`."""
        reading = self.read(image, masked)
        self._in_a_row = self._in_a_row + 1 if reading.cause == self._pending else 1
        self._pending = reading.cause
        if self._in_a_row >= self._tuning.readings[reading.cause]:
            self.cause = reading.cause
        return reading

    def read(self, image: Image, masked: _Mask | None = None) -> Reading:
        """Judge one picture by itself."""
        now, then, tuning = _Features(image, masked), self._reference, self._tuning
        seen = now.seen & then.seen
        whole = _by_cell(seen.astype(np.float32)) > 0.9  # noqa: PLR2004 -- nearly
        judged = whole & (then.structure > tuning.structured)
        drift = _drift(then.edges & seen, now.edges & seen)
        measures = Measures(
            brightest=float(np.percentile(now.grey[seen], 99)) if seen.any() else 255.0,
            lost=_share(self._smooth(now), judged, tuning.min_judged),
            sharpness=_sharpness(then, now, judged) if judged.sum() >= tuning.min_judged else 1.0,
            edges=_found(then.edges, now.edges, seen),
            drift=(drift[0] / _WIDTH, drift[1] / _HEIGHT),
            shifted=_found(then.edges, _moved_back(now.edges, drift), seen & _still_in(drift)),
            alike=self._alike(now, seen, drift),
            added=self._added(now, seen, whole),
            same_light=now.is_infrared == then.is_infrared,
        )
        return Reading(_judged(measures, tuning), measures)

    def _smooth(self, now: _Features) -> _Mask:
        """Which cells have lost their structure to something that is not night?"""
        tuning = self._tuning
        lost = now.structure < tuning.flat * self._reference.structure
        by_day = float(np.median(now.brightness)) > tuning.day
        return np.asarray(lost & ((now.brightness > tuning.lit) | by_day), np.bool_)

    def _alike(self, now: _Features, seen: _Mask, drift: tuple[int, int]) -> float:
        """Correlation of the structure; wind on a mast is forgiven, as far as it is no drift."""
        then, tuning = self._reference, self._tuning
        straight = _correlation(then.band[seen], now.band[seen])
        if max(abs(drift[0]) / _WIDTH, abs(drift[1]) / _HEIGHT) > tuning.drift:
            return straight
        both = seen & _still_in(drift)
        return max(straight, _correlation(then.band[both], _moved_back(now.band, drift)[both]))

    def _added(self, now: _Features, seen: _Mask, whole: _Mask) -> float:
        """Share of the cells with room between the reference's edges whose room is full of edges now."""
        tuning = self._tuning
        free = seen & ~_wider(self._reference.edges, 5)
        room = _by_cell(free.astype(np.float32))
        new = _by_cell((now.edges & free).astype(np.float32))
        return _share(new > tuning.added_edges * room, whole & (room > tuning.room), tuning.min_judged)


def _judged(found: Measures, tuning: HealthTuning) -> str:
    moved = max(abs(part) for part in found.drift) > tuning.drift
    if found.brightest < tuning.black:
        return DARK
    if found.lost > tuning.covered_share:
        return COVERED
    if found.sharpness < tuning.blurred_sharpness and found.alike > tuning.same_scene:
        return BLURRED
    if moved and found.shifted > max(tuning.fits, tuning.fits_better * found.edges):
        return TURNED
    if found.same_light and found.alike < tuning.same_scene:
        return TURNED
    return WEB_OR_RAIN if found.added > tuning.added_share else FINE


def _is_colourless(small: Image) -> bool:
    """True in infra-red: what cameras call night is a grey picture."""
    spread = small.max(axis=2).astype(np.int16) - small.min(axis=2)
    return bool(np.percentile(spread, 90) < 10)  # noqa: PLR2004 -- grey levels; codecs tint grey by 4


def _seen(masked: _Mask | None) -> _Mask:
    if masked is None or not masked.any():
        return np.ones((_HEIGHT, _WIDTH), np.bool_)
    small = cv2.resize(masked.astype(np.uint8) * 255, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return ~_wider(small > 0, 9)  # the mask's own border is an edge that no camera has seen


def _edges(soft: _Plane) -> _Mask:
    """Where does the picture change most, measured by the contrast around?"""
    level = soft - _blurred(soft, 10.0)
    contrast = np.sqrt(_blurred(level * level, 10.0)) + 4.0  # flat walls stay flat
    across, down = (cv2.Sobel(level / contrast, cv2.CV_32F, x, 1 - x) for x in (1, 0))
    return np.asarray(cv2.magnitude(across, down) > 1.6, np.bool_)  # noqa: PLR2004 -- a tenth of a street


def _blurred(plane: _Plane, sigma: float) -> _Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _by_cell(plane: _Plane) -> _Plane:
    return np.asarray(cv2.resize(plane, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float32)


def _wider(mask: _Mask, size: int) -> _Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)), np.bool_)


def _share(found: _Mask, among: _Mask, at_least: int) -> float:
    count = int(among.sum())
    return float((found & among).sum()) / count if count >= at_least else 0.0


def _sharpness(then: _Features, now: _Features, judged: _Mask) -> float:
    """Fine detail against structure, now over then; the median cell, so that a walker does not count."""
    before = then.fine[judged] / then.structure[judged]
    after = now.fine[judged] / np.maximum(now.structure[judged], 0.5)
    return float(np.median(after / np.maximum(before, 1e-3)))


def _correlation(then: _Plane, now: _Plane) -> float:
    if then.size < 2 or then.std() < 0.1 or now.std() < 0.1:  # noqa: PLR2004 -- nothing to compare
        return 0.0
    return float(np.corrcoef(then, now)[0, 1])


def _found(then: _Mask, now: _Mask, seen: _Mask) -> float:
    """Share of the reference's edges that have an edge within a pixel; 0 is what chance gives, 1 is all."""
    wanted, near = then & seen, _wider(now & seen, 3)
    count = int(wanted.sum())
    chance = float(near[seen].mean()) if count else 1.0
    if chance >= 1:
        return 0.0
    return (float((wanted & near).sum()) / count - chance) / (1 - chance)


def _drift(then: _Mask, now: _Mask) -> tuple[int, int]:
    """By how many pixels, right and down, have the edges moved? Phase correlation of the edge maps."""
    before, after = (_blurred(edges.astype(np.float32), 1.5) for edges in (then, now))
    window = cv2.createHanningWindow((_WIDTH, _HEIGHT), cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(before, after, window)
    return round(right), round(down)


def _moved_back(plane: NDArray[_Any], drift: tuple[int, int]) -> NDArray[_Any]:
    return np.roll(plane, (-drift[1], -drift[0]), axis=(0, 1))


def _still_in(drift: tuple[int, int]) -> _Mask:
    """Which pixels of the reference are still in a picture that has moved so far?"""
    right, down = drift
    inside = np.ones((_HEIGHT, _WIDTH), np.bool_)
    inside[: max(-down, 0)] = inside[_HEIGHT - max(down, 0) :] = False
    inside[:, : max(-right, 0)] = inside[:, _WIDTH - max(right, 0) :] = False
    return inside
