"""What comes out of one RTSP connection? Packets, each with the moment it was seen, or why it ended.

Measured on real failures: FFmpeg's own time-outs make 10 to 20 s of a 5 s limit, because every expired
read still yields a delayed frame, and after a hole in the Wi-Fi up to half a minute of old pictures
arrives as if it were new. So there are two rules here. What came after a wait of over 2.5 s is dead, and
so is what lags 2.5 s behind the stream's own clock: the connection ends, and a new one begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.container import InputContainer
from av.error import ConnectionRefusedError as AvConnectionRefused
from av.error import FFmpegError, HTTPClientError, HTTPForbiddenError, HTTPServerError, HTTPUnauthorizedError
from av.packet import Packet
from av.video.stream import VideoStream

from agent.cameras.credentials import Credential
from shared.clock import Clock
from shared.errors import NeedsFixing, TryLater

STALL_S = 2.5  # the slowest healthy gap measured at 20 % packet loss was 0.4 s
_OPEN_S, _READ_S = 5.0, 3.0
_OPTIONS = {
    "rtsp_transport": "tcp",  # UDP at 5 % loss: gaps of 1.9 s and corrupt pictures; TCP: 0.2 s
    "fflags": "discardcorrupt",
    "allowed_media_types": "video",  # no microphone: by design, and its clock would bend the video's
    "probesize": "32",  # hand over the first packet at once: the default holds back up to 5 s of video
}
_WINDOW_S = 30.0  # the least delayed packet of so long is "now"; clocks drift 1.5 ms apart in it


class StreamUnreachable(TryLater):
    """Nothing answers there. (`cause`, here and below: the code of `agent.health`.)"""

    key, cause = "stream-unreachable", "unreachable"


class StreamStalled(TryLater):
    key, cause = "stream-stalled", "stalled"


class StreamRefused(NeedsFixing):
    """The camera is there and says no: port closed, no such stream, too many viewers."""

    key, cause = "stream-refused", "refused"


class WrongPassword(NeedsFixing):
    """The camera did not take the login. Nobody but a person may try again."""

    key, cause = "camera-refused", "wrong-password"


StreamFailure = StreamUnreachable | StreamStalled | StreamRefused | WrongPassword


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Where a stream is, and the login for it; they meet only at the moment of opening."""

    url: str
    credential: Credential | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def with_login(self) -> str:
        """Return the URL as FFmpeg wants it. Never log, store or raise it."""
        if self.credential is None or not self.credential.username:
            return self.url
        secret = self.credential.password.get_secret_value()
        parts = urlsplit(self.url)
        login = f"{quote(self.credential.username, safe='')}:{quote(secret, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet, and when (monotonic) what it shows was seen: network jitter taken out."""

    packet: Packet[VideoStream]
    monotonic_s: float


class SeenTime:
    """Maps the stream's clock to ours by the packet that travelled fastest in the last half minute."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._offset_s = self._previous_s = float("inf")

    def seen_s(self, stream_s: float | None, arrived_s: float) -> float:
        """Return when it was seen; never after it arrived, never before what came earlier."""
        if stream_s is None:
            return arrived_s
        if arrived_s - self._began_s > _WINDOW_S:
            self._began_s = arrived_s
            self._previous_s, self._offset_s = self._offset_s, float("inf")
        self._offset_s = min(self._offset_s, arrived_s - stream_s)
        return stream_s + min(self._offset_s, self._previous_s)


class Connection:
    """One RTSP session, open until closed. Raises a StreamFailure when it cannot be opened."""

    def __init__(self, address: StreamAddress, clock: Clock) -> None:
        self._host = address.host
        self._clock = clock
        self._container = _open(address)
        if not self._container.streams.video:
            self._container.close()
            raise StreamRefused(host=self._host, reason="no video")
        self.video: VideoStream = self._container.streams.video[0]
        self.video.thread_type = "NONE"  # frame threads hold back one old frame per thread
        self.video.codec_context.thread_count = 1

    def arrivals(self) -> Iterator[Arrival]:
        """Yield packets as they come, for ever; raises StreamStalled or StreamUnreachable."""
        times = SeenTime()
        packets = self._container.demux(self.video)
        while True:
            waiting_since_s = self._clock.monotonic()
            packet = self._next(packets, waiting_since_s)
            arrived_s = self._clock.monotonic()
            stream_s = None if packet.pts is None else float(packet.pts * packet.time_base)
            seen_s = times.seen_s(stream_s, arrived_s)
            if max(arrived_s - waiting_since_s, arrived_s - seen_s) > STALL_S:
                raise StreamStalled(host=self._host)
            yield Arrival(packet, seen_s)

    def _next(self, packets: Iterator[Packet[VideoStream]], waiting_since_s: float) -> Packet[VideoStream]:
        try:
            packet = next(packets)
        except StopIteration:
            packet = None
        except FFmpegError as error:
            if self._clock.monotonic() - waiting_since_s > STALL_S:
                raise StreamStalled(host=self._host) from None
            raise StreamUnreachable(host=self._host, reason=error.strerror) from None
        if packet is None or not packet.size:
            raise StreamUnreachable(host=self._host, reason="closed by the camera")
        return packet

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(address: StreamAddress) -> InputContainer:
    """Open, and judge a failure. A login known to be refused is not sent, and one at a time is."""
    credential = address.credential
    if credential is None:
        return _connect(address)
    with credential.turn:
        if credential.refused:
            raise WrongPassword(host=address.host)
        try:
            return _connect(address)
        except WrongPassword:
            credential.refuse()
            raise


def _connect(address: StreamAddress) -> InputContainer:
    """FFmpeg's errors quote the URL with its password, so none of them leaves this function."""
    host = address.host
    try:
        return av.open(address.with_login(), options=_OPTIONS, timeout=(_OPEN_S, _READ_S))
    except (HTTPUnauthorizedError, HTTPForbiddenError):
        raise WrongPassword(host=host) from None
    except (HTTPClientError, HTTPServerError, AvConnectionRefused) as error:
        raise StreamRefused(host=host, reason=error.strerror) from None
    except (FFmpegError, ValueError) as error:
        reason = error.strerror if isinstance(error, FFmpegError) else "not an address"
        raise StreamUnreachable(host=host, reason=reason) from None
