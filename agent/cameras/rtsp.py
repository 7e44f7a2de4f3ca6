"""What does this camera see right now? One stream → its newest `Frame`, and how the camera is."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from agent.cameras.attention import Attention
from agent.cameras.economy import KEYS_FAR_S, Decoding, Economy, How
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
_HEAD_BYTES = 2048  # of a packet; its first slice begins there
_SKETCH = (80, 45)  # a person of 8 % of the height covers four of its pixels
_SKETCH_DIFFERENCE = 6  # grey levels: noise stays under 2 when 64 pixels are one
_SKETCH_PIXELS = 2


class FrameSink(Protocol):
    """Where frames go; called in the reader's thread. `past`: of a group decoded late, before the next."""

    def put(self, frame: Frame, *, past: bool = False) -> None: ...


class FrameSlot:
    """One place between two threads: the newest frame wins, and what nobody took is counted.

    For who wants to see what is there now. Who must catch up with the past is `agent.lookout`.
    """

    def __init__(self, arrived: threading.Event | None = None) -> None:
        """`arrived` is set at every new frame, for who waits for several cameras at once."""
        self._arrived = arrived
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self.dropped = 0

    def put(self, frame: Frame, *, past: bool = False) -> None:
        del past  # frames come in their order, so the newest is the newest
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify_all()
        if self._arrived:
            self._arrived.set()

    def take(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet taken; None when none comes in time."""
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
        slot: FrameSink,
        sampled_fps: float,
        masks: LiveMasks | None = None,
    ) -> None:
        self._name = name
        self._sampled_fps = sampled_fps
        self._decoder = _Decoder(name, clock, slot, sampled_fps, masks)
        self._reader = StreamReader(name, address, clock, self._decoder)

    def be_thrifty(self, attention: Attention, *, is_only_stream: bool) -> None:
        """Decode less where it may be: `attention` says when somebody needs every picture. Before `start`."""
        self._decoder.thrift = Thrift(attention, is_only_stream)

    def start(self) -> None:
        self._reader.start()

    def ask_to_stop(self) -> None:
        self._reader.ask_to_stop()

    def stop(self) -> None:
        self._reader.stop()

    def move_to(self, address: StreamAddress) -> None:
        """Go on at another address, at once; for any thread."""
        self._reader.move_to(address)

    def hold(self, *, held: bool) -> None:
        """Hang up and stay away, or come back; for any thread."""
        self._reader.hold(held=held)

    def resample(self, fps: float) -> None:
        """Look at so many frames per second from now on: the session begins anew; for any thread."""
        self._sampled_fps = fps
        self._decoder.sampled_fps = fps
        self._reader.reopen()

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
            decoding=self._decoder.choice.how.value,
            decoding_why=self._decoder.choice.why.value,
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


@dataclass(frozen=True, slots=True)
class Thrift:
    """What the decoder may save: nothing, unless somebody says when every picture is needed."""

    attention: Attention | None = None
    is_only_stream: bool = False  # no smaller one to look at instead


class _Decoder:
    """Packets → frames, in the reader's thread; decodes what is needed, converts only what is looked at.

    Asleep, it decodes key frames only and keeps the packets in between. When the eye, a packet's size or
    a key frame says that something stirs, it decodes the kept ones first: nothing is lost, it comes late
    by less than a group of pictures, and each frame carries the time at which it was seen.
    """

    def __init__(
        self, name: str, clock: Clock, slot: FrameSink, sampled_fps: float, masks: LiveMasks | None
    ) -> None:
        self._name, self._clock, self._slot = name, clock, slot
        self._masks = masks
        self.sampled_fps = sampled_fps  # from the next session on
        self.thrift = Thrift()
        self._arrivals_s: deque[float] = deque(maxlen=1024)  # 10 s of 100 frames per second
        self._video: VideoStream | None = None
        self._key_s: float | None = None
        self._economy = Economy("", sampled_fps, is_only_stream=False)
        self.whole = False  # nothing before the first key frame can be a whole picture
        self.opened_s = clock.monotonic()

    @property
    def choice(self) -> Decoding:
        return self._economy.choice

    def opened(self, video: VideoStream) -> None:
        """Begin a session: the wall clock is read here, once, and monotonic time counts on from it."""
        self._video = video
        self._convert = VideoReformatter()
        self._sampler = Sampler(self.sampled_fps)
        self._economy = Economy(
            video.codec_context.name,
            self.sampled_fps,
            is_only_stream=self.thrift.is_only_stream,
            saves=self.thrift.attention is not None,
        )
        self._kept: list[Arrival] = []  # asleep: the newest key frame, decoded, and what followed, undecoded
        self._sketch: Image | None = None
        self._decoded_until_s: float | None = None
        self.whole, self._key_s, self._said_far = False, None, False
        self.opened_s = self._clock.monotonic()
        self._wall_at_zero: datetime = self._clock.now() - timedelta(seconds=self.opened_s)

    def arrived(self, arrival: Arrival) -> None:
        packet, seen_s = arrival.packet, arrival.monotonic_s
        if packet.is_keyframe:
            self._note_key_frame(seen_s)
        if not self.whole:
            return
        quiet = self._is_quiet(arrival)
        head = bytes(memoryview(packet)[:_HEAD_BYTES])
        spare = self._economy.add(head, packet.size, seen_s, is_key=packet.is_keyframe, quiet=quiet)
        how = self.choice.how
        if packet.is_keyframe and how is How.QUIET and quiet and (self._kept or self._economy.after_quiet):
            self._glance(arrival)
        elif quiet and self._may_keep(arrival) and not self._economy.stirs(packet.size):
            self._kept.append(arrival)
            self._arrivals_s.append(self._clock.monotonic())
        elif how is How.KEYS and not packet.is_keyframe:
            self._arrivals_s.append(self._clock.monotonic())
        else:
            self._wake(arrival)
            if spare and self.choice.leaves_spare:
                self._arrivals_s.append(self._clock.monotonic())
            else:
                self._show(arrival)

    def _is_quiet(self, arrival: Arrival) -> bool:
        attention = self.thrift.attention
        return attention is not None and arrival.live and not attention.is_awake(arrival.monotonic_s)

    def _may_keep(self, arrival: Arrival) -> bool:
        if not self._kept or arrival.packet.is_keyframe:
            return False
        return arrival.monotonic_s - self._kept[0].monotonic_s <= KEYS_FAR_S

    def _glance(self, arrival: Arrival) -> None:
        """Asleep at a key frame: hand it on, unless it shows that something came since the last one."""
        for frame in [self._frame(*each) for each in self._pictures(arrival)]:
            sketch, before = _sketched(frame.image), self._sketch
            if self._kept and before is not None and _differ(sketch, before):
                self._wake(arrival)
                self._show(arrival)  # once more: the decoder must go on from it
                return
            self._sketch = sketch
            if self._sampler.wants(frame.monotonic_s):
                self._slot.put(frame)
        self._kept = [arrival]

    def _wake(self, arrival: Arrival) -> None:
        """Decode what was kept. At a key frame the decoder has left the kept group: begin it again."""
        if not self._kept:
            return
        kept, self._kept, self._sketch, self._decoded_until_s = self._kept, [], None, None
        again = arrival.packet.is_keyframe
        if self.thrift.attention:
            self.thrift.attention.wake(arrival.monotonic_s)
        for number, late in enumerate(kept):
            if number or again:
                for picture, seen_s in self._pictures(late, counted=False):
                    if number and self._sampler.wants(seen_s):
                        self._slot.put(self._frame(picture, seen_s), past=True)

    def _show(self, arrival: Arrival) -> None:
        """Decode it, and hand it on if it is to be looked at."""
        began_s = time.thread_time()
        shown = [
            self._frame(picture, seen_s)
            for picture, seen_s in self._pictures(arrival)
            if arrival.live and self._sampler.wants(seen_s)
        ]
        before_s, self._decoded_until_s = self._decoded_until_s, arrival.monotonic_s
        if arrival.live and before_s is not None:
            self._economy.spent(time.thread_time() - began_s, arrival.monotonic_s - before_s)
        for frame in shown:  # where they go has work of its own, which is not decoding
            self._slot.put(frame)

    def _pictures(self, arrival: Arrival, *, counted: bool = True) -> Iterator[tuple[VideoFrame, float]]:
        """Decode; yields whole pictures, each with the moment it was seen."""
        try:
            pictures = arrival.packet.decode()
        except FFmpegError as error:
            log.warning("packet not decodable", extra={"camera": self._name, "reason": error.strerror})
            return
        for picture in pictures:
            if picture.is_corrupt:
                continue
            if counted:
                self._arrivals_s.append(self._clock.monotonic())
            behind_s = _behind_s(picture, arrival)
            self._economy.is_reordered = self._economy.is_reordered or behind_s != 0
            self._economy.macroblocks = picture.width * picture.height // 256
            yield picture, arrival.monotonic_s + behind_s

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


def _sketched(image: Image) -> Image:
    """A tenth of the picture's width, in grey, masks already burnt in."""
    return np.asarray(
        cv2.cvtColor(cv2.resize(image, _SKETCH, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY), np.uint8
    )


def _differ(one: Image, other: Image) -> bool:
    return int((cv2.absdiff(one, other) > _SKETCH_DIFFERENCE).sum()) >= _SKETCH_PIXELS
