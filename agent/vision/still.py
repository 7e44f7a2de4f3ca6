"""What stood where, and is this the same thing still standing there?

A parked car is lost to the tracker again and again: by dusk, by the switch to infra-red, behind a bus,
when the stream or the agent starts anew. Its place is remembered: box, family, since when, last seen;
nothing of its looks. A newcomer first found at rest in a remembered place is the thing that stood
there and goes on under its old number, so that its event goes on and no second one begins. One that
arrives moving is somebody else, wherever it stops. What is found away from its place has left it; what
is not found there for long in good light has left unseen. Both are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from numpy.typing import NDArray

from agent.vision.detect import Detection
from agent.vision.frame import Image
from agent.vision.kalman import Axis
from agent.vision.sightings import Sightings
from agent.vision.track import FAMILY, Track, Tracks, has_left
from agent.vision.way import CLEAR, Way
from shared.geometry import Box
from shared.messages import Kind

_PERSON = FAMILY[Kind.PERSON]


@dataclass(frozen=True, slots=True)
class StillTuning:
    """Numbers of the memory."""

    settled_s: float = 5.0  # no longer a pause between steps; as in TrackTuning
    settled_looks: int = 3  # as many as confirm a track
    vehicle_kept_s: float = 14 * 3600.0  # unseen from dusk to dawn, and a margin
    person_kept_s: float = 600.0  # people do not wait for long where nobody can see them
    same_place: float = 0.5  # overlap; a neighbour in a row of motorbikes has .3 and less
    part_of_place: float = 0.8  # of the smaller box in the larger: half hidden is still there
    part_size: float = 0.3  # and no smaller than this share of the other
    touching: float = 0.15  # overlap; less has left: a box that breathes or takes in a neighbour has more
    left_looks: int = 5  # in a row away from its place: a box that leaps in a headlight comes back
    left_s: float = 0.9  # and for so long
    empty_s: float = 600.0  # seen empty for so long: a model that blinks finds it sooner
    empty_looks: int = 30
    hidden: float = 0.2  # of a place under somebody else's box: it cannot be judged
    most: int = 48  # per camera; a crowded yard has thirty; the longest unseen goes first
    follows: float = 0.02  # how fast a place follows its thing: lenses sag, boxes breathe


@dataclass(frozen=True, slots=True)
class Remembered:
    """One thing at rest, as it is kept on disk."""

    kind: Kind
    confidence: float
    place: Box
    moved: bool
    since: datetime
    seen: datetime
    event_id: UUID | None = None  # of the event told of it, if it still lives
    told_score: float = 0.0  # of the view last sent with that


@dataclass(frozen=True, slots=True)
class Stood:
    """The tracks after the memory was asked. `resting`: out of sight, not gone."""

    live: tuple[Track, ...] = ()
    gone: tuple[Track, ...] = ()
    resting: tuple[Track, ...] = ()


@dataclass(slots=True)
class _Still:
    """One thing that stands, or stood and now moves under the number it had (`free`)."""

    track: Track  # as last found; its number is the one the events know
    place: Box
    seen_s: float
    way: Way  # from its place; begins anew whenever it is found there
    votes: Mapping[Kind, float] = field(default_factory=dict)  # of its earlier tracks
    free: bool = False
    away_looks: int = 0
    away_s: float = 0.0
    empty_looks: int = 0
    empty_s: float = 0.0

    @property
    def is_person(self) -> bool:
        return self.track.family == _PERSON


class StillMemory:
    """One per camera; stands between the tracker and the events."""

    def __init__(self, tuning: StillTuning | None = None) -> None:
        self._tuning = tuning or StillTuning()
        self._found: dict[int, _Still] = {}  # by the tracker's number
        self._vacant: list[_Still] = []  # remembered, and nobody found there now
        self._ways: dict[int, Way] = {}  # of the live tracks that are no still thing
        self._sightings = Sightings()
        self._recalled = 0

    def update(
        self, tracks: Tracks, detections: Sequence[Detection], at_s: float, *, good_light: bool
    ) -> Stood:
        """Take in one look: the tracker's answer, and all it was given."""
        gone, resting = self._lost(tracks.gone)
        live: list[Track] = []
        for track in tracks.live:
            still = self._found.get(track.number)
            if still is None:
                self._go_on(track)
                if (still := self._recognised(track, at_s)) is not None:
                    gone.append(track)  # what was begun under the newcomer's own number
                else:
                    still = self._settled(track, at_s, gone)
            live.append(self._judged(still, track, at_s) if still else self._guarded(track))
        numbers = {track.number for track in tracks.live}
        self._ways = {n: way for n, way in self._ways.items() if n in numbers and n not in self._found}
        found = [track for track in tracks.live if not track.missed]
        owners, going = {track.box: track.number for track in found}, set(filter(self._is_going, numbers))
        self._sightings.add(detections, owners, going, at_s)
        gone += self._forgotten(detections, [track.box for track in found], at_s, good_light=good_light)
        return Stood(tuple(live), tuple(gone), tuple(resting))

    def pause(self, tracks: tuple[Track, ...]) -> Stood:
        """The stream is lost or we stop: what stands will still stand; what moves is gone."""
        gone, resting = self._lost(tracks)
        self._found, self._ways = {}, {}
        return Stood((), tuple(gone), tuple(resting))

    def expired(self, at_s: float) -> tuple[Track, ...]:
        """Forget what nobody has seen for too long; return it."""
        return tuple(self._forget(still) for still in list(self._vacant) if self._is_old(still, at_s))

    def clear(self) -> tuple[Track, ...]:
        """Forget every place out of sight (the camera looks elsewhere); return what stood there."""
        return tuple(self._forget(still) for still in list(self._vacant))

    def resting(self) -> tuple[tuple[Track, Box, float], ...]:
        """All that stand, found now or not: as last found, where, and when that was."""
        return tuple((still.track, still.place, still.seen_s) for still in self._standing())

    def standing(self) -> frozenset[int]:
        """The tracker's numbers of those found at their places in the last look that found them."""
        return frozenset(n for n, still in self._found.items() if not still.free and not still.away_looks)

    def recall(self, thing: Remembered, now: datetime, at_s: float) -> Track:
        """Take up what was kept on disk, under a number no tracker gives."""
        self._recalled += 1
        seen_s = at_s - max(0.0, (now - thing.seen).total_seconds())
        since_s = seen_s - max(0.0, (thing.seen - thing.since).total_seconds())
        x, y = thing.place.centre
        track = Track(
            number=-self._recalled,
            family=FAMILY[thing.kind],
            x=Axis.at(x, deviation=0.0, velocity_deviation=0.0),
            y=Axis.at(y, deviation=0.0, velocity_deviation=0.0),
            box=thing.place,
            whole=(thing.place.w, thing.place.h),
            born_s=since_s,
            seen_s=seen_s,
            at_s=seen_s,
            anchor=thing.place,
            anchored_s=since_s,
            scores=(thing.confidence,),
            votes={thing.kind: thing.confidence},
            looks=self._tuning.settled_looks,
            moved=thing.moved,
        )
        self._vacant.append(_Still(track, thing.place, seen_s, Way.at(thing.place, 1.0)))
        return track

    def _lost(self, tracks: Sequence[Track]) -> tuple[list[Track], list[Track]]:
        """Part what the tracker has lost into gone and resting."""
        gone, resting = [], []
        for track in tracks:
            still = self._found.pop(track.number, None)
            if still is None:
                gone.append(track)
            elif still.free or still.way.is_gone or self._went_into_the_open(still):
                gone.append(still.track)
                self._sightings.take_back((track.number,))
            else:
                still.votes, still.empty_looks = still.track.votes, 0
                self._vacant.append(still)
                resting.append(still.track)
        return gone, resting

    def _went_into_the_open(self, still: _Still) -> bool:
        """Last found away from its place, and where nothing else stands: it was on its way, and quick."""
        track = still.track
        return still.away_looks > 0 and self._near(track.family, track.box, still) < CLEAR

    def _go_on(self, track: Track) -> None:
        """One that is no still thing: follow its way."""
        way = self._ways.get(track.number)
        if way is None or not track.missed:
            near = self._near(track.family, track.box)
            self._ways[track.number] = way.on(track.box, near) if way else Way.at(track.box, near)

    def _guarded(self, track: Track) -> Track:
        """One that is no still thing; a box that leaps between things that stand has not moved."""
        return replace(track, moved=self._ways[track.number].is_gone)

    def _is_going(self, number: int) -> bool:
        still, way = self._found.get(number), self._ways.get(number)
        return (still is not None and still.free) or (way is not None and way.is_gone)

    def _recognised(self, track: Track, at_s: float) -> _Still | None:
        """Which remembered thing is this newcomer? None for one that goes, or is not sure yet."""
        if self._ways[track.number].is_gone or track.missed or track.looks < self._tuning.settled_looks:
            return None
        rests = at_s - track.anchored_s >= self._tuning.settled_s
        fitting = [
            still
            for still in self._vacant
            if (rests or self._is_at(still, track.family, track.box))
            and self._is_at(still, track.family, track.anchor)
        ]
        if not fitting:
            return None
        still = max(fitting, key=lambda one: one.place.overlap(track.box))
        self._vacant.remove(still)
        still.way = Way.at(track.box, 1.0)
        self._found[track.number] = still
        return still

    def _settled(self, track: Track, at_s: float, gone: list[Track]) -> _Still | None:
        """It came and has come to rest: remember it; what stood just there before must have left."""
        tuning = self._tuning
        if track.missed or track.looks < tuning.settled_looks or at_s - track.anchored_s < tuning.settled_s:
            return None
        before = [one for one in self._vacant if self._is_at(one, track.family, track.anchor)]
        gone.extend(self._forget(one) for one in before)
        if len(self._found) + len(self._vacant) >= tuning.most:
            if not self._vacant:
                return None
            gone.append(self._forget(min(self._vacant, key=lambda one: one.seen_s)))
        track = self._guarded(track)
        still = self._found[track.number] = _Still(track, track.anchor, at_s, Way.at(track.anchor, 1.0))
        return still

    def _judged(self, still: _Still, track: Track, at_s: float) -> Track:
        """Is it at its place? Return its track as the events know it."""
        tuning = self._tuning
        votes = {
            kind: still.votes.get(kind, 0.0) + track.votes.get(kind, 0.0)
            for kind in (*still.votes, *track.votes)
        }
        still.track = replace(
            track,
            number=still.track.number,
            born_s=still.track.born_s,
            moved=still.track.moved,
            votes=votes,
        )
        if track.missed:
            return still.track
        if still.free:
            self._rest_again(still, track, at_s)
            return still.track
        if self._is_at(still, track.family, track.box):
            still.way = Way.at(track.box, 1.0)
        else:
            still.way = still.way.on(track.box, self._near(track.family, track.box, still))
        if self._is_away(still, track):
            still.away_s = still.away_s if still.away_looks else at_s
            still.away_looks += 1
            lasts = still.away_looks >= tuning.left_looks and at_s - still.away_s >= tuning.left_s
            if lasts and still.way.is_gone:
                still.free, still.track = True, replace(still.track, moved=True)
        else:
            still.away_looks, still.seen_s = 0, at_s
            if still.place.overlap(track.box) > tuning.same_place:
                still.place = _towards(still.place, track.box, tuning.follows)
        return still.track

    def _rest_again(self, still: _Still, track: Track, at_s: float) -> None:
        if at_s - track.anchored_s >= self._tuning.settled_s:
            still.free, still.place = False, track.anchor
            still.away_looks, still.seen_s = 0, at_s

    def _is_away(self, still: _Still, track: Track) -> bool:
        return (
            not self._is_at(still, track.family, track.box)
            and still.place.overlap(track.box) < self._tuning.touching
            and has_left(still.place, track.box)
            and not self._is_anywhere(track.family, track.box)
        )

    def _near(self, family: str, box: Box, but: _Still | None = None) -> float:
        """How far does the box overlap with what stands, remembered or sighted again and again?"""
        if self._is_anywhere(family, box, but):
            return 1.0
        places = (one.place for one in self._standing() if one is not but and one.track.family == family)
        return max([self._sightings.near(family, box), *(place.overlap(box) for place in places)])

    def _is_anywhere(self, family: str, box: Box, but: _Still | None = None) -> bool:
        return any(self._is_at(one, family, box) for one in self._standing() if one is not but)

    def _standing(self) -> list[_Still]:
        """All that stand, found now or not."""
        return [one for one in (*self._found.values(), *self._vacant) if not one.free]

    def _is_at(self, still: _Still, family: str, box: Box) -> bool:
        """Is a box of this family at its place, whole or in part?"""
        if family != still.track.family:
            return False
        if still.place.overlap(box) >= self._tuning.same_place:
            return True
        small, large = sorted((still.place.area, box.area))
        return small >= self._tuning.part_size * large and (
            _common(still.place, box) >= self._tuning.part_of_place * small
        )

    def _forgotten(
        self, detections: Sequence[Detection], boxes: Sequence[Box], at_s: float, *, good_light: bool
    ) -> list[Track]:
        gone = []
        for still in list(self._vacant):
            if any(self._is_at(still, FAMILY[one.kind], one.box) for one in detections):
                still.seen_s, still.empty_looks = at_s, 0
            elif (good_light or still.is_person) and not self._is_hidden(still, boxes):
                still.empty_s = still.empty_s if still.empty_looks else at_s
                still.empty_looks += 1
            if self._is_empty(still, at_s) or self._is_old(still, at_s):
                gone.append(self._forget(still))
        return gone

    def _is_hidden(self, still: _Still, boxes: Sequence[Box]) -> bool:
        return any(_common(still.place, box) > self._tuning.hidden * still.place.area for box in boxes)

    def _is_empty(self, still: _Still, at_s: float) -> bool:
        tuning = self._tuning
        return still.empty_looks >= tuning.empty_looks and at_s - still.empty_s >= tuning.empty_s

    def _is_old(self, still: _Still, at_s: float) -> bool:
        kept_s = self._tuning.person_kept_s if still.is_person else self._tuning.vehicle_kept_s
        return at_s - still.seen_s > kept_s

    def _forget(self, still: _Still) -> Track:
        self._vacant.remove(still)
        return still.track


