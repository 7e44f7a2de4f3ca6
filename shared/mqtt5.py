"""How is MQTT 5 written and read? The part of it that a station and its boxes need; pure, no I/O.

QoS 0 and 1, clean start, a will. paho spends 130 µs on a message that is read here in 10: properties
one by one through reflection, a system call for each of the first bytes. At the station that was more
than checking, signing and keeping together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MAX_PACKET_BYTES = 262_144  # as the station's broker has it
PACKET_IDS = 65_535
PING = b"\xc0\x00"
FAREWELL = b"\xe0\x00"  # the broker keeps the will to itself
GOOD = 0x80  # codes below are

_PUBLISH = 0x30
_CORRELATION, _CONTENT_TYPE, _USER, _EXPIRY = 0x09, 0x03, 0x26, 0x02
_RECEIVE_MAXIMUM, _WILL_DELAY = 0x21, 0x18
_FIXED = {0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1,
          0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}  # fmt: skip
_TEXTS = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})  # with their length before
_SUBSCRIPTION = 0x0B  # a number of variable length


class MalformedError(ValueError):
    """No MQTT 5, or a packet larger than any that is allowed."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our place when the line is cut."""

    topic: str
    payload: bytes
    delay_s: int = 0


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a CONNECT says."""

    client_id: str
    keepalive_s: int = 60
    will: Will | None = None
    receive_maximum: int = 65_535


@dataclass(frozen=True, slots=True)
class Properties:
    """What stands beside a body, of what we read."""

    correlation: bytes | None = None
    content_type: str | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    receive_maximum: int = 65_535


@dataclass(frozen=True, slots=True)
class Connected:
    code: int
    receive_maximum: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    codes: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """A message. Its properties are not read yet: that may fail, and its packet id must be known then."""

    topic: str
    payload: bytes
    packet_id: int  # 0: of QoS 0
    beside: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker's word on one of ours."""

    packet_id: int
    code: int


