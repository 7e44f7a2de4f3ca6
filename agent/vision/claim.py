"""Is what somebody else claims to have seen really in the picture? Our own detector looks, and decides.

A camera's zones and limits, a kind's least score and the colour's word hold for a claim as for our own
tracks. There is one look, or a few, where a track has many: its score is the look's, its colour the word
of the best view. Where it stands is what we have found; where it has been is what was said of its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from agent.vision.colour import colour_of
from agent.vision.detect import Detection, Detector
from agent.vision.event import EventTuning, Occurrence
from agent.vision.frame import Frame, Image
from agent.vision.thumbnail import surroundings
from agent.vision.view import View, better_view
from agent.vision.zones import CameraZones
from shared.geometry import Box
from shared.messages import ClockReading, Colour, DetectionEvent, Kind, PathPoint, Phase

_SAME_PLACE = 0.2  # overlap; two detectors' boxes of one object agree to .5 and more, a neighbour's to .1
_FAMILIES = (  # detectors disagree within these, hardly ever between them
    frozenset({Kind.PERSON}),
    frozenset({Kind.BICYCLE, Kind.MOTORCYCLE}),
    frozenset({Kind.CAR, Kind.BUS, Kind.TRUCK}),
)


class Refusal(Enum):
    """Why nothing is told of a claim."""

    UNSEEN = auto()  # our own eye finds nothing like it there, or is not sure enough
    UNWANTED = auto()  # the camera's zones and limits leave it out


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Somebody else's event at one moment of its life, and the picture that is to prove it.

    `image` None: there is none any more, and only the end of what was proven before can be told.
    `box`: where in the picture it is said to be, if that is known. `place`: where in the camera's whole
    frame; the same, unless the picture is a part of it.
    """

    key: str  # the other's name for it
    event_id: UUID
    revision: int
    phase: Phase
    camera: str
    kind: Kind
    started_at: datetime
    seen_at: datetime
    image: Image | None
    image_at: datetime
    box: Box | None = None
    place: Box | None = None
    path: tuple[PathPoint, ...] = ()  # its feet, in the whole frame
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What was proven and told of this event before."""

    kind: Kind
    confidence: float
    box: Box
    score: float  # of the view sent with it
    colour: Colour = Colour.UNKNOWN


@dataclass(frozen=True, slots=True)
class Judge:
    """Our own eye, and what each camera's zones want to be told of. Used by the vision thread."""

    detector: Detector
    site: str
    zones_of: Callable[[str], CameraZones]
    new_id: Callable[[], UUID]
    least_score: Mapping[Kind, float] = field(default_factory=lambda: EventTuning().start_score)

    def judge(self, claim: Claim, clock: ClockReading) -> Occurrence | Refusal:
        """Return what may be told, or why nothing may. What was once told is told to its end."""
        zones = self.zones_of(claim.camera)
        if claim.told is None and claim.place and _is_left_out(claim, claim.place, zones):
            return Refusal.UNWANTED  # without a look: it need not even be so
        found = self._found(claim, zones)
        if found is None:
            if claim.told is None or claim.phase is not Phase.END:
                return Refusal.UNSEEN
            known = Detection(claim.told.kind, claim.told.confidence, claim.told.box)
            return Occurrence(self._event(claim, known, claim.told.colour, clock), None)
        if claim.told is None and _is_left_out(claim, _standing(claim, found), zones):
            return Refusal.UNWANTED
        view, colour = _seen(claim, found, clock.monotonic_s)
        return Occurrence(self._event(claim, found, colour, clock), view)

    def _event(self, claim: Claim, found: Detection, colour: Colour, clock: ClockReading) -> DetectionEvent:
        return DetectionEvent(
            id=self.new_id(),
            event_id=claim.event_id,
            revision=claim.revision,
            phase=claim.phase,
            site=self.site,
            camera=claim.camera,
            kind=found.kind,
            confidence=round(min(max(found.confidence, 0.0), 1.0), 3),
            started_at=claim.started_at,
            seen_at=max(claim.seen_at, claim.started_at),
            box=found.box.rounded(),
            path=claim.path,
            colour=colour,
            clock=clock,
        )

    def _found(self, claim: Claim, zones: CameraZones) -> Detection | None:
        """Look at the whole picture, then closer: the other detector may have looked at a part of it only."""
        if claim.image is None:
            return None
        whole = self._best(self.detector.detect(claim.image), claim, zones)
        if whole or claim.box is None:
            return whole
        height, width = claim.image.shape[:2]
        left, top, right, bottom = surroundings(claim.box, width, height)
        near = [
            Detection(
                seen.kind, seen.confidence, _mapped(seen.box, (left, top, right, bottom), width, height)
            )
            for seen in self.detector.detect(claim.image[top:bottom, left:right])
        ]
        return self._best(near, claim, zones)

    def _best(self, seen: list[Detection], claim: Claim, zones: CameraZones) -> Detection | None:
        family, box = next(family for family in _FAMILIES if claim.kind in family), claim.box
        fitting = [
            one
            for one in seen
            if one.kind in family and one.confidence >= zones.least_score(one.kind, self.least_score)
        ]
        if box is None:
            return max(fitting, key=lambda one: one.confidence, default=None)
        near = [one for one in fitting if one.box.overlap(box) >= _SAME_PLACE]
        return max(near, key=lambda one: one.box.overlap(box), default=None)


def _seen(claim: Claim, found: Detection, monotonic_s: float) -> tuple[View | None, Colour]:
    """The view to be sent, if it is better than the one sent before, and the colour of the best."""
    assert claim.image is not None  # noqa: S101 -- for mypy: found in it
    frame = Frame(claim.camera, claim.image, claim.image_at, monotonic_s)
    view = better_view(frame, found.box, found.confidence, None)
    if claim.told and (view is None or view.score <= claim.told.score):
        return None, claim.told.colour
    return view, colour_of(claim.image, found.box, found.kind)


def _standing(claim: Claim, found: Detection) -> Box | None:
    """Where in the camera's frame it is: what we found, unless the picture is a part of the frame only."""
    return found.box if claim.box is not None else claim.place


def _is_left_out(claim: Claim, box: Box | None, zones: CameraZones) -> bool:
    """Do zones or the least height speak against it? If there are any, against what nobody can place, too."""
    if box is None:
        return bool(zones.must_enter or zones.ignore or zones.min_height)
    entered = zones.is_entered(box) or any(zones.is_entered_at((point.x, point.y)) for point in claim.path)
    return zones.is_ignored(box) or not zones.is_tall_enough(box) or not entered


def _mapped(box: Box, crop: tuple[int, int, int, int], width: int, height: int) -> Box:
    left, top, right, bottom = crop
    w, h = right - left, bottom - top
    return Box.from_corners(
        (left + box.x * w) / width,
        (top + box.y * h) / height,
        (left + box.right * w) / width,
        (top + box.bottom * h) / height,
    )
