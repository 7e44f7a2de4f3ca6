"""When is a track worth a message? One event per object: start, update while there is better, end.

A track becomes an event once it was found in enough looks, its median score reaches its kind's
threshold, and it has moved: what stands where it stood when we first looked is furniture, however
sure the model is, and a parked car whose track broke in bad light does not fire again. A person may
stand still from the first look; then more evidence is asked for. A rider and his two-wheeler are one
event, of the two-wheeler's kind; a camera's zones and limits are heeded before anything is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from types import MappingProxyType
from uuid import UUID

from agent.vision.frame import Frame
from agent.vision.life import Life
from agent.vision.riders import Riders
from agent.vision.track import Track, Tracks, has_left
from agent.vision.view import View
from agent.vision.zones import EVERYWHERE, CameraZones
from shared.messages import ClockReading, DetectionEvent, Kind, Phase


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
    zones: CameraZones = EVERYWHERE  # of this camera, and its limits


@dataclass(frozen=True, slots=True, eq=False)
class Occurrence:
    """Something to tell. `view`: the best look so far, if it is new since the last message."""

    event: DetectionEvent
    view: View | None


class Events:
    """One per camera."""

    def __init__(self, site: str, camera: str, tuning: EventTuning, new_id: Callable[[], UUID]) -> None:
        self._site, self._camera = site, camera
        self._tuning = tuning
        self._new_id = new_id
        self._riders = Riders()
        self._lives: dict[int, Life] = {}  # by the number of each of its tracks

    def heed(self, zones: CameraZones) -> None:
        """Go by other zones from now on; what was told is told to its end."""
        self._tuning = replace(self._tuning, zones=zones)

    def update(self, tracks: Tracks, frame: Frame, clock: ClockReading) -> list[Occurrence]:
        """Take in the tracks of one look at `frame`."""
        told = self.end(tracks.gone, clock)
        for track in tracks.live:
            life = self._lives.get(track.number)
            if life is None:
                life = self._lives[track.number] = Life.of(track, frame, self._tuning.path_step)
            life.tracks[track.number] = track
        told += self._mount(tracks.live, frame, clock)
        for life in self._of(tracks.live):
            if life.is_seen:
                life.see(frame)
                life.is_entered = life.is_entered or self._tuning.zones.is_entered(life.box)
            if life.event_id is None:
                if self._is_worth_telling(life):
                    life.event_id = self._new_id()
                    told.append(self._tell(life, Phase.START, clock, with_view=True))
            elif life.lead.at_s - life.told_s >= self._tuning.update_s:
                told.extend(self._update(life, clock))
        return told

    def end(self, tracks: tuple[Track, ...], clock: ClockReading) -> list[Occurrence]:
        """These are gone: tell the end of those that were told of."""
        told = []
        for track in tracks:
            life = self._lives.pop(track.number, None)
            if life is None:
                continue
            life.tracks[track.number] = track
            if any(other is life for other in self._lives.values()):
                life.told_kind = life.told_kind and life.kind  # who rode stays a rider
                del life.tracks[track.number]
            else:
                told += self._finish(life, clock)
        return told

    def rest(self, tracks: tuple[Track, ...]) -> None:
        """These stand where they stood, unseen: what was told of them goes on, without their pictures."""
        for track in tracks:
            life = self._lives.get(track.number)
            if life is None:
                continue
            life.tracks[track.number] = track
            if len(life.tracks) == 1 and life.event_id is None:
                del self._lives[track.number]
            elif len(life.tracks) == 1:
                life.best = None

    def resume(self, track: Track, event: DetectionEvent, told_score: float) -> None:
        """Go on with an event told of before a restart; `event` is the last message about it."""
        self._lives[track.number] = Life.resumed(track, event, self._tuning.path_step, told_score)

    def told_of(self, track: Track) -> tuple[UUID | None, float]:
        """The event that lives with this track, and the score of the view last sent."""
        life = self._lives.get(track.number)
        return (life.event_id, life.told_score) if life else (None, 0.0)

    def _of(self, tracks: tuple[Track, ...]) -> list[Life]:
        """The lives of these tracks, each once."""
        lives = (self._lives[track.number] for track in tracks)
        return list({id(life): life for life in lives}.values())

    def _mount(self, tracks: tuple[Track, ...], frame: Frame, clock: ClockReading) -> list[Occurrence]:
        """Make one life of a rider and what he rides, and two again when he gets off."""
        self._riders.update(tracks)
        told = []
        for track in tracks:
            if track.kind is not Kind.PERSON:
                continue
            life, wheels = self._lives[track.number], self._riders.mount_of(track.number)
            mount = self._lives.get(wheels) if wheels is not None else None
            if mount is not None and mount is not life:
                told += self._join(life, mount, clock)
            elif mount is None and not track.missed and len(life.tracks) > 1:
                del life.tracks[track.number]
                alone = Life.of(track, frame, self._tuning.path_step)
                alone.stood = track.box
                self._lives[track.number] = alone
        return told

    def _join(self, rider: Life, mount: Life, clock: ClockReading) -> list[Occurrence]:
        """What was told of stays; where nothing or both were, the older."""
        kept, other = sorted((rider, mount), key=lambda life: (life.event_id is None, life.born_s))
        told = self._finish(other, clock)
        kept.tracks |= other.tracks
        for number in other.tracks:
            self._lives[number] = kept
        kept.is_entered = kept.is_entered or other.is_entered
        return told

    def _finish(self, life: Life, clock: ClockReading) -> list[Occurrence]:
        if life.event_id is None:
            return []
        better = self._is_better(life, self._tuning.better_at_end)
        return [self._tell(life, Phase.END, clock, with_view=better)]

    def _is_worth_telling(self, life: Life) -> bool:
        tuning, zones, track, kind = self._tuning, self._tuning.zones, life.lead, life.kind
        if track.missed or track.looks < tuning.start_looks or not life.is_entered:
            return False
        if track.score < zones.least_score(kind, tuning.start_score):
            return False
        box = life.box
        if not zones.is_tall_enough(box) or zones.is_ignored(box) or self._riders.is_undecided(track.number):
            return False
        if life.stood:
            return has_left(life.stood, track.box)
        return life.has_moved or (
            kind is Kind.PERSON
            and track.looks >= tuning.still_person_looks
            and track.score >= tuning.still_person_score
            and median(life.scores) >= tuning.still_person_score  # a post in the dark has its good seconds
        )

    def _update(self, life: Life, clock: ClockReading) -> list[Occurrence]:
        better = self._is_better(life, self._tuning.clearly_better)
        if better or life.kind is not life.told_kind:
            return [self._tell(life, Phase.UPDATE, clock, with_view=better)]
        return []

    def _is_better(self, life: Life, factor: float) -> bool:
        return life.best is not None and life.best.score > life.told_score * factor

    def _tell(self, life: Life, phase: Phase, clock: ClockReading, *, with_view: bool) -> Occurrence:
        view, gone = life.best, phase is Phase.END and not life.is_seen
        assert life.told_box is not None and life.event_id is not None  # noqa: S101, PT018 -- for the reader and mypy
        event = DetectionEvent(
            id=self._new_id(),
            event_id=life.event_id,
            revision=life.revision,
            phase=phase,
            site=self._site,
            camera=self._camera,
            kind=life.kind,
            confidence=round(median(life.scores), 3),
            started_at=life.started_at,
            seen_at=life.at(life.seen_s),
            box=life.told_box.rounded(),
            path=tuple(life.path),
            entry_side=life.entry,
            exit_side=life.left_by() if gone else None,
            colour=life.colour,
            clock=clock,
        )
        life.revision += 1
        life.told_s, life.told_kind = life.lead.at_s, life.kind
        if with_view and view:
            life.told_score = view.score
        return Occurrence(event, view if with_view else None)


def ended_unseen(event: DetectionEvent, clock: ClockReading, message_id: UUID) -> DetectionEvent:
    """Say the end of an event that a crash left without one: it was last seen when last told of."""
    changes = {"phase": Phase.END, "revision": event.revision + 1, "thumbnail": None, "clock": clock}
    return event.model_copy(update={"id": message_id, **changes})
