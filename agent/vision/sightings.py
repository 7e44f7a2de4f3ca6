"""Where is something seen again and again, though too doubtful to be followed for long?

A car behind leaves or deep in the row is found in one look of five. No track of it lasts, so nothing of
it is remembered; yet it stands there, and a box that leaps to it has not moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.vision.detect import Detection
from agent.vision.track import FAMILY
from shared.geometry import Box


@dataclass(frozen=True, slots=True)
class SightingTuning:
    """Numbers of the sightings."""

    lasting_looks: int = 4  # one who passes is found twice at most before he is known to go
    lasting_s: float = 1.0  # and a box that leaps comes back within a second
    same_place: float = 0.5  # overlap; as in StillTuning
    kept_s: float = 600.0  # unseen: a doubtful thing has its good minutes
    most: int = 48  # per camera; the longest unseen goes first


@dataclass(slots=True)
class _Sighting:
    """Detections at one place, whoever they belong to."""

    family: str
    box: Box
    first_s: float
    seen_s: float
    looks: int = 1


class Sightings:
    """One per camera."""

    def __init__(self, tuning: SightingTuning | None = None) -> None:
        self._tuning = tuning or SightingTuning()
        self._all: list[_Sighting] = []

    def add(self, detections: Sequence[Detection], passing: Iterable[Box], at_s: float) -> None:
        """Take in one look. `passing`: found boxes of those who go somewhere; they stand nowhere."""
        tuning, going = self._tuning, set(passing)
        for found in detections:
            if found.box in going:
                continue
            family = FAMILY[found.kind]
            for one in self._all:
                if one.family == family and one.box.overlap(found.box) >= tuning.same_place:
                    one.looks, one.seen_s = one.looks + 1, at_s
                    break
            else:
                self._all.append(_Sighting(family, found.box, at_s, at_s))
        self._all = [one for one in self._all if at_s - one.seen_s <= tuning.kept_s]
        self._all.sort(key=lambda one: -one.seen_s)
        del self._all[tuning.most :]

    def near(self, family: str, box: Box) -> float:
        """How far does a box of this family overlap with where one was seen again and again?"""
        tuning = self._tuning
        lasting = (
            one.box
            for one in self._all
            if one.family == family
            and one.looks >= tuning.lasting_looks
            and one.seen_s - one.first_s >= tuning.lasting_s
        )
        return max((place.overlap(box) for place in lasting), default=0.0)
