"""What did the main stream show at that moment? Packets are kept, and decoded only when asked for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import cast

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from agent.cameras.masks import LiveMasks
from agent.cameras.reader import StreamReader
from agent.cameras.stream import Arrival, StreamAddress
from agent.vision.frame import Image
from shared.clock import Clock

log = logging.getLogger(__name__)

MAX_BYTES = 16 << 20  # 30 s of a 4 Mbit/s main stream; four cameras of it fit a 1 GB box
MAX_S = 30.0  # a view is told of within seconds; without this, a box grows until each camera's bytes are full
NEAR_S = 0.5  # a person walks 0.7 m in that time: further off it is another picture


@dataclass(frozen=True, slots=True)
class KeptPacket:
    data: bytes
    number: int  # counts up; a decoder hands it back with the picture, in whatever order
    is_key: bool
    monotonic_s: float


class GopStore:
    """The newest groups of pictures (key frame to key frame) that fit the budget; thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_s: float = MAX_S) -> None:
        self._max_bytes, self._max_s = max_bytes, max_s
        self._size_bytes = 0
        self._packets: deque[KeptPacket] = deque()
        self._begun_s: deque[float] = deque()  # when each group kept began
        self._lock = threading.Lock()

    def add(self, packet: KeptPacket) -> None:
        """Keep a packet; whole groups go when there is no room or they are old, and none is kept headless."""
        with self._lock:
            if not self._packets and not packet.is_key:
                return
            self._packets.append(packet)
            self._size_bytes += len(packet.data)
            if packet.is_key:
                self._begun_s.append(packet.monotonic_s)
            while self._size_bytes > self._max_bytes or self._is_first_old(packet.monotonic_s):
                self._drop_group()

    def clear(self) -> None:
        with self._lock:
            self._packets.clear()
            self._begun_s.clear()
            self._size_bytes = 0

    def around(self, monotonic_s: float) -> tuple[tuple[KeptPacket, ...], int] | None:
        """Return the group that holds the picture nearest to that moment, and that picture's number."""
        with self._lock:
            if not self._packets:
                return None
            kept = tuple(self._packets)
        best = min(range(len(kept)), key=lambda at: abs(kept[at].monotonic_s - monotonic_s))
        if abs(kept[best].monotonic_s - monotonic_s) > NEAR_S:
            return None
        first = next(at for at in range(best, -1, -1) if kept[at].is_key)
        end = next((at for at in range(best + 1, len(kept)) if kept[at].is_key), len(kept))
        return kept[first:end], kept[best].number

    def _is_first_old(self, now_s: float) -> bool:
        return len(self._begun_s) > 1 and now_s - self._begun_s[1] > self._max_s

    def _drop_group(self) -> None:
        self._begun_s.popleft()
        while self._packets:
            self._size_bytes -= len(self._packets.popleft().data)
            if self._packets and self._packets[0].is_key:
                return


class MainPictures:
    """Holds the main stream open without decoding it; owns its thread. `at` is for any thread."""

    def __init__(
        self, name: str, address: StreamAddress, clock: Clock, masks: LiveMasks | None = None
    ) -> None:
        self._name = name
        self._masks = masks
        self._store = GopStore()
        self._number = 0
        self._codec: tuple[str, bytes | None] = ("", None)
        self._reader = StreamReader(f"{name}-main", address, clock, self)

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
        """Hang up, forget what was seen and stay away, or come back; for any thread."""
        self._reader.hold(held=held)
        self._store.clear()

    def at(self, monotonic_s: float) -> Image | None:
        """Return the picture nearest to that moment, at most half a second off, or None."""
        found = self._store.around(monotonic_s)
        if found is None:
            return None
        try:
            image = _decoded(*self._codec, *found)
        except FFmpegError as error:
            log.warning("picture not decodable", extra={"camera": self._name, "reason": error.strerror})
            return None
        return image if image is None or self._masks is None else self._masks.blackened(image)

    def opened(self, video: VideoStream) -> None:
        """Forget the old session: its packets and the new one's are not of one stream."""
        self._store.clear()
        self._codec = (video.codec_context.name, video.codec_context.extradata)

    def arrived(self, arrival: Arrival) -> None:
        packet = arrival.packet
        self._number += 1
        self._store.add(KeptPacket(bytes(packet), self._number, packet.is_keyframe, arrival.monotonic_s))


def _decoded(codec: str, extradata: bytes | None, group: tuple[KeptPacket, ...], wanted: int) -> Image | None:
    """Decode from the key frame on, until the picture wanted comes out."""
    decoder = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1  # threads that live for one picture each leave a heap behind
    if extradata:
        decoder.extradata = extradata
    for kept in (*group, None):
        packet = None
        if kept is not None:
            packet = av.Packet(kept.data)
            packet.pts = kept.number
        for picture in decoder.decode(packet):
            if picture.pts == wanted:
                return cast(Image, picture.to_ndarray(format="bgr24"))
    return None
