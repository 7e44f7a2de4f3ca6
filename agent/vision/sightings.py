"""Where is something seen again and again, though too doubtful to be followed for long?

A car behind leaves or deep in the row is found in one look of five. No track of it lasts, so nothing of
it is remembered; yet it stands there, and a box that leaps to it has not moved. Those who pass on one
path are seen again and again there too: what was noted of somebody is taken back once he is known to go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.vision.detect import Detection
from agent.vision.track import FAMILY
from shared.geometry import Box

_NOBODY = 0  # trackers count from 1
_MOST_OWNERS = 8


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
    looks: dict[int, int] = field(default_factory=dict)  # by the track they were of; newest last

    def add(self, owner: int, at_s: float) -> None:
        self.looks[owner] = self.looks.pop(owner, 0) + 1
        self.seen_s = at_s
        while len(self.looks) > _MOST_OWNERS:  # long gone, and never known to go
            oldest = next(number for number in self.looks if number != _NOBODY)
            self.looks[_NOBODY] = self.looks.get(_NOBODY, 0) + self.looks.pop(oldest)


class Sightings:
    """One per camera."""

    def __init__(self, tuning: SightingTuning | None = None) -> None:
        self._tuning = tuning or SightingTuning()
        self._all: list[_Sighting] = []

    def add(
        self, detections: Sequence[Detection], owners: Mapping[Box, int], going: Collection[int], at_s: float
    ) -> None:
        """Take in one look. `owners`: whose track a found box is; `going`: tracks known to go somewhere."""
        tuning = self._tuning
        for found in detections:
            owner, family = owners.get(found.box, _NOBODY), FAMILY[found.kind]
            if owner in going:
                continue
            for one in self._all:
                if one.family == family and one.box.overlap(found.box) >= tuning.same_place:
                    one.add(owner, at_s)
                    break
            else:
                self._all.append(_Sighting(family, found.box, at_s, at_s, {owner: 1}))
        self.take_back(going)
        self._all = [one for one in self._all if one.looks and at_s - one.seen_s <= tuning.kept_s]
        self._all.sort(key=lambda one: -one.seen_s)
        del self._all[tuning.most :]

    def take_back(self, tracks: Collection[int]) -> None:
        """They went somewhere: what was noted of them says nothing of what stands."""
        for one in self._all:
            for number in tracks:
                one.looks.pop(number, None)

    def near(self, family: str, box: Box) -> float:
        """How far does a box of this family overlap with where one was seen again and again?"""
        tuning = self._tuning
        lasting = (
            one.box
            for one in self._all
            if one.family == family
            and sum(one.looks.values()) >= tuning.lasting_looks
            and one.seen_s - one.first_s >= tuning.lasting_s
        )
        return max((place.overlap(box) for place in lasting), default=0.0)
