"""How does one spoil a sound message? Cut, doubled, bits turned, and words that no sane peer would say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import strategies as st

WORDS = (
    b"", b"0", b"-1", b"1e400", b"-1e308", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b'"x"',
    b"9" * 30, b"9" * 400, b"1" * 5000, b"0001", b"9" * 11, b"9999", b"-0", b"0x10", b"1_000", b"\xd9\xa3",
    b"\\ud800", b"\\u0000", b"\x00", b"\xff\xfe", b"\xc3", b"&#0;", b"&lt;", b"]]>", b"<!--", b"http://[",
    b"http://x:99999999/", b"0000-00-00T00:00:00Z", b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+14:00",
    b"[" * 50, b'{"a":' * 50, b"x" * 3000,
)  # fmt: skip
_WORD = re.compile(rb'"[^"]*"|[\w.:+-]+')
_TEXT = re.compile(rb"(?<=>)[^<>]+(?=</)")  # between an element's marks


@st.composite
def spoilt(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Draw a seed and spoil it in one to four places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.sampled_from((_reworded, _cut, _doubled, _turned, _filled)))(draw, data)
    return data


def documents(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Mostly spoilt sound messages; now and then plain noise."""
    return st.one_of(spoilt(seeds), spoilt(seeds), spoilt(seeds), st.binary(max_size=2000))


def _place(draw: st.DrawFn, data: bytes) -> int:
    return draw(st.integers(0, len(data)))


def _reworded(draw: st.DrawFn, data: bytes) -> bytes:
    words = list(_WORD.finditer(data))
    if not words:
        return data
    word = words[draw(st.integers(0, len(words) - 1))]
    return data[: word.start()] + draw(st.sampled_from(WORDS)) + data[word.end() :]


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    start = _place(draw, data)
    return data[:start] + data[start + draw(st.integers(1, 200)) :]


def _doubled(draw: st.DrawFn, data: bytes) -> bytes:
    start = _place(draw, data)
    end = start + draw(st.integers(1, 200))
    return data[:end] + data[start:end] * draw(st.integers(1, 3)) + data[end:]


def _turned(draw: st.DrawFn, data: bytes) -> bytes:
    if not data:
        return data
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]


def _filled(draw: st.DrawFn, data: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20))) + data[at:]


def monsters(seed: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    """What is large in every way in which something can be large, each no longer than `size` bytes."""
    words = list(_WORD.finditer(seed)) or [re.compile(b"").search(seed)]
    texts = list(_TEXT.finditer(seed))
    places = [words[0], words[len(words) // 2], words[-1], *texts[:1], *texts[-1:]]
    for name, filling in _fillings(size - len(seed)):
        for place in filter(None, places):
            yield name, (seed[: place.start()] + filling + seed[place.end() :])[:size]
        yield f"{name} alone", filling[:size]
    yield "entities", _ENTITIES
    yield "entity of its own", _QUADRATIC[: size - 100]


def _fillings(room: int) -> Iterator[tuple[str, bytes]]:
    room = max(room, 16)
    deep = room // 2
    yield "deep lists", b"[" * deep + b"]" * deep
    yield "deep objects", b'{"a":' * (room // 6)
    yield "wide list", b"[" + b"0," * (room // 2 - 2) + b"0]"
    yield "wide list of objects", b"[" + b"{}," * (room // 3 - 2) + b"{}]"
    yield "wide object", b"{" + b",".join(b'"%d":0' % number for number in range(room // 11)) + b"}"
    yield "huge number", b"9" * room
    yield "long text", b'"' + b"x" * (room - 2) + b'"'
    yield "many escapes", b'"' + b"\\u1ed5" * (room // 6 - 1) + b'"'
    yield "many lines", b"\n" * room
    yield "deep elements", b"<a>" * (room // 7) + b"</a>" * (room // 7)
    yield "wide elements", b"<a/>" * (room // 4)
    yield "many references", b"&lt;" * (room // 4)
    yield "marks", b"\xff" * room
    yield "scans", b"\xff\xda\x00\x02" * (room // 4)


_ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, (b"&%c;" % (97 + n)) * 16) for n in range(12))
    + b"]><Envelope><Body>&m;</Body></Envelope>"
)
_QUADRATIC = b'<!DOCTYPE z [<!ENTITY a "' + b"x" * 50_000 + b'">]><z>' + b"&a;" * 50_000 + b"</z>"
