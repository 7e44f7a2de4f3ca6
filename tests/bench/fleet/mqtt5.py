"""How do thousands of boxes speak from one process? The part of MQTT 5 they need, on asyncio.

QoS 0 and 1, clean start, a will. Nothing is repeated here: who sends also decides what to send again.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

_PUBLISH = 0x30
_PINGREQ = b"\xc0\x00"
_PACKET_IDS = 65_535


class Ears(Protocol):
    """Who is told; never from another thread than the loop's."""

    def connected(self) -> None: ...
    def subscribed(self) -> None: ...
    def heard(self, topic: str, payload: bytes, packet_id: int) -> None: ...
    def answered(self, packet_id: int, code: int) -> None: ...
    def lost(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes
    delay_s: int


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a CONNECT says."""

    client_id: str
    keepalive_s: int = 60
    will: Will | None = None
    receive_maximum: int = 65_535


class Connection(asyncio.Protocol):
    """One connection, from `opened` until `lost`."""

    def __init__(self, greeting: Greeting, ears: Ears) -> None:
        self._greeting, self._ears = greeting, ears
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._packet_id = 0
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_connect(self._greeting))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ears.lost(self._reason or repr(exc))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at, end = 0, len(self._buffer)
        while end - at >= 2:
            size, start = _length(self._buffer, at + 1)
            if start < 0 or end - start < size:
                break
            self._learn(self._buffer[at], bytes(self._buffer[start : start + size]))
            at = start + size
        del self._buffer[:at]

    def subscribe(self, topics: Iterable[str], qos: int = 1) -> None:
        wanted = b"".join(_text(topic) + bytes([qos]) for topic in topics)
        self._write(_packet(0x82, self._next_id().to_bytes(2) + b"\0" + wanted))

    def publish(
        self, topic: str, payload: bytes, properties: bytes = b"", *, qos: int = 1, retain: bool = False
    ) -> int:
        """Return the packet id, 0 for QoS 0."""
        packet_id = self._next_id() if qos else 0
        head = (
            _text(topic) + (packet_id.to_bytes(2) if qos else b"") + _variable(len(properties)) + properties
        )
        self._write(_packet(_PUBLISH | qos << 1 | retain, head + payload))
        return packet_id

    def confirm(self, packet_ids: Iterable[int]) -> None:
        self._write(b"".join(b"\x40\x02" + packet_id.to_bytes(2) for packet_id in packet_ids))

    def ping(self) -> None:
        self._write(_PINGREQ)

    def close(self) -> None:
        """Say goodbye: the broker keeps the will to itself."""
        self._write(b"\xe0\x00")
        if self._transport:
            self._transport.close()

    def cut(self) -> None:
        """As a power cut does it."""
        if self._transport:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % _PACKET_IDS + 1
        return self._packet_id

    def _write(self, packet: bytes) -> None:
        if self._transport:
            self._transport.write(packet)

    def _learn(self, first: int, body: bytes) -> None:
        match first & 0xF0:
            case 0x30:
                self._learn_publish(first, body)
            case 0x40:
                code = body[2] if len(body) > 2 else 0
                self._ears.answered(int.from_bytes(body[:2]), code)
            case 0x20:
                if body[1]:
                    self._reason = f"refused {body[1]:#x}"
                    self.cut()
                else:
                    self._ears.connected()
            case 0x90:
                self._ears.subscribed()
            case 0xE0:
                self._reason = f"sent away {body[0] if body else 0:#x}"

    def _learn_publish(self, first: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2])
        topic, packet_id = body[2:end].decode(), 0
        if first & 0x06:
            packet_id, end = int.from_bytes(body[end : end + 2]), end + 2
        size, end = _length(body, end)
        self._ears.heard(topic, body[end + size :], packet_id)


async def opened(port: int, context: ssl.SSLContext, greeting: Greeting, ears: Ears) -> Connection:
    """Connect over mutual TLS. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(greeting, ears), "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    return connection


def properties(
    correlation: bytes = b"", content_type: str = "", named: Mapping[str, str] | None = None
) -> bytes:
    """Write what goes beside a body."""
    written = b"\x09" + struct.pack(">H", len(correlation)) + correlation if correlation else b""
    if content_type:
        written += b"\x03" + _text(content_type)
    for name, value in (named or {}).items():
        written += b"\x26" + _text(name) + _text(value)
    return written


def _connect(greeting: Greeting) -> bytes:
    flags, will = 0x02, b""
    if greeting.will:
        flags |= 0x04 | 0x08 | 0x20  # QoS 1, retained
        delay = b"\x18" + struct.pack(">I", greeting.will.delay_s)
        payload = struct.pack(">H", len(greeting.will.payload)) + greeting.will.payload
        will = _variable(len(delay)) + delay + _text(greeting.will.topic) + payload
    said = b"\x21" + struct.pack(">H", greeting.receive_maximum)
    head = _text("MQTT") + bytes([5, flags]) + struct.pack(">H", greeting.keepalive_s)
    return _packet(0x10, head + _variable(len(said)) + said + _text(greeting.client_id) + will)


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _variable(len(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _variable(number: int) -> bytes:
    written = bytearray()
    while True:
        number, digit = divmod(number, 128)
        written.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(written)


def _length(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return a variable length and where it ends; an end of -1 when it is not all there yet."""
    number = shift = 0
    while at < len(data):
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80:
            return number, at
    return 0, -1
