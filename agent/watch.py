"""The vision thread: look at every camera in turn, keep what happened, picture and all.

One thread owns the detector. It takes the newest wanted frame of whichever camera has waited longest,
so a slow detector skips frames evenly and never falls behind the street.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Protocol

from uuid6 import uuid7

from agent.cameras.reference import ImageCheck
from agent.lookout import Lookout
from agent.still_store import PERIOD_S, StillStore
from agent.uplink.outbox import Outbox
from agent.vision.claim import Claim, Judge, Refusal
from agent.vision.detect import Detection, Detector
from agent.vision.event import ended_unseen
from agent.vision.frame import Frame, Image
from agent.vision.image_health import TURNED
from agent.vision.pipeline import Occurrence, Pipeline
from agent.vision.thumbnail import encode, encode_tight
from agent.vision.turns import Turns
from shared.clock import Clock
from shared.messages import ClockQuality, ClockReading, Wishes

log = logging.getLogger(__name__)

_LOST_S = 10.0  # no frame for so long: what lived in view has ended as far as anybody can tell
_TICK_S = 0.25  # how long to wait for any camera's next frame before looking after the rest
_TIMINGS_KEPT = 200  # a minute or so of looks, for the median in the heartbeat


class PictureSource(Protocol):
    """Where the main stream's picture of a moment can be had (`agent.cameras.pictures`)."""

    def at(self, monotonic_s: float) -> Image | None: ...


class ClaimSource(Protocol):
    """What somebody else says it has seen, to be judged (`agent.cameras.frigate.Frigate`)."""

    def take(self) -> Claim | None: ...
    def judged(self, claim: Claim, verdict: Occurrence | Refusal) -> None: ...


@dataclass(slots=True)
class Watched:
    """One camera as the vision thread sees it."""

    camera: str
    lookout: Lookout
    pictures: PictureSource | None
    pipeline: Pipeline
    clock_offset_s: float | None
    seen_s: float  # monotonic time of its newest frame
    image_check: ImageCheck | None = None  # against the view of the day it was put up
    aim: str = ""  # the reference view its remembered places belong to
    ended: bool = True  # nothing lives in view, or it was ended when the stream was lost
    paused: bool = False  # somebody asked that nobody looks
    at_rest: bool = False  # and nothing that was seen before is left
    wish: FrameWish | None = None  # somebody waits for a frame


class FrameWish:
    """One frame, for somebody who waits for it in another thread."""

    def __init__(self) -> None:
        self._frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()

    def grant(self, frame: Frame) -> None:
        self._frames.put(frame)

    def granted(self, timeout_s: float) -> Frame | None:
        try:
            return self._frames.get(timeout=timeout_s)
        except queue.Empty:
            return None


class TimedDetector:
    """A detector that knows how long it takes."""

    def __init__(self, detector: Detector, clock: Clock) -> None:
        self._detector = detector
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=_TIMINGS_KEPT)

    @property
    def name(self) -> str:
        return self._detector.name

    @property
    def p50_ms(self) -> float | None:
        return median(self._took_s) * 1000 if self._took_s else None

    def detect(self, image: Image) -> list[Detection]:
        began_s = self._clock.monotonic()
        try:
            return self._detector.detect(image)
        finally:
            self._took_s.append(self._clock.monotonic() - began_s)


