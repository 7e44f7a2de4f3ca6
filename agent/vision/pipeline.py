"""What happens to a frame? Motion, detection, tracks, events: the five stages on one page.

    frame ─▶ gate ──shut, nobody lives──▶ (nothing)
              └─open, or somebody lives─▶ detector ─▶ tracks ─▶ events ─▶ occurrences

The gate decides whether the detector is *woken*; after that, a living track keeps it awake, because
the gate forgets who stands still. When all that lives stands still and the gate is shut, a slow rate of
looking will do; when it has been shut for long, also for a box that breathes and comes to no rest. When
nobody lives, or only what is remembered to stand where it stands, one quiet look in ten seconds finds
whoever came while the light was changing; and while the gate says it is blind, a patrol of looks goes
through all parts of the frame.
A hint from outside (`hint`: the camera itself says it saw somebody) opens the gate for a while too, and
no more than that: without detections there is no event. At most one detection per frame, whatever
happens in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agent.vision.detect import Detection, Detector
from agent.vision.event import Events, EventTuning, Occurrence, ended_unseen
from agent.vision.frame import Frame, Image
from agent.vision.motion import Motion, MotionGate, MotionTuning
from agent.vision.regions import Regions, RegionTuning, cut, in_frame
from agent.vision.still import Remembered, StillMemory, StillTuning, is_good_light, wall_time
from agent.vision.track import Track, Tracker, Tracks, TrackTuning
from agent.vision.zones import CameraZones
from shared.geometry import Box
from shared.messages import ClockReading, DetectionEvent

__all__ = ["Counts", "Glance", "Occurrence", "Pipeline", "Tuning"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Every number of the eye, each with its reason beside it."""

    motion: MotionTuning = field(default_factory=MotionTuning)
    regions: RegionTuning = field(default_factory=RegionTuning)
    track: TrackTuning = field(default_factory=TrackTuning)
    still: StillTuning = field(default_factory=StillTuning)
    event: EventTuning = field(default_factory=EventTuning)
    quiet_look_s: float = 10.0  # one inference in 50 frames: half a per cent of a core
    patrol_s: float = 0.4  # the whole and its quarters are a round of five: nobody waits for more than 2 s
    still_look_s: float = 1.0  # until it is remembered; the gate wakes us when what stands begins to walk
    calm_after_s: float = 30.0  # the gate shut for so long: nobody sways on his feet or looks for his keys
    hint_s: float = 10.0  # a camera speaks at once; a walker is out of sight by then, or has moved
    hint_rest_s: float = 30.0  # between two heeded hints: a camera that cries wolf costs a third at most
    gap_s: float = 5.0  # no frame for so long: whoever is there now need not be who was there


