"""Which detections, look after look, are one object? Tracks, with a memory that bridges short gaps.

ByteTrack's idea (Zhang 2021): sure detections first, doubtful ones only to continue a track already
known. Its measure is not ours: at three to five looks per second a walker's boxes hardly overlap
from one to the next, and a tracker on plain overlap loses people the detector is sure of. Here a
detection belongs to where the track is *expected*, in distances counted in the object's own size,
with overlap and shape as second opinions; `agent.vision.assign` settles who gets whom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from agent.vision.assign import best_pairs
from agent.vision.detect import Detection
from agent.vision.kalman import Axis, corrected, predicted
from shared.geometry import Box
from shared.messages import Kind

FAMILY = {
    Kind.PERSON: "person",
    Kind.BICYCLE: "two wheels",
    Kind.MOTORCYCLE: "two wheels",
    Kind.CAR: "four wheels",
    Kind.BUS: "four wheels",
    Kind.TRUCK: "four wheels",
}
"""Models hesitate between kinds of one family, hardly ever across: the vote is held within it."""

_SHRUNK = 0.8  # of the length a track has: shorter, and a part may be hidden; strides vary it by less
_GROWS = 0.3  # how fast the length follows what shows: ten looks from afar to near
_HIDDEN_SHRINKS = 0.05  # and while a part may be hidden: a second behind a post costs a fifth

_BORDER = 0.01  # of the width: nearer, and the picture's border may cut it

_SCORES_KEPT = 25  # five seconds: a median that can still change its mind


@dataclass(frozen=True, slots=True)
class TrackTuning:
    """Numbers of the tracker; lengths are in sizes, a size being the root of the object's area."""

    sure: float = 0.30  # opens a track; vision research: recall .54 at precision .85 for yolo11n-416
    doubtful: float = 0.12  # continues one: a walker behind a fence still scores so much
    confirming_looks: int = 3  # a false detection rarely comes back twice at one place
    tentative_misses: int = 1  # of a track not yet confirmed, in a row
    lost_s: float = 2.0  # behind a lamp post or a parked car; longer, and it may be somebody else
    still_lost_s: float = 10.0  # what stood is hidden by a passing bus, not gone
    lost_looks: int = 3  # at a slow rate of looking, time alone proves nothing
    still_after_s: float = 5.0  # no longer a pause between steps
    acceleration: float = 2.5  # sizes/s²: a person stops within a step, a motorbike within its length
    person_speed: float = 2.0  # sizes/s, one deviation of a newcomer's: walking 1.5, running 4
    vehicle_speed: float = 4.0  # sizes/s: 30 km/h is 4 to 6 of a motorbike's
    rests_after_s: float = 2.2  # longer than a step, or than a post hides a walker; at 1 who turns is lost
    jitter: float = 0.08  # sizes: how far a detector's box centre dances around a standing object
    reach: float = 0.6  # sizes a detection may be off the expected place, before doubt is added
    reach_limit: float = 3.0  # sizes, whatever the doubt
    in_place: float = 0.5  # overlap with what stands, to be it before anybody else
    still_overlap: float = 0.15  # with what stands: less is the next in the row; it sets off watched
    growth: float = 3.0  # times, in width and height: who comes near at 5 looks a second has 1.3
    same_object: float = 0.7  # overlap above which two boxes of one family are one object
    most_tracks: int = 64  # bounds the work per frame in a crowd


