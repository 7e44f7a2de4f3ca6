"""What does a stream really carry? Size, codec and rate from the stream itself: profiles are known to lie."""

from __future__ import annotations

from dataclasses import dataclass

from av.error import FFmpegError

from agent.cameras.stream import Arrival, Connection, StreamAddress, StreamRefused
from shared.clock import Clock

_PATIENCE_S = 10.0  # until the first whole picture: smart codecs send a key frame every 4 to 8 s
_COUNTED = 10  # packets are enough to tell 10 from 12 frames per second


@dataclass(frozen=True, slots=True)
class StreamFacts:
    codec: str
    width: int
    height: int
    fps: float


def look(address: StreamAddress, clock: Clock) -> StreamFacts:
    """Open the stream, decode one whole picture, count a second or two of them.

    Raises WrongPassword, StreamRefused, StreamUnreachable, StreamStalled.
    """
    deadline_s = clock.monotonic() + _PATIENCE_S
    size: tuple[int, int] | None = None
    whole = False  # nothing before the first key frame can be a whole picture
    seen_s: list[float] = []
    with Connection(address, clock) as connection:
        codec = connection.video.codec_context.name
        for arrival in connection.arrivals():
            seen_s.append(arrival.monotonic_s)
            whole = whole or arrival.packet.is_keyframe
            if whole and size is None:
                size = _size(arrival)
            if (size and len(seen_s) >= _COUNTED) or clock.monotonic() > deadline_s:
                break
    if size is None:
        raise StreamRefused(host=address.host, reason="no whole picture")
    span_s = seen_s[-1] - seen_s[0]
    return StreamFacts(codec, *size, round((len(seen_s) - 1) / span_s, 1) if span_s > 0 else 0.0)


def _size(arrival: Arrival) -> tuple[int, int] | None:
    try:
        pictures = arrival.packet.decode()
    except FFmpegError:
        return None
    return next(((picture.width, picture.height) for picture in pictures), None)
