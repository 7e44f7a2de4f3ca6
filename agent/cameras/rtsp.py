"""What does this camera see right now? One stream → its newest `Frame`, and how the camera is."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime, timedelta
from typing import cast

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from agent.cameras.masks import LiveMasks
from agent.cameras.reader import CONNECTING, OK, StreamReader
from agent.cameras.stream import STALL_S, Arrival, StreamAddress, StreamStalled
from agent.vision.frame import Frame, Image
from shared.clock import Clock
from shared.messages import CameraHealth, CameraState

log = logging.getLogger(__name__)

NO_KEY_FRAME = "no-key-frame"  # a code of `agent.health`

_RATE_WINDOW_S = 10.0  # frames per second are counted over so long
_LOW = 0.5  # less than half of what we want to look at is worth saying
_KEY_PATIENCE_S = 5.0  # cameras are shipped with a key frame every 1 to 4 s
_EARLY = 0.25  # of a sampling period: jitter must not push a frame into the next one


class FrameSlot:
    """One place between two threads: the newest frame wins, and what nobody took is counted."""

    def __init__(self, arrived: threading.Event | None = None) -> None:
        """`arrived` is set at every new frame, for who waits for several cameras at once."""
        self._arrived = arrived
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        with self._condition:
            if self._frame is not None:
                self.dropped += 1
            self._frame = frame
            self._condition.notify_all()
        if self._arrived:
            self._arrived.set()

    def take(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet taken, waiting for one if need be; None when none comes."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            return frame


class Sampler:
    """Which frames are looked at? About `fps` per second, evenly, however fast they come."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1 / fps
        self._due_s = float("-inf")

    def wants(self, seen_s: float) -> bool:
        if seen_s < self._due_s - _EARLY * self._period_s:
            return False
        behind = seen_s - self._due_s > self._period_s
        self._due_s = seen_s + self._period_s if behind else self._due_s + self._period_s
        return True


class CameraStream:
    """Reads the stream that is looked at, in a thread of its own, until stopped."""

    def __init__(
        self,
        name: str,
        address: StreamAddress,
        clock: Clock,
        *,
        slot: FrameSlot,
        sampled_fps: float,
        masks: LiveMasks | None = None,
    ) -> None:
        self._name = name
        self._sampled_fps = sampled_fps
        self._decoder = _Decoder(name, clock, slot, sampled_fps, masks)
        self._reader = StreamReader(name, address, clock, self._decoder)

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        self._reader.stop()

    def move_to(self, address: StreamAddress) -> None:
        """Go on at another address, at once; for any thread."""
        self._reader.move_to(address)

    def health(self, now_monotonic_s: float) -> CameraHealth:
        """Return how the camera is at this moment; may be called from any thread."""
        age_s = self._decoder.age_s(now_monotonic_s)
        state, cause = CameraState.DOWN, self._reader.cause
        if cause == OK:
            state, cause = self._judged(now_monotonic_s, age_s)
        return CameraHealth(
            camera=self._name,
            state=state,
            cause=cause,
            frame_age_s=None if age_s is None else round(age_s, 2),
            fps=round(self._decoder.fps(now_monotonic_s), 1),
        )

    def _judged(self, now_s: float, age_s: float | None) -> tuple[CameraState, str]:
        """Packets come; what does the decoder make of them?"""
        open_s = now_s - self._decoder.opened_s
        if not self._decoder.whole or age_s is None:
            return CameraState.DOWN, NO_KEY_FRAME if open_s > _KEY_PATIENCE_S else CONNECTING
        if age_s > STALL_S:
            return CameraState.DOWN, StreamStalled.cause
        if open_s > _RATE_WINDOW_S and self._decoder.fps(now_s) < self._sampled_fps * _LOW:
            return CameraState.DEGRADED, "low-fps"
        return CameraState.OK, OK


class _Decoder:
    """Packets → frames, in the reader's thread; decodes all, converts only what is looked at."""

    def __init__(
        self, name: str, clock: Clock, slot: FrameSlot, sampled_fps: float, masks: LiveMasks | None
    ) -> None:
        self._name, self._clock, self._slot = name, clock, slot
        self._masks = masks
        self._sampled_fps = sampled_fps
        self._arrivals_s: deque[float] = deque(maxlen=1024)  # 10 s of 100 frames per second
        self._video: VideoStream | None = None
        self._key_s: float | None = None
        self.whole = False  # nothing before the first key frame can be a whole picture
        self.opened_s = clock.monotonic()

    def opened(self, video: VideoStream) -> None:
        """Begin a session: the wall clock is read here, once, and monotonic time counts on from it."""
        self._video = video
        self._convert = VideoReformatter()
        self._sampler = Sampler(self._sampled_fps)
        self.whole, self._key_s, self._said_far = False, None, False
        self.opened_s = self._clock.monotonic()
        self._wall_at_zero: datetime = self._clock.now() - timedelta(seconds=self.opened_s)

    def arrived(self, arrival: Arrival) -> None:
        if arrival.packet.is_keyframe:
            self._note_key_frame(arrival.monotonic_s)
        if not self.whole:
            return
        try:
            pictures = arrival.packet.decode()
        except FFmpegError as error:
            log.warning("packet not decodable", extra={"camera": self._name, "reason": error.strerror})
            return
        for picture in pictures:
            if picture.is_corrupt:
                continue
            self._arrivals_s.append(self._clock.monotonic())
            seen_s = arrival.monotonic_s + _behind_s(picture, arrival)
            if arrival.live and self._sampler.wants(seen_s):
                self._slot.put(self._frame(picture, seen_s))

    def _note_key_frame(self, seen_s: float) -> None:
        """Say, once in a session, when its key frames are so far apart that every return takes long."""
        gap_s = seen_s - (self.opened_s if self._key_s is None else self._key_s)
        if gap_s > _KEY_PATIENCE_S and not self._said_far:
            self._said_far = True
            log.warning("key frames far apart", extra={"camera": self._name, "seconds": round(gap_s, 1)})
        self.whole, self._key_s = True, seen_s

    def _frame(self, picture: VideoFrame, seen_s: float) -> Frame:
        # one thread: by itself FFmpeg keeps a pool per camera, and wakes all of it for each small picture
        image = cast(Image, self._convert.reformat(picture, format="bgr24", threads=1).to_ndarray())
        if self._masks:
            image = self._masks.blackened(image)
        captured_at = self._wall_at_zero + timedelta(seconds=seen_s)
        return Frame(self._name, image, captured_at, seen_s)

    def age_s(self, now_s: float) -> float | None:
        return max(now_s - self._arrivals_s[-1], 0.0) if self._arrivals_s else None

    def fps(self, now_s: float) -> float:
        """Whole pictures per second over the last ten seconds, or since the session began."""
        span_s = min(_RATE_WINDOW_S, max(now_s - self.opened_s, 1.0))
        return sum(now_s - moment <= span_s for moment in tuple(self._arrivals_s)) / span_s


def _behind_s(picture: VideoFrame, arrival: Arrival) -> float:
    """How far a picture lies before the packet that set it free (B-frames); 0 for most cameras."""
    packet = arrival.packet
    if picture.pts is None or packet.pts is None:
        return 0.0
    return float((picture.pts - packet.pts) * packet.time_base)