@dataclass(frozen=True, slots=True)
class Track:
    """One object over many looks. A value: the tracker makes a new one at every look."""

    number: int
    family: str
    x: Axis  # centre, fraction of the width
    y: Axis  # centre, fraction of the height
    box: Box  # as last seen
    whole: tuple[float, float]  # width and height as they are when nothing hides a part
    born_s: float
    seen_s: float  # when it was last found
    at_s: float  # when its axes were last moved on
    anchor: Box  # where it last came to rest
    anchored_s: float
    scores: tuple[float, ...]
    votes: Mapping[Kind, float] = field(default_factory=dict)
    looks: int = 1  # in which it was found
    missed: int = 0  # looks in a row without it
    moved: bool = False  # ever left an anchor

    @property
    def kind(self) -> Kind:
        return max(self.votes, key=lambda kind: (self.votes[kind], kind))

    @property
    def score(self) -> float:
        """Median of the recent looks, not the luckiest."""
        return median(self.scores)

    @property
    def expected(self) -> Box:
        """Where it should be now, all of it, clipped to the frame."""
        w, h = self.whole[0] / 2, self.whole[1] / 2
        x, y = self.x.position, self.y.position
        return Box.from_corners(x - w, y - h, x + w, y + h)


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracker's answer to one look."""

    live: tuple[Track, ...] = ()
    gone: tuple[Track, ...] = ()


class Tracker:
    """One per camera."""

    def __init__(self, tuning: TrackTuning | None = None) -> None:
        self._tuning = tuning or TrackTuning()
        self._live: tuple[Track, ...] = ()
        self._born = 0

    @property
    def live(self) -> tuple[Track, ...]:
        return self._live

    def is_confirmed(self, track: Track) -> bool:
        return track.looks >= self._tuning.confirming_looks

    def is_still(self, track: Track) -> bool:
        """Has it stood for a while? Then a slow rate of looking is enough for it."""
        return self._has_rested(track, self._tuning.still_after_s)

    def _has_rested(self, track: Track, seconds: float) -> bool:
        """Is it sure, and has nobody seen it go for so long?"""
        return self.is_confirmed(track) and track.at_s - track.anchored_s >= seconds

    def clear(self) -> tuple[Track, ...]:
        """Forget all; return what lived."""
        gone, self._live = self._live, ()
        return gone

    def update(
        self,
        detections: Sequence[Detection],
        at_s: float,
        aspect: float,
        shown: Callable[[Box], bool] = lambda _: True,
        standing: Container[int] = (),
    ) -> Tracks:
        """Take in one look. `at_s`: monotonic, not before the last; `aspect`: width through height.

        `shown`: could this look show an object there? If not, its absence is no miss. `standing`: numbers
        of those known to stand where they are, however their boxes breathe.
        """
        tuning = self._tuning
        tracks = [moved_on(track, at_s, aspect, tuning) for track in self._live]
        detections = one_per_object(detections, tuning)
        sure = [detection for detection in detections if detection.confidence >= tuning.sure]
        doubtful = [d for d in detections if tuning.doubtful <= d.confidence < tuning.sure]
        still = self._at_rest(tracks, standing)
        known = [track for track in tracks if self.is_confirmed(track)]
        newcomers = [track for track in tracks if not self.is_confirmed(track)]

        in_place = dict.fromkeys(still, tuning.in_place)
        found, known, sure = self._matched(known, sure, aspect, in_place)
        # Out of its place what stands has no right before a newcomer: the front of a bus is the bus's
        nearby = dict.fromkeys(still, tuning.still_overlap)
        standers = [track for track in known if track.number in still]
        new, others, sure = self._matched(standers + newcomers, sure, aspect, nearby)
        known = [track for track in known if track.number not in still or track in others]
        newcomers = [track for track in others if not self.is_confirmed(track)]
        again, known, _ = self._matched(known, doubtful, aspect, nearby)
        lost = known + newcomers
        missed = [replace(track, missed=track.missed + 1) for track in lost if shown(track.expected)]
        unseen = [track for track in lost if not shown(track.expected)]
        born = [self._birth(d, at_s, aspect) for d in sure[: max(0, tuning.most_tracks - len(tracks))]]
        gone = tuple(track for track in missed if self._is_gone(track))
        kept = [track for track in missed if not self._is_gone(track)]
        self._live = tuple(sorted(found + again + new + kept + unseen + born, key=lambda track: track.number))
        return Tracks(self._live, gone)

    def _at_rest(self, tracks: Sequence[Track], standing: Container[int]) -> set[int]:
        """Numbers of those that do not leap to whoever comes along; sooner than `is_still` says."""
        rests_after_s = self._tuning.rests_after_s
        return {
            track.number
            for track in tracks
            if track.number in standing or self._has_rested(track, rests_after_s)
        }

    def _matched(
        self, tracks: list[Track], detections: list[Detection], aspect: float, least: Mapping[int, float]
    ) -> tuple[list[Track], list[Track], list[Detection]]:
        """Pair them; return tracks found, tracks left over, detections left over.

        `least`: how far, by number, a detection must overlap with the place of what stands.
        """
        gains = [
            [gain(track, d, aspect, self._tuning, least.get(track.number, 0.0)) for d in detections]
            for track in tracks
        ]
        pairs = best_pairs(gains)
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return (
            [seen(tracks[row], detections[column], aspect, self._tuning) for row, column in pairs],
            [track for row, track in enumerate(tracks) if row not in rows],
            [detection for column, detection in enumerate(detections) if column not in columns],
        )

    def _birth(self, detection: Detection, at_s: float, aspect: float) -> Track:
        self._born += 1
        tuning, box = self._tuning, detection.box
        size_y = _size(box, aspect)
        family = FAMILY[detection.kind]
        speed = tuning.person_speed if family == FAMILY[Kind.PERSON] else tuning.vehicle_speed
        doubt = {"deviation": tuning.jitter * size_y, "velocity_deviation": speed * size_y}
        doubt_x = {name: value / aspect for name, value in doubt.items()}
        return Track(
            number=self._born,
            family=family,
            x=Axis.at(box.centre[0], **doubt_x),
            y=Axis.at(box.centre[1], **doubt),
            box=box,
            whole=(box.w, box.h),
            born_s=at_s,
            seen_s=at_s,
            at_s=at_s,
            anchor=box,
            anchored_s=at_s,
            scores=(detection.confidence,),
            votes={detection.kind: detection.confidence},
        )

    def _is_gone(self, track: Track) -> bool:
        tuning = self._tuning
        if not self.is_confirmed(track):
            return track.missed > tuning.tentative_misses
        if not (0 <= track.x.position <= 1 and 0 <= track.y.position <= 1):
            return True  # walked out: whoever comes in here next is somebody else
        patience_s = tuning.still_lost_s if self.is_still(track) else tuning.lost_s
        return track.missed >= tuning.lost_looks and track.at_s - track.seen_s >= patience_s