@dataclass(frozen=True, slots=True)
class Counts:
    """What one pipeline has done so far."""

    frames: int = 0
    looked: int = 0  # given to the detector
    gated: int = 0  # kept from it


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What the gate made of a frame. `wanted`: the detector should look at it."""

    frame: Frame
    motion: Motion
    wanted: bool
    routine: bool = False  # wanted only because the last look was long ago: the next frame will do as well
    anew: bool = False  # the stream was away before it: whoever is there now need not be who was there


class Pipeline:
    """One per camera; pure: time comes in with the frame.

    `glance`, `hint` and `is_quiet` belong to whoever brings the frames, all else to the vision thread: the
    gate sees every frame, also while the detector is busy with another camera. Between the two lie only
    `_rest_s`, `_looked_s`, `_stirred_s` and `_forget`, each one value.
    """

    def __init__(
        self, site: str, camera: str, detector: Detector, tuning: Tuning, new_id: Callable[[], UUID]
    ) -> None:
        self._detector = detector
        self._tuning = tuning
        self._gate = MotionGate(tuning.motion)
        self._regions = Regions(tuning.regions)
        self._tracker = Tracker(tuning.track)
        self._still = StillMemory(tuning.still)
        self._events = Events(site, camera, tuning.event, new_id)
        self._new_id = new_id
        self._newest_s: float | None = None
        self._looked_s = self._stirred_s = 0.0
        self._rest_s = tuning.quiet_look_s  # while the gate is shut, how long between two looks
        self._forget = False  # the scene, at the next frame
        self._hinted_s = float("-inf")
        self._moved = self._blind = True
        self._frames = self._looked = self._gated = 0
        self.is_confirming = False  # somebody was found and is not yet sure: the next look decides

    @property
    def counts(self) -> Counts:
        return Counts(self._frames, self._looked, self._gated)

    @property
    def live(self) -> tuple[tuple[Track, UUID | None], ...]:
        """What is followed since the newest look, and the event told of it, if any."""
        return tuple((track, self._events.told_of(track)[0]) for track in self._tracker.live)

    def step(self, frame: Frame, clock: ClockReading) -> list[Occurrence]:
        """Take in the next frame of the stream; a frame older than the last is dropped."""
        glance = self.glance(frame)
        return self.look(glance, clock) if glance and glance.wanted else []

    def glance(self, frame: Frame) -> Glance | None:
        """Show a frame to the gate, which must see all of them. None: it is older than the last."""
        now, anew = frame.monotonic_s, False
        if self._newest_s is not None:
            if now <= self._newest_s:
                return None
            anew = now - self._newest_s > self._tuning.gap_s
        if anew or self._forget:
            self._forget = False
            self._gate.reset()
        self._newest_s = now
        motion = self._gate.look(frame)
        self._moved, self._blind = motion.moved, motion.blind
        rest_s = min(self._rest_s, self._tuning.patrol_s) if motion.blind else self._rest_s
        stirs = anew or motion.moved or now - self._hinted_s <= self._tuning.hint_s
        wanted = stirs or now - self._looked_s >= rest_s
        if stirs or motion.blind:
            self._stirred_s = now
        self._frames += 1
        self._gated += not wanted
        return Glance(frame, motion, wanted, routine=wanted and not stirs and rest_s > 0, anew=anew)

    def look(self, glance: Glance, clock: ClockReading) -> list[Occurrence]:
        """Give a frame to the detector, and follow what it finds; frames come in their order."""
        frame, now = glance.frame, glance.frame.monotonic_s
        told = self._pause(clock) if glance.anew else []
        self._looked += 1
        self._looked_s = now
        width, height = frame.size
        look = self._regions.next(
            glance.motion.regions,
            [track.expected for track in self._tracker.live],
            busy=self._is_busy(),
            patrol=glance.motion.blind,
        )
        detections = self._found(frame.image, look.crop)
        tracks = self._tracker.update(detections, now, width / height, look.shows, self._still.standing())
        stood = self._still.update(
            tracks, detections, now, good_light=look.crop is None and is_good_light(frame.image)
        )
        self._rest_s = self._rest_between_looks_s(now - self._stirred_s)
        self._events.rest(stood.resting)
        self.is_confirming = any(track.looks < self._tuning.event.start_looks for track in stood.live)
        return told + self._events.update(Tracks(stood.live, stood.gone), frame, clock)

    def _is_busy(self) -> bool:
        smallest = self._tuning.regions.small_object
        return any(
            track.box.h >= smallest and not self._tracker.is_still(track) for track in self._tracker.live
        )

    def _found(self, image: Image, crop: Box | None) -> list[Detection]:
        """One inference: of the whole frame, or of a part where somebody small may be."""
        if crop is None:
            return self._detector.detect(image)
        return in_frame(self._detector.detect(cut(image, crop)), crop)

    @property
    def is_quiet(self) -> bool:
        """Nothing moved in the newest frame, which could show it, nobody hinted, and whoever lives stands."""
        if self._forget or self._moved or self._blind or self._newest_s is None:
            return False
        if self._newest_s - self._hinted_s <= self._tuning.hint_s:
            return False
        return self._rest_s > 0

    def heed(self, zones: CameraZones) -> None:
        """Go by other zones from the next look on. From any thread."""
        self._events.heed(zones)

    def hint(self, monotonic_s: float) -> bool:
        """Somebody may be there: look for a while from that moment on. False: too soon after the last."""
        if monotonic_s - self._hinted_s < self._tuning.hint_rest_s:
            return False
        self._hinted_s = monotonic_s
        return True

    def pause(self, clock: ClockReading) -> list[Occurrence]:
        """The stream is lost, or we stop for a while: end what moves, remember what stands."""
        self._forget = True
        return self._pause(clock)

    def _pause(self, clock: ClockReading) -> list[Occurrence]:
        self._rest_s, self.is_confirming = self._tuning.quiet_look_s, False
        stood = self._still.pause(self._tracker.clear())
        self._events.rest(stood.resting)
        gone = stood.gone + self._still.expired(clock.monotonic_s)
        return self._events.end(gone, clock)

    def finish(self, clock: ClockReading) -> list[Occurrence]:
        """There is no more: end all that lives or stands, and forget the scene."""
        return self.pause(clock) + self.forget_still(clock)

    def expire(self, clock: ClockReading) -> list[Occurrence]:
        """Time has passed, with or without frames: end what nobody has seen for too long."""
        return self._events.end(self._still.expired(clock.monotonic_s), clock)

    def forget_still(self, clock: ClockReading) -> list[Occurrence]:
        """The camera looks elsewhere: no place means what it meant."""
        return self._events.end(self._still.clear(), clock)

    def remembered(self, now: datetime, monotonic_s: float) -> tuple[Remembered, ...]:
        """What stands, to be kept on disk; `now` is the wall clock at `monotonic_s`."""
        kept = []
        for track, place, seen_s in self._still.resting():
            event_id, told_score = self._events.told_of(track)
            seen, since = (wall_time(at_s, now, monotonic_s) for at_s in (seen_s, track.born_s))
            confidence = round(min(track.score, 1.0), 3)
            kept.append(
                Remembered(
                    track.kind, confidence, place.rounded(), track.moved, since, seen, event_id, told_score
                )
            )
        return tuple(kept)

    def recall(
        self,
        remembered: Sequence[Remembered],
        living: Mapping[UUID, DetectionEvent],
        now: datetime,
        clock: ClockReading,
    ) -> list[Occurrence]:
        """Before the first frame: take up what stood when we stopped, and say the end of the rest.

        `living`: the last message of each of this camera's events that never ended.
        """
        left = dict(living)
        for thing in remembered[: self._tuning.still.most]:
            track = self._still.recall(thing, now, clock.monotonic_s)
            event = left.pop(thing.event_id, None) if thing.event_id else None
            if event is not None:
                self._events.resume(track, event, thing.told_score)
        ended = [Occurrence(ended_unseen(event, clock, self._new_id()), None) for event in left.values()]
        return ended + self.expire(clock)

    def _rest_between_looks_s(self, shut_s: float) -> float:
        """How long may nobody look, while the gate, shut since `shut_s`, stays shut?"""
        tuning, tracker, live = self._tuning, self._tracker, self._tracker.live
        standing = self._still.standing()
        if all(track.number in standing and not track.missed for track in live):
            return tuning.quiet_look_s
        is_sure = all(tracker.is_confirmed(track) for track in live)
        if shut_s < (tuning.track.still_after_s if is_sure else tuning.calm_after_s):
            return tuning.still_look_s if all(tracker.is_still(track) for track in live) else 0.0
        is_calm = shut_s >= tuning.calm_after_s and is_sure and not any(track.missed for track in live)
        return tuning.quiet_look_s if is_calm else tuning.still_look_s