class Watch:
    """Owned by the thread `vision`. `mark_s` is the monotonic time of its last finished round."""

    def __init__(
        self,
        cameras: Iterable[Watched],
        outbox: Outbox,
        clock: Clock,
        boot_id: str,
        *,
        arrived: threading.Event,
        is_synchronised: Callable[[], bool],
    ) -> None:
        """`arrived` is set by every camera whenever it has a frame to look at."""
        self._cameras = tuple(cameras)
        self._turns = Turns(len(self._cameras))
        self._tick_due_s = clock.monotonic()
        self._outbox = outbox
        self._clock = clock
        self._boot_id = boot_id
        self._arrived = arrived
        self._is_synchronised = is_synchronised
        self._wishes: Callable[[], Wishes] = Wishes
        self._claims: tuple[ClaimSource, Judge] | None = None
        self._still: StillStore | None = None
        self._still_due_s = clock.monotonic() + PERIOD_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vision", daemon=True)
        self.mark_s = self.done_s = clock.monotonic()  # done: a round without a fault
        self.events = 0
        self.last_event_at: dict[str, datetime] = {}  # by camera: when it last saw somebody

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and what moves in view; what stands is kept for the next start, or ended too."""
        self._stop.set()
        self._arrived.set()
        self._thread.join(timeout=10)
        for watched in self._cameras:
            self._end(watched)
            if self._still is None:
                self._keep_all(watched, watched.pipeline.finish(self._now(watched)))
        self._keep_still(last=True)
        if self._still:
            self._still.close()

    def round(self) -> int:
        """Judge one claim, and take as many looks as there are cameras; return how many there were."""
        looked = self._judge()
        for _ in self._cameras:
            looked_at = (number for number, one in enumerate(self._cameras) if not one.paused)
            waiting = {number for number in looked_at if self._cameras[number].lookout.has_wanted}
            hurried = {number for number in waiting if self._cameras[number].pipeline.is_confirming}
            taken = self._turns.next(waiting, hurried)
            if taken is None or self._stop.is_set():
                break
            looked += self._look(self._cameras[taken])
        return looked

    def tick(self) -> None:
        """Look after the streams: their picture against the reference view, and whether they still come."""
        now_s = self._clock.monotonic()
        if now_s < self._tick_due_s:
            return
        self._tick_due_s = now_s + _TICK_S
        for watched in self._cameras:
            if watched.paused:
                self._rest(watched)
                continue
            watched.at_rest = False
            frame = watched.lookout.newest()
            if frame is not None:
                watched.seen_s, watched.ended = now_s, False
                if watched.wish:
                    watched.wish.grant(frame)
                    watched.wish = None
                if watched.image_check:
                    watched.image_check.look(frame)
            elif not watched.ended and now_s - watched.seen_s > _LOST_S:
                self._end(watched)
        self._keep_still()

    def _look(self, watched: Watched) -> bool:
        glance = watched.lookout.take()
        if glance is None:
            return False
        watched.ended = False
        reading = self._reading(watched.clock_offset_s, glance.frame.monotonic_s)
        try:
            self._keep_all(watched, watched.pipeline.look(glance, reading))
        finally:
            watched.lookout.looked(glance)
        return True

    def heed(self, wishes: Callable[[], Wishes]) -> None:
        """Say no more than the station wants; without this, the least. Before `start`."""
        self._wishes = wishes

    def add_claims(self, source: ClaimSource, judge: Judge) -> None:
        """Judge also what somebody else has seen. Before `start`."""
        self._claims = (source, judge)

    def remember_in(self, store: StillStore) -> None:
        """Take up what stood when the agent last ran, and keep from now on what stands. Before `start`."""
        self._still = store
        for watched in self._cameras:
            camera = watched.camera
            watched.aim = self._aim(watched)
            things, living = store.things(camera, watched.aim), store.living(camera)
            told = watched.pipeline.recall(things, living, self._clock.now(), self._now(watched))
            self._keep_all(watched, told)
        for camera in store.cameras() - {watched.camera for watched in self._cameras}:
            for event in store.living(camera).values():  # nobody else will ever say its end
                reading = self._reading(None, self._clock.monotonic())
                ended = ended_unseen(event, reading, uuid7())
                self._outbox.put(ended)
                store.told(ended)
            store.forget(camera)

    def _keep_still(self, *, last: bool = False) -> None:
        """Once a minute; a camera that was given another aim has nothing to remember."""
        now_s = self._clock.monotonic()
        if self._still is None or (now_s < self._still_due_s and not last):
            return
        self._still_due_s = now_s + PERIOD_S
        for watched in self._cameras:
            aim, reading = self._aim(watched), self._now(watched)
            turned = watched.image_check is not None and watched.image_check.cause == TURNED
            if aim != watched.aim or turned:
                watched.aim = aim
                self._keep_all(watched, watched.pipeline.forget_still(reading))
            self._keep_all(watched, watched.pipeline.expire(reading))
            things = watched.pipeline.remembered(self._clock.now(), now_s)
            self._still.keep(watched.camera, aim, things, now_s, last=last)

    def _aim(self, watched: Watched) -> str:
        return watched.image_check.aim() if watched.image_check else ""

    def _now(self, watched: Watched) -> ClockReading:
        return self._reading(watched.clock_offset_s, self._clock.monotonic())

    def _judge(self) -> int:
        """Judge one claim, if there is one; whatever happens, its source hears of it."""
        if self._claims is None:
            return 0
        source, judge = self._claims
        claim = source.take()
        if claim is None:
            return 0
        verdict: Occurrence | Refusal = Refusal.UNSEEN
        try:
            verdict = judge.judge(claim, self._reading(None, self._clock.monotonic()))
            if isinstance(verdict, Occurrence):
                self._keep(verdict, None)
        finally:
            source.judged(claim, verdict)
        return 1

    def _run(self) -> None:
        while not self._stop.is_set():
            self._arrived.wait(_TICK_S)
            self._arrived.clear()
            try:
                while self.round() and not self._stop.is_set():
                    self.mark_s = self.done_s = self._clock.monotonic()
                    self.tick()
                self.tick()
                self.done_s = self._clock.monotonic()
            except Exception:
                log.exception("a look failed")
                self._stop.wait(_TICK_S)
            self.mark_s = self._clock.monotonic()

    def _end(self, watched: Watched) -> None:
        if not watched.ended:
            watched.ended = True
            self._keep_all(watched, watched.pipeline.pause(self._now(watched)))

    def _rest(self, watched: Watched) -> None:
        """End all that lives or stands, without another picture of it, and forget what waits to be seen."""
        while watched.lookout.take() is not None:
            pass
        watched.lookout.newest()
        if not watched.at_rest:
            watched.at_rest = watched.ended = True
            for occurrence in watched.pipeline.finish(self._now(watched)):
                self._keep(replace(occurrence, view=None), None)

    def _reading(self, offset_s: float | None, monotonic_s: float) -> ClockReading:
        return ClockReading(
            boot_id=self._boot_id,
            monotonic_s=round(monotonic_s, 3),
            quality=ClockQuality.SYNCED if self._is_synchronised() else ClockQuality.UNSYNCED,
            camera_offset_s=offset_s,
        )

    def _keep_all(self, watched: Watched, occurrences: list[Occurrence]) -> None:
        for occurrence in occurrences:
            self._keep(occurrence, watched.pictures)

    def _keep(self, occurrence: Occurrence, pictures: PictureSource | None) -> None:
        """Bind the best picture to the event by its hash and put both on disk together."""
        wishes, view = self._wishes(), occurrence.view
        event = wishes.granted(occurrence.event)
        ours = self._still if any(event.camera == watched.camera for watched in self._cameras) else None
        if ours:
            ours.about_to_tell(event)
        if view is None:
            kept = self._outbox.put(event)
        else:
            full = pictures.at(view.monotonic_s) if pictures else None
            image, box = (view.image, view.box) if full is None else (full, view.place)
            encoded = encode(image, box)
            tight = encode_tight(image, box) if wishes.tight_crops else None
            shown = {
                "thumbnail": encoded.announced(view.captured_at),
                "crop": tight and tight.announced(view.captured_at),
            }
            announced = event.model_copy(update=shown)
            kept = self._outbox.put(announced, encoded.jpeg, tight.jpeg if tight else None)
        if ours:
            ours.told(event)
        self.events += event.revision == 0
        self.last_event_at[event.camera] = event.seen_at
        log.info(
            "event",
            extra={
                "camera": event.camera,
                "event": str(event.event_id),
                "phase": event.phase.value,
                "kind": event.kind.value,
                "sequence": kept.sequence,
                "late_ms": round(1000 * (self._clock.monotonic() - event.clock.monotonic_s)),
            },
        )