def moved_on(track: Track, at_s: float, aspect: float, tuning: TrackTuning) -> Track:
    """Let time pass for a track."""
    elapsed_s, size = at_s - track.at_s, _size(track.box, aspect)
    acceleration = tuning.acceleration * size
    return replace(
        track,
        x=predicted(track.x, elapsed_s, acceleration / aspect),
        y=predicted(track.y, elapsed_s, acceleration),
        at_s=at_s,
    )


def seen(track: Track, detection: Detection, aspect: float, tuning: TrackTuning) -> Track:
    """Let a detection correct a track."""
    box, deviation = detection.box, tuning.jitter * _size(detection.box, aspect)
    (place_x, w), (place_y, h) = _spans(track, box)
    x = corrected(track.x, place_x, deviation / aspect)
    y = corrected(track.y, place_y, deviation)
    left = has_left(track.anchor, box)
    votes = {**track.votes, detection.kind: track.votes.get(detection.kind, 0.0) + detection.confidence}
    return replace(
        track,
        x=x,
        y=y,
        box=box,
        whole=(w, h),
        seen_s=track.at_s,
        anchor=box if left else track.anchor,
        anchored_s=track.at_s if left else track.anchored_s,
        scores=(*track.scores, detection.confidence)[-_SCORES_KEPT:],
        votes=votes,
        looks=track.looks + 1,
        missed=0,
        moved=track.moved or left,
    )


