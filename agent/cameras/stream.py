"""What comes out of one RTSP connection? Packets, each with the moment it was seen, or why it ended.

Measured on real failures: FFmpeg's own time-outs make 10 to 20 s of a 5 s limit, because every expired
read still yields a delayed frame, and after a hole in the Wi-Fi up to half a minute of old pictures
arrives as if it were new. So there are two rules here. What came after a wait of over 2.5 s is dead, and
so is what lags 2.5 s behind the stream's own clock: the connection ends, and a new one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self, cast
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.container import InputContainer
from av.error import ConnectionRefusedError as AvConnectionRefused
from av.error import (
    FFmpegError,
    HTTPBadRequestError,
    HTTPClientError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPServerError,
    HTTPUnauthorizedError,
)
from av.packet import Packet
from av.video.stream import VideoStream

from agent.cameras.backoff import NO_PICTURE, NO_STREAM, TOO_MANY, Pace
from agent.cameras.credentials import Credential
from shared.clock import Clock
from shared.errors import NeedsFixing, TryLater

STALL_S = 2.5  # the slowest healthy gap measured at 20 % packet loss was 0.4 s
_OPEN_S, _READ_S = 5.0, 2.5  # old recorders take 3 s to open; a read is over when it is a stall
_OPTIONS = {
    "rtsp_transport": "tcp",  # UDP at 5 % loss: gaps of 1.9 s and corrupt pictures; TCP: 0.2 s
    "fflags": "discardcorrupt",
    "allowed_media_types": "video",  # no microphone: by design, and its clock would bend the video's
    "probesize": "32",  # hand over the first packet at once: the default holds back up to 5 s of video
}
_WINDOW_S = 30.0  # the least delayed packet of so long is "now"; clocks drift 1.5 ms apart in it
_DRAINING_S = 5.0  # at the latest so long after the first packet it is taken as live
_PACED = 0.5  # a packet that took half its own time to come was not lying in a buffer


class StreamUnreachable(TryLater):
    """Nothing answers there. (`cause`, here and below: the code of `agent.health`.)"""

    key, cause = "stream-unreachable", "unreachable"
    pace: ClassVar[Pace] = NO_PICTURE


class StreamStalled(TryLater):
    key, cause = "stream-stalled", "stalled"
    pace: ClassVar[Pace] = NO_PICTURE


class StreamRefused(NeedsFixing):
    """The camera is there and says no: port closed, no such stream."""

    key, cause = "stream-refused", "refused"
    pace: ClassVar[Pace] = NO_STREAM


class StreamBusy(StreamRefused):
    """It has too many viewers (453, 503), or still counts our session that broke off (454, 455)."""

    key, cause = "stream-busy", "busy"
    pace: ClassVar[Pace] = TOO_MANY


class WrongPassword(NeedsFixing):
    """The camera did not take the login. Nobody but a person may try again."""

    key, cause = "camera-refused", "wrong-password"


StreamFailure = StreamUnreachable | StreamStalled | StreamRefused | WrongPassword


def _anybody() -> None:
    """No guard: whoever answers is the one."""


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Where a stream is, and the login for it; they meet only at the moment of opening."""

    url: str
    credential: Credential | None = None
    guard: Callable[[], None] = field(default=_anybody, compare=False, repr=False)
    # called before the login is said; raises a StreamFailure when somebody else lives there now

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
    """A packet, and when (monotonic) what it shows was seen: network jitter taken out.

    Until `live`, it may have lain in a buffer for seconds, and the moment is a guess.
    """

    packet: Packet[VideoStream]
    monotonic_s: float
    live: bool