@dataclass(frozen=True, slots=True)
class SentAway:
    code: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The other end lives."""


Packet = Connected | Subscribed | Heard | Answered | SentAway | Pong


class Reader:
    """Turns what the line brings into packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield what is whole by now. Raises MalformedError; then the line is of no use any more."""
        self._buffer += data
        at, end = 0, len(self._buffer)
        try:
            while end - at >= 2:  # noqa: PLR2004 -- no packet is shorter
                size, start = _length(self._buffer, at + 1, end)
                if size > MAX_PACKET_BYTES:
                    raise MalformedError("too large")
                if start < 0 or end - start < size:
                    break
                first, at = self._buffer[at], start + size
                yield _packet_read(first, bytes(self._buffer[start:at]))
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise MalformedError(str(error)) from error
        finally:
            del self._buffer[:at]


def _packet_read(first: int, body: bytes) -> Packet:
    match first & 0xF0:
        case 0x30:
            return _heard(first, body)
        case 0x40:
            return Answered(_short(body, 0), body[2] if len(body) > 2 else 0)  # noqa: PLR2004 -- left out when 0
        case 0x20:
            return Connected(body[1], read_properties(_beside(body, 2)[0]).receive_maximum)
        case 0x90:
            return Subscribed(body[_beside(body, 2)[1] :])
        case 0xE0:
            return SentAway(body[0] if body else 0)
        case 0xD0:
            return Pong()
        case other:
            raise MalformedError(f"packet {other:#x}")


def _heard(first: int, body: bytes) -> Heard:
    end = 2 + _short(body, 0)
    topic, packet_id = body[2:end].decode(), 0
    if first & 0x06:
        packet_id, end = _short(body, end), end + 2
    beside, end = _beside(body, end)
    return Heard(topic, body[end:], packet_id, beside)


def _beside(body: bytes, at: int) -> tuple[bytes, int]:
    size, start = _length(body, at, len(body))
    if start < 0 or start + size > len(body):
        raise MalformedError("properties")
    return body[start : start + size], start + size


def read_properties(beside: bytes) -> Properties:
    """Read what stands beside a body. Raises MalformedError."""
    correlation = content_type = None
    named: dict[str, str] = {}
    receive_maximum, at, end = 65_535, 0, len(beside)
    try:
        while at < end:
            kind, at = beside[at], at + 1
            if kind == _USER:
                name, at = _text_at(beside, at)
                value, at = _text_at(beside, at)
                named[name.decode()] = value.decode()
            elif kind == _CORRELATION:
                correlation, at = _text_at(beside, at)
            elif kind == _CONTENT_TYPE:
                written, at = _text_at(beside, at)
                content_type = written.decode()
            elif kind == _RECEIVE_MAXIMUM:
                receive_maximum, at = _short(beside, at), at + 2
            else:
                at = _after(kind, beside, at)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from error
    return Properties(correlation, content_type, named, receive_maximum)


def _after(kind: int, beside: bytes, at: int) -> int:
    """Step over what we do not read."""
    if kind in _FIXED:
        return at + _FIXED[kind]
    if kind in _TEXTS:
        return _text_at(beside, at)[1]
    if kind == _SUBSCRIPTION:
        return _length(beside, at, len(beside))[1] if at < len(beside) else at + 1
    raise MalformedError(f"property {kind:#x}")


def _text_at(beside: bytes, at: int) -> tuple[bytes, int]:
    start = at + 2
    end = start + _short(beside, at)
    if end > len(beside):
        raise MalformedError("properties")
    return beside[start:end], end


def _short(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _length(data: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """Return a variable length and where it ends; an end of -1 when it is not all there yet."""
    number = shift = 0
    while at < end:
        digit = data[at]
        number |= (digit & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not digit & 0x80:
            return number, at
        if shift > 21:  # noqa: PLR2004 -- four bytes of seven bits are all there may be
            raise MalformedError("length")
    return 0, -1


# ---- writing -----------------------------------------------------------------------------------------


def connect(greeting: Greeting) -> bytes:
    flags, will = 0x02, b""
    if greeting.will:
        flags |= 0x04 | 0x08 | 0x20  # QoS 1, retained
        delay = struct.pack(">BI", _WILL_DELAY, greeting.will.delay_s)
        payload = struct.pack(">H", len(greeting.will.payload)) + greeting.will.payload
        will = _variable(len(delay)) + delay + _text(greeting.will.topic) + payload
    said = struct.pack(">BH", _RECEIVE_MAXIMUM, greeting.receive_maximum)
    head = _text("MQTT") + bytes([5, flags]) + struct.pack(">H", greeting.keepalive_s)
    return _packet(0x10, head + _variable(len(said)) + said + _text(greeting.client_id) + will)


def subscribe(packet_id: int, topics: Iterable[str], qos: int = 1) -> bytes:
    wanted = b"".join(_text(topic) + bytes([qos]) for topic in topics)
    return _packet(0x82, packet_id.to_bytes(2) + b"\0" + wanted)


def publish(
    topic: str, payload: bytes, packet_id: int = 0, beside: bytes = b"", *, retain: bool = False
) -> bytes:
    """Write a message; with a packet id it is one of QoS 1."""
    number = packet_id.to_bytes(2) if packet_id else b""
    head = _text(topic) + number + _variable(len(beside)) + beside
    return _packet(_PUBLISH | bool(packet_id) << 1 | retain, head + payload)


def confirm(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2)


def properties(
    correlation: bytes = b"",
    content_type: str = "",
    named: Mapping[str, str] | None = None,
    expiry_s: int | None = None,
) -> bytes:
    """Write what goes beside a body."""
    written = struct.pack(">BH", _CORRELATION, len(correlation)) + correlation if correlation else b""
    if content_type:
        written += bytes([_CONTENT_TYPE]) + _text(content_type)
    if expiry_s is not None:
        written += struct.pack(">BI", _EXPIRY, expiry_s)
    for name, value in (named or {}).items():
        written += bytes([_USER]) + _text(name) + _text(value)
    return written


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
