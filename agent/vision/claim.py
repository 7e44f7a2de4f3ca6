"""Is what somebody else claims to have seen really in the picture? Our own detector looks, and decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agent.vision.detect import Detection, Detector
from agent.vision.event import Occurrence
from agent.vision.frame import Frame, Image
from agent.vision.thumbnail import surroundings
from agent.vision.view import better_view
from shared.geometry import Box
from shared.messages import ClockReading, DetectionEvent, Kind, PathPoint, Phase

_SAME_PLACE = 0.2  # overlap; two detectors' boxes of one object agree to .5 and more, a neighbour's to .1
_FAMILIES = (  # detectors disagree within these, hardly ever between them
    frozenset({Kind.PERSON}),
    frozenset({Kind.BICYCLE, Kind.MOTORCYCLE}),
    frozenset({Kind.CAR, Kind.BUS, Kind.TRUCK}),
)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Somebody else's event at one moment of its life, and the picture that is to prove it.

    `image` None: there is none any more, and only the end of what was proven before can be told.
    `box`: where in the picture it is said to be, if that is known.
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
    path: tuple[PathPoint, ...] = ()
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What was proven and told of this event before."""

    kind: Kind
    confidence: float
    box: Box
    score: float  # of the view sent with it


def judge(
    claim: Claim, detector: Detector, site: str, clock: ClockReading, new_id: Callable[[], UUID]
) -> Occurrence | None:
    """Return what may be told, or None: nothing of that family is there, and nothing was told before."""
    found = _found(claim, detector)
    if found is None:
        if claim.told is None or claim.phase is not Phase.END:
            return None
        known = Detection(claim.told.kind, claim.told.confidence, claim.told.box)
        return Occurrence(_event(claim, known, site, clock, new_id()), None)
    assert claim.image is not None  # noqa: S101 -- for mypy: found in it
    frame = Frame(claim.camera, claim.image, claim.image_at, clock.monotonic_s)
    view = better_view(frame, found.box, found.confidence, None)
    if view and claim.told and view.score <= claim.told.score:
        view = None
    return Occurrence(_event(claim, found, site, clock, new_id()), view)


def _event(
    claim: Claim, found: Detection, site: str, clock: ClockReading, message_id: UUID
) -> DetectionEvent:
    return DetectionEvent(
        id=message_id,
        event_id=claim.event_id,
        revision=claim.revision,
        phase=claim.phase,
        site=site,
        camera=claim.camera,
        kind=found.kind,
        confidence=round(min(max(found.confidence, 0.0), 1.0), 3),
        started_at=claim.started_at,
        seen_at=max(claim.seen_at, claim.started_at),
        box=found.box.rounded(),
        path=claim.path,
        clock=clock,
    )


def _found(claim: Claim, detector: Detector) -> Detection | None:
    """Look at the whole picture, then closer: the other detector may have looked at a part of it only."""
    if claim.image is None:
        return None
    family = next(family for family in _FAMILIES if claim.kind in family)
    whole = _best(detector.detect(claim.image), family, claim.box)
    if whole or claim.box is None:
        return whole
    height, width = claim.image.shape[:2]
    left, top, right, bottom = surroundings(claim.box, width, height)
    near = [
        Detection(seen.kind, seen.confidence, _mapped(seen.box, (left, top, right, bottom), width, height))
        for seen in detector.detect(claim.image[top:bottom, left:right])
    ]
    return _best(near, family, claim.box)


def _best(seen: list[Detection], family: frozenset[Kind], box: Box | None) -> Detection | None:
    fitting = [one for one in seen if one.kind in family]
    if box is None:
        return max(fitting, key=lambda one: one.confidence, default=None)
    near = [one for one in fitting if one.box.overlap(box) >= _SAME_PLACE]
    return max(near, key=lambda one: one.box.overlap(box), default=None)


def _mapped(box: Box, crop: tuple[int, int, int, int], width: int, height: int) -> Box:
    left, top, right, bottom = crop
    w, h = right - left, bottom - top
    return Box.from_corners(
        (left + box.x * w) / width,
        (top + box.y * h) / height,
        (left + box.right * w) / width,
        (top + box.bottom * h) / height,
    )