class SeenTime:
    """Maps the stream's clock to ours by the packet that travelled fastest in the last half minute.

    Of the first packets alone nobody can say how long they travelled: a session opened through a hole in
    the Wi-Fi, or by a recorder that keeps some seconds at hand, begins with old ones, in a burst. It is
    `live` once a packet has come no faster than the street moves.
    """

    def __init__(self) -> None:
        self.live = False
        self._began_s = 0.0
        self._offset_s = self._previous_s = float("inf")
        self._first_s: float | None = None
        self._last: tuple[float, float] | None = None

    def seen_s(self, stream_s: float | None, arrived_s: float) -> float:
        """Return when it was seen; never after it arrived, never before what came earlier."""
        self.live = self.live or self._is_live(stream_s, arrived_s)
        if stream_s is None:
            return arrived_s
        if arrived_s - self._began_s > _WINDOW_S:
            self._began_s = arrived_s
            self._previous_s, self._offset_s = self._offset_s, float("inf")
        self._offset_s = min(self._offset_s, arrived_s - stream_s)
        return stream_s + min(self._offset_s, self._previous_s)

    def _is_live(self, stream_s: float | None, arrived_s: float) -> bool:
        if self._first_s is None:
            self._first_s = arrived_s
        if stream_s is None:
            return True
        before, self._last = self._last, (stream_s, arrived_s)
        if before is None:
            return False
        paced = stream_s > before[0] and arrived_s - before[1] >= _PACED * (stream_s - before[0])
        return paced or arrived_s - self._first_s > _DRAINING_S


class Connection:
    """One RTSP session, open until closed. Raises a StreamFailure when it cannot be opened."""

    def __init__(self, address: StreamAddress, clock: Clock) -> None:
        self._host = address.host
        self._clock = clock
        self._container = _open(address, clock)
        if not self._container.streams.video:
            self._container.close()
            raise StreamRefused(host=self._host, reason="no video")
        self.video: VideoStream = self._container.streams.video[0]
        packets = self._container.demux(self.video)
        self._packets = cast("Generator[Packet[VideoStream], None, None]", packets)  # to close it
        self.video.thread_type = "NONE"  # frame threads hold back one old frame per thread
        self.video.codec_context.thread_count = 1

    def arrivals(self) -> Iterator[Arrival]:
        """Yield packets as they come, for ever; raises StreamStalled or StreamUnreachable."""
        times = SeenTime()
        while True:
            waiting_since_s = self._clock.monotonic()
            packet = self._next(waiting_since_s)
            arrived_s = self._clock.monotonic()
            stream_s = None if packet.pts is None else float(packet.pts * packet.time_base)
            seen_s = times.seen_s(stream_s, arrived_s)
            if max(arrived_s - waiting_since_s, arrived_s - seen_s) > STALL_S:
                raise StreamStalled(host=self._host)
            yield Arrival(packet, seen_s, times.live)

    def _next(self, waiting_since_s: float) -> Packet[VideoStream]:
        try:
            packet = next(self._packets)
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
        """Say TEARDOWN, without waiting for an answer, and hang up."""
        self._packets.close()  # PyAV counts its read time-out until here; expired, FFmpeg sends nothing
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(address: StreamAddress, clock: Clock) -> InputContainer:
    """Open, and judge a failure. A login known to be refused is not sent, and one at a time is."""
    credential = address.credential
    if credential and credential.refused:
        raise WrongPassword(host=address.host)
    address.guard()
    if credential is None:
        return _connect(address)
    with credential.trial(clock.monotonic()):
        if credential.refused:
            raise WrongPassword(host=address.host)
        try:
            container = _connect(address)
        except WrongPassword:
            credential.refuse()
            raise
        credential.took(clock.monotonic())
        return container


def _connect(address: StreamAddress) -> InputContainer:
    """FFmpeg's errors quote the URL with its password, so none of them leaves this function."""
    host = address.host
    try:
        return av.open(address.with_login(), options=_OPTIONS, timeout=(_OPEN_S, _READ_S))
    except (HTTPUnauthorizedError, HTTPForbiddenError):
        raise WrongPassword(host=host) from None
    except (HTTPBadRequestError, HTTPNotFoundError, AvConnectionRefused) as error:
        raise StreamRefused(host=host, reason=error.strerror) from None
    except (HTTPClientError, HTTPServerError) as error:
        raise StreamBusy(host=host, reason=error.strerror) from None
    except (FFmpegError, ValueError) as error:
        reason = error.strerror if isinstance(error, FFmpegError) else "not an address"
        raise StreamUnreachable(host=host, reason=reason) from None
