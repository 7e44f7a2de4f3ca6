"""How do packets get to the station's broker and back? One thread writes and reads; anybody may ask it to.

Two threads in one TLS connection break it ("bad record mac", under load, for all sites), so whoever has
something to say lays it down and wakes the line's own thread. All that lies there goes in one write.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shared import mqtt5
from shared.mqtt5 import Answered, Connected, Greeting, Heard, MalformedError, Reader, SentAway, Subscribed

_CONNECT_S = 10.0  # for the handshakes; the broker is on this machine
_READ_BYTES = 65_536  # OpenSSL gives one record of 16 kB at most at a time
_READS_IN_A_ROW = 64  # then what waits to be written has its turn
_WRITE_BYTES = 65_536
_UNHEARD = 1.5  # keep-alives without a byte: the broker hangs
_DEAF_MS = 50  # until it is asked again whether there is room: a batch takes about as long


class Ears(Protocol):
    """Who is told, in the line's own thread; must be quick, and must not raise."""

    def connected(self) -> None: ...
    def subscribed(self, codes: bytes) -> None: ...
    def heard(self, message: Heard) -> None: ...
    def lost(self, reason: str) -> None: ...

    @property
    def may_hear(self) -> bool:
        """False: nothing is read just now, and the broker keeps what it has."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """Where the broker is, how to speak to it, and how long to wait before another try."""

    host: str
    port: int
    tls: ssl.SSLContext
    pauses_s: tuple[float, float]  # the first, the longest


class _Lost(Exception):  # noqa: N818 -- not an error: lines are lost
    pass


class Line:
    """`run` owns the connection until `stop`; all the rest may be called from any thread."""

    def __init__(self, way: Way, greeting: Greeting, ears: Ears) -> None:
        self._way, self._greeting, self._ears = way, greeting, ears
        self._lock = threading.Lock()
        self._out: deque[bytes] = deque()
        self._held: deque[tuple[int, bytes]] = deque()  # beyond what the broker takes at once
        self._open: dict[int, threading.Event | None] = {}  # ours, that it has not answered
        self._most_open = 0
        self._packet_id = 0
        self._is_up = False
        self._stop = threading.Event()
        self._bell: int | None = os.eventfd(0, os.EFD_NONBLOCK)
        self.connection = 0  # counted from 1: what an earlier broker held may be gone

    def run(self) -> None:
        """Connect, serve, connect again."""
        pause_s = first_s = self._way.pauses_s[0]
        try:
            while not self._stop.is_set():
                before = self.connection
                try:
                    self._serve()
                except (OSError, MalformedError, _Lost) as error:
                    self._down()
                    self._ears.lost(str(error) or type(error).__name__)
                pause_s = first_s if self.connection != before else min(pause_s * 2, self._way.pauses_s[1])
                self._stop.wait(pause_s)
        finally:
            self._down()
            self._close_bell()

    def stop(self) -> None:
        """Say goodbye once everything said so far is out."""
        self._stop.set()
        with self._lock:
            self._out.append(mqtt5.FAREWELL)
            self._ring()

    def publish(
        self,
        topic: str,
        payload: bytes,
        beside: bytes = b"",
        *,
        retain: bool = False,
        told: threading.Event | None = None,
    ) -> bool:
        """Say it, of QoS 1; `told` is set once the broker has it. False when there is no broker."""
        with self._lock:
            if not self._is_up:
                return False
            packet_id = self._free_id()
            packet = mqtt5.publish(topic, payload, packet_id, beside, retain=retain)
            self._open[packet_id] = told
            if len(self._open) - len(self._held) > self._most_open:
                self._held.append((packet_id, packet))
            else:
                self._out.append(packet)
                self._ring()
        return True

    def confirm(self, packet_ids: Iterable[int], connection: int) -> None:
        """Give the broker its packet ids back, unless they belong to a connection that is gone."""
        packets = b"".join(map(mqtt5.confirm, packet_ids))
        with self._lock:
            if not packets or connection != self.connection or not self._is_up:
                return
            self._out.append(packets)
            self._ring()

    def subscribe(self, topics: Iterable[str]) -> None:
        with self._lock:
            self._out.append(mqtt5.subscribe(self._free_id(), topics))
            self._ring()

    # ---- the line's own thread -------------------------------------------------------------------------

    def _serve(self) -> None:
        with self._connected() as line:
            reader, poll, rest = Reader(), select.poll(), mqtt5.connect(self._greeting)
            poll.register(self._bell or 0, select.POLLIN)
            heard_s = asked_s = time.monotonic()
            while True:
                rest = _write(line, rest or self._take())
                if self._stop.is_set() and not rest and not self._out:
                    return
                may_hear = self._ears.may_hear
                wanted = (select.POLLIN if may_hear else 0) | (select.POLLOUT if rest or self._out else 0)
                poll.register(line, wanted)
                poll.poll(self._patience_ms(line) if may_hear else _DEAF_MS)
                self._hush()
                now_s = time.monotonic()
                if not may_hear or self._read(line, reader):
                    heard_s = now_s
                if now_s - max(heard_s, asked_s) >= self._greeting.keepalive_s / 2:
                    asked_s = now_s
                    self._say(mqtt5.PING)
                if now_s - heard_s > self._greeting.keepalive_s * _UNHEARD:
                    raise _Lost("the broker does not answer")

    def _connected(self) -> ssl.SSLSocket:
        raw = socket.create_connection((self._way.host, self._way.port), _CONNECT_S)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = self._way.tls.wrap_socket(raw, server_hostname=self._way.host)
        except BaseException:
            raw.close()
            raise
        line.settimeout(0)
        return line

    def _patience_ms(self, line: ssl.SSLSocket) -> int:
        return 0 if line.pending() else self._greeting.keepalive_s * 500  # half of it

    def _read(self, line: ssl.SSLSocket, reader: Reader) -> bool:
        """Hear what has come, as far as there is room for it; True when something has."""
        has_heard = False
        for _ in range(_READS_IN_A_ROW):
            if has_heard and not self._ears.may_hear:
                break
            try:
                data = line.recv(_READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not data:
                raise _Lost("closed by the broker")
            has_heard = True
            for packet in reader.feed(data):
                self._learn(packet)
        return has_heard

    def _learn(self, packet: mqtt5.Packet) -> None:
        match packet:
            case Heard():
                self._ears.heard(packet)
            case Answered(packet_id):
                self._answered(packet_id)
            case Connected(code, receive_maximum):
                if code:
                    raise _Lost(f"refused {code:#x}")
                with self._lock:
                    self._is_up, self._most_open = True, receive_maximum
                    self.connection += 1
                self._ears.connected()
            case Subscribed(codes):
                self._ears.subscribed(codes)
            case SentAway(code):
                raise _Lost(f"sent away {code:#x}")

    def _answered(self, packet_id: int) -> None:
        with self._lock:
            told = self._open.pop(packet_id, None)
            if self._held:
                self._out.append(self._held.popleft()[1])
        if told:
            told.set()

    def _take(self) -> bytes:
        taken, size = [], 0
        with self._lock:
            while self._out and size < _WRITE_BYTES:
                taken.append(self._out.popleft())
                size += len(taken[-1])
        return b"".join(taken)

    def _say(self, packet: bytes) -> None:
        with self._lock:
            self._out.append(packet)

    def _down(self) -> None:
        """Nothing said to a broker that is gone is said to the next: whoever needs it says it again."""
        with self._lock:
            self._is_up = False
            self._out.clear()
            self._held.clear()
            self._open.clear()

    def _free_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % mqtt5.PACKET_IDS + 1
            if self._packet_id not in self._open:
                return self._packet_id

    def _ring(self) -> None:
        """Wake the line's thread. Under the lock."""
        if self._bell is not None:
            os.eventfd_write(self._bell, 1)

    def _hush(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell or 0)

    def _close_bell(self) -> None:
        with self._lock:
            if self._bell is not None:
                os.close(self._bell)
            self._bell = None


def _write(line: ssl.SSLSocket, data: bytes) -> bytes:
    """Write what the line takes now and return the rest."""
    view = memoryview(data)
    while view:
        try:
            view = view[line.send(view) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            break
    return bytes(view)
