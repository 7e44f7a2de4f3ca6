"""When is a track worth a message? One event per object: start, update while there is better, end.

A track becomes an event once it was found in enough looks, its median score reaches its kind's
threshold, and it has moved: what stands where it stood when we first looked is furniture, however
sure the model is, and a parked car whose track broke in bad light does not fire again. A person may
stand still from the first look; then more evidence is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from types import MappingProxyType
from uuid import UUID

from agent.vision.frame import Frame
from agent.vision.track import Track, Tracks
from agent.vision.view import View, better_view
from shared.geometry import Box
from shared.messages import ClockReading, DetectionEvent, Kind, PathPoint, Phase

_MAX_POINTS = 128  # DetectionEvent.path
_SCORES_KEPT = 4096  # 14 minutes at 5 fps: more looks move no median


@dataclass(frozen=True, slots=True)
class EventTuning:
    """Numbers of an event's life."""

    start_looks: int = 3  # a false detection rarely comes thrice with a path
    start_score: Mapping[Kind, float] = field(  # of the median; .30 to .40 gave the same events on 3 clips
        default_factory=lambda: MappingProxyType(dict.fromkeys(Kind, 0.35))
    )
    still_person_looks: int = 8  # somebody who stood there from the start: twice and more the looks
    still_person_score: float = 0.55  # and a score that coats on a rack do not reach
    update_s: float = 5.0  # an officer's screen needs no more, an uplink bears no more
    clearly_better: float = 1.25  # times the score of the view last sent
    better_at_end: float = 1.1  # the last chance: any visible gain
    path_step: float = 0.01  # of the frame, between points: finer is the detector's jitter


@dataclass(frozen=True, slots=True, eq=False)
class Occurrence:
    """Something to tell. `view`: the best look so far, if it is new since the last message."""

    event: DetectionEvent
    view: View | None


@dataclass(slots=True)
class _Life:
    """What is remembered of one track. Owned by `Events`."""

    track: Track
    started_at: datetime  # wall time of the first look; all later times are this plus monotonic time
    best: View | None = None  # none while it rests unseen: a picture is large
    box: Box | None = None  # of the best view
    path: list[PathPoint] = field(default_factory=list)
    path_step: float = 0.0
    scores: list[float] = field(default_factory=list)
    event_id: UUID | None = None  # none: not yet worth a message
    revision: int = 0
    told_s: float = 0.0
    told_kind: Kind | None = None
    told_score: float = 0.0  # of the view last sent

    def at(self, monotonic_s: float) -> datetime:
        return self.started_at + timedelta(seconds=max(0.0, monotonic_s - self.track.born_s))