def gain(
    track: Track, detection: Detection, aspect: float, tuning: TrackTuning, least_overlap: float = 0.0
) -> float:
    """How much speaks for this detection being this track; 0 when it cannot be."""
    if FAMILY[detection.kind] != track.family:
        return 0.0
    (x, w), (y, h) = _spans(track, detection.box)
    size = (math.sqrt(track.whole[0] * track.whole[1] * aspect) + math.sqrt(max(w * h, 1e-8) * aspect)) / 2
    if size <= 0:
        return 0.0
    distance = math.hypot((x - track.x.position) * aspect, y - track.y.position) / size
    doubt = math.sqrt(track.x.variance * aspect**2 + track.y.variance) / size
    if distance > min(tuning.reach_limit, tuning.reach + 2 * doubt):
        return 0.0
    if w > tuning.growth * track.whole[0] and h > tuning.growth * track.whole[1]:
        return 0.0
    misfit = _stretch(track.whole[0], w) + _stretch(track.whole[1], h)
    overlap = track.expected.overlap(detection.box)
    if max(place.overlap(detection.box) for place in (track.anchor, track.box)) < least_overlap:
        return 0.0
    return max(0.0, 1 + tuning.reach_limit + overlap - distance - misfit / 2)


def _spans(track: Track, box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """Middle and length of the whole object on both axes, by a box that may show a part of it."""
    x = whole_span(box.x, box.right, track.x.position, track.whole[0])
    return x, whole_span(box.y, box.bottom, track.y.position, track.whole[1])


def whole_span(low: float, high: float, expected: float, whole: float) -> tuple[float, float]:
    """Where is the middle of something that shows from low to high, and how long is it?

    Behind a pillar, or half out of the picture, a box shrinks from one side. Its own middle then says
    that the walker slows down and turns, and two who meet behind the pillar are swapped; the edge that
    still shows says where he is. Of both edges and the middle, the one that agrees best is believed.
    """
    shown = high - low
    if shown >= _SHRUNK * whole:
        return (low + high) / 2, whole + _GROWS * (shown - whole)
    places = (low + high) / 2, low + whole / 2, high - whole / 2
    place = min(places, key=lambda middle: abs(middle - expected))
    return place, whole + (_GROWS if place == places[0] else _HIDDEN_SHRINKS) * (shown - whole)


def has_left(anchor: Box, box: Box) -> bool:
    """Is the object no longer where it rested? A box that something hides half of has not moved.

    Both edges of one direction must have gone the same way by a quarter of the size, or the object
    must have come nearer or gone off, growing or shrinking both ways. Where the picture's border cuts
    it, that edge cannot go: then a third more or less shows of whoever comes in or goes out.
    """
    for low, high, size in (
        (box.x - anchor.x, box.right - anchor.right, max(anchor.w, box.w)),
        (box.y - anchor.y, box.bottom - anchor.bottom, max(anchor.h, box.h)),
    ):
        if low * high > 0 and min(abs(low), abs(high)) > size / 4:
            return True
    sides = (anchor.x, box.x, box.right - anchor.right), (1 - anchor.right, 1 - box.right, box.x - anchor.x)
    if any(max(a, b) < _BORDER and abs(way) > max(anchor.w, box.w) / 3 for a, b, way in sides):
        return True
    nearer = math.log(1.3)  # a third larger or smaller: three metres nearer when ten away
    return min(_stretch(anchor.w, box.w), _stretch(anchor.h, box.h)) > nearer and (
        (box.w > anchor.w) == (box.h > anchor.h)
    )


def one_per_object(detections: Sequence[Detection], tuning: TrackTuning) -> list[Detection]:
    """Drop the weaker of two boxes around one object, as when a model cannot tell car from truck."""
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: d.confidence, reverse=True):
        rivals = (d for d in kept if FAMILY[d.kind] == FAMILY[detection.kind])
        if all(rival.box.overlap(detection.box) <= tuning.same_object for rival in rivals):
            kept.append(detection)
    return kept


def _size(box: Box, aspect: float) -> float:
    """Root of the area, as a fraction of the frame's height."""
    return math.sqrt(max(box.area, 1e-8) * aspect)


def _stretch(a: float, b: float) -> float:
    """How unlike two lengths are, in either direction: 0 when equal, 0.7 when one is twice the other."""
    return abs(math.log(max(b, 1e-4) / max(a, 1e-4)))
