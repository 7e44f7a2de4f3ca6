"""What has this camera to show the detector? Every frame passes the gate here, in the camera's own thread."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import Protocol

from agent.cameras.attention import Attention
from agent.vision.frame import Frame
from agent.vision.pace import Figures, Pace
from agent.vision.pipeline import Glance, Pipeline
from shared.clock import Clock

_CATCH_UP = 24  # frames of the past: the longest group kept undecoded, at five a second, and some more


class HintSource(Protocol):
    """When the camera itself last said it saw somebody (`agent.cameras.camera_events.HintMark`)."""

    def take(self) -> float | None: ...


class Lookout:
    """Between a camera's thread and the detector's: the newest wanted frame waits, and nothing else.

    Frames to be caught up with (`put(..., past=True)`: a group decoded late) wait in a short queue, in
    their order. A frame nobody wants never takes the place of one that is wanted.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: Clock,
        *,
        arrived: threading.Event | None = None,
        attention: Attention | None = None,
        hints: HintSource | None = None,
    ) -> None:
        """`arrived` is set for wanted frames only; `attention` is told whether every picture is needed."""
        self._pipeline = pipeline
        self._clock = clock
        self._arrived = arrived
        self._attention = attention
        self._hints = hints
        self._lock = threading.Lock()
        self._glance: Glance | None = None
        self._past: deque[Glance] = deque()
        self._newest: Frame | None = None
        self._pace = Pace()
        self.dropped = 0  # frames the detector should have looked at, and did not

    def put(self, frame: Frame, *, past: bool = False) -> None:
        """Show the frame to the gate; in the thread that reads the camera."""
        if self._hints and (hinted_s := self._hints.take()) is not None:
            self._pipeline.hint(hinted_s)
        glance = self._pipeline.glance(frame)
        if glance is None:
            return
        if self._attention:
            self._attention.saw(frame.monotonic_s, quiet=self._pipeline.is_quiet)
        with self._lock:
            self._newest = frame
            if glance.wanted and past:
                self._queue(glance)
            elif glance.wanted:
                self._replace(glance)
        if glance.wanted and self._arrived:
            self._arrived.set()

    @property
    def has_wanted(self) -> bool:
        return bool(self._past) or self._glance is not None

    def take(self) -> Glance | None:
        """Return the next frame to look at: those of the past first, then the newest."""
        with self._lock:
            if self._past:
                return self._past.popleft()
            glance, self._glance = self._glance, None
            return glance

    def looked(self, glance: Glance) -> None:
        """The detector is done with it; in the thread of the detector."""
        now_s, seen_s = self._clock.monotonic(), glance.frame.monotonic_s
        with self._lock:
            self._pace.looked(now_s, now_s - seen_s)
        if self._attention and not self._pipeline.is_quiet:
            self._attention.wake(seen_s)

    def newest(self) -> Frame | None:
        """Return the newest frame, wanted or not; once."""
        with self._lock:
            frame, self._newest = self._newest, None
            return frame

    def is_behind(self) -> bool:
        with self._lock:
            return self._pace.is_behind(self._clock.monotonic())

    def figures(self) -> Figures:
        with self._lock:
            return self._pace.figures(self._clock.monotonic())

    def _replace(self, glance: Glance) -> None:
        if self._glance is not None:
            glance = self._instead_of(self._glance, glance)
        self._glance = glance

    def _queue(self, glance: Glance) -> None:
        if self._glance is not None:  # older than the group
            self._past.append(self._glance)
            self._glance = None
        self._past.append(glance)
        if len(self._past) > _CATCH_UP:
            self._thin_out()

    def _thin_out(self) -> None:
        """Keep every second one: half as often over the whole group, rather than none of its beginning."""
        kept: deque[Glance] = deque()
        for number, glance in enumerate(self._past):
            if number % 2:
                kept[-1] = self._instead_of(kept[-1], glance)
            else:
                kept.append(glance)
        self._past = kept

    def _instead_of(self, skipped: Glance, glance: Glance) -> Glance:
        """What was new with the skipped one is new with the one looked at in its place."""
        if not skipped.routine:
            self.dropped += 1
            self._pace.skipped(self._clock.monotonic())
        return replace(glance, anew=True) if skipped.anew and not glance.anew else glance