class Events:
    """One per camera."""

    def __init__(self, site: str, camera: str, tuning: EventTuning, new_id: Callable[[], UUID]) -> None:
        self._site, self._camera = site, camera
        self._tuning = tuning
        self._new_id = new_id
        self._lives: dict[int, _Life] = {}

    def update(self, tracks: Tracks, frame: Frame, clock: ClockReading) -> list[Occurrence]:
        """Take in the tracks of one look at `frame`."""
        told = self.end(tracks.gone, clock)
        for track in tracks.live:
            life = self._remember(track, frame)
            if life.event_id is None:
                if self._is_worth_telling(track):
                    life.event_id = self._new_id()
                    told.append(self._tell(life, Phase.START, clock, with_view=True))
            elif track.at_s - life.told_s >= self._tuning.update_s:
                told.extend(self._update(life, clock))
        return told

    def end(self, tracks: tuple[Track, ...], clock: ClockReading) -> list[Occurrence]:
        """These are gone: tell the end of those that were told of."""
        told = []
        for track in tracks:
            life = self._lives.pop(track.number, None)
            if life is not None and life.event_id is not None:
                better = self._is_better(life, self._tuning.better_at_end)
                told.append(self._tell(life, Phase.END, clock, with_view=better))
        return told

    def rest(self, tracks: tuple[Track, ...]) -> None:
        """These stand where they stood, unseen: what was told of them goes on, without their pictures."""
        for track in tracks:
            life = self._lives.get(track.number)
            if life is not None and life.event_id is None:
                del self._lives[track.number]
            elif life is not None:
                life.track, life.best = track, None

    def resume(self, track: Track, event: DetectionEvent, told_score: float) -> None:
        """Go on with an event told of before a restart; `event` is the last message about it."""
        self._lives[track.number] = _Life(
            track,
            event.started_at,
            box=event.box,
            path=list(event.path),
            path_step=self._tuning.path_step,
            scores=[event.confidence],
            event_id=event.event_id,
            revision=event.revision + 1,
            told_s=track.seen_s,
            told_kind=event.kind,
            told_score=told_score,
        )

    def told_of(self, track: Track) -> tuple[UUID | None, float]:
        """The event that lives with this track, and the score of the view last sent."""
        life = self._lives.get(track.number)
        return (life.event_id, life.told_score) if life else (None, 0.0)

    def _remember(self, track: Track, frame: Frame) -> _Life:
        life = self._lives.get(track.number)
        if life is None:
            life = self._lives[track.number] = _Life(
                track, frame.captured_at, path_step=self._tuning.path_step
            )
        life.track = track
        if track.missed:
            return life
        life.best = better_view(frame, track.box, track.scores[-1], life.best) or life.best
        life.box = life.best.box if life.best else life.box
        if len(life.scores) < _SCORES_KEPT:
            life.scores.append(track.scores[-1])
        _extend(life)
        return life

    def _is_worth_telling(self, track: Track) -> bool:
        tuning = self._tuning
        if track.missed or track.looks < tuning.start_looks or track.score < tuning.start_score[track.kind]:
            return False
        return track.moved or (
            track.kind is Kind.PERSON
            and track.looks >= tuning.still_person_looks
            and track.score >= tuning.still_person_score
        )

    def _update(self, life: _Life, clock: ClockReading) -> list[Occurrence]:
        better = self._is_better(life, self._tuning.clearly_better)
        if better or life.track.kind is not life.told_kind:
            return [self._tell(life, Phase.UPDATE, clock, with_view=better)]
        return []

    def _is_better(self, life: _Life, factor: float) -> bool:
        return life.best is not None and life.best.score > life.told_score * factor

    def _tell(self, life: _Life, phase: Phase, clock: ClockReading, *, with_view: bool) -> Occurrence:
        track, view = life.track, life.best
        assert life.box is not None and life.event_id is not None  # noqa: S101, PT018 -- for the reader and mypy
        event = DetectionEvent(
            id=self._new_id(),
            event_id=life.event_id,
            revision=life.revision,
            phase=phase,
            site=self._site,
            camera=self._camera,
            kind=track.kind,
            confidence=round(median(life.scores), 3),
            started_at=life.started_at,
            seen_at=life.at(track.seen_s),
            box=life.box.rounded(),
            path=tuple(life.path),
            clock=clock,
        )
        life.revision += 1
        life.told_s, life.told_kind = track.at_s, track.kind
        if with_view and view:
            life.told_score = view.score
        return Occurrence(event, view if with_view else None)


def _extend(life: _Life) -> None:
    """Add where the foot is now, if it has gone a step; thin the path when it is full."""
    box, t = life.track.box, life.track.seen_s - life.track.born_s
    point = PathPoint(t=round(max(t, 0.0), 2), x=round(box.centre[0], 4), y=round(min(box.bottom, 1.0), 4))
    if life.path:
        last = life.path[-1]
        if max(abs(point.x - last.x), abs(point.y - last.y)) < life.path_step:
            return
    if len(life.path) >= _MAX_POINTS:
        life.path = life.path[::2]
        life.path_step *= 1.5
    life.path.append(point)


def ended_unseen(event: DetectionEvent, clock: ClockReading, message_id: UUID) -> DetectionEvent:
    """Say the end of an event that a crash left without one: it was last seen when last told of."""
    changes = {"phase": Phase.END, "revision": event.revision + 1, "thumbnail": None, "clock": clock}
    return event.model_copy(update={"id": message_id, **changes})