_SAMPLE = 16  # every sixteenth pixel each way
_BRIGHT = 60.0  # grey levels, of the mean; street lamps leave a picture under it
_COLOURFUL = 6.0  # grey levels between a pixel's channels, of the mean; infra-red pictures have 0 to 3


def is_good_light(image: Image) -> bool:
    """Would the detector find what stands there? By day, in colour."""
    pixels = cast("NDArray[Any]", image[::_SAMPLE, ::_SAMPLE]).reshape(-1, 3)
    if float(pixels.mean()) < _BRIGHT:
        return False
    return float((pixels.max(axis=1) - pixels.min(axis=1)).mean()) >= _COLOURFUL


def wall_time(seen_s: float, now: datetime, at_s: float) -> datetime:
    """When was that, by the clock on the wall, if it is `now` at `at_s`?"""
    return now - timedelta(seconds=max(0.0, at_s - seen_s))


def _common(a: Box, b: Box) -> float:
    w = min(a.right, b.right) - max(a.x, b.x)
    h = min(a.bottom, b.bottom) - max(a.y, b.y)
    return max(w, 0.0) * max(h, 0.0)


def _towards(place: Box, box: Box, share: float) -> Box:
    parts = zip(
        (place.x, place.y, place.right, place.bottom), (box.x, box.y, box.right, box.bottom), strict=True
    )
    return Box.from_corners(*(old + share * (new - old) for old, new in parts))
