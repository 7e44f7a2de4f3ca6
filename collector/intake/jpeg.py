"""Is this a JPEG from its first byte to its last? Its structure is walked; its picture is not decoded.

Checked: the start and end markers, every segment's length, one frame header of a kind browsers show
(baseline, extended or progressive, 8 bits, 1 to 4 components) with a size within bounds, tables
before the first scan, at least one scan, and nothing after the end. Not checked: whether the
compressed data make a sensible picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SIDE = 8192  # pixels; as in shared.messages.Thumbnail

_MARK = 0xFF  # begins every marker
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_QUANTISATION, _HUFFMAN = 0xDB, 0xC4
_SHOWN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended sequential, progressive; Huffman coded
_OTHER_FRAMES = frozenset(range(0xC0, 0xD0)) - _SHOWN_FRAMES - {_HUFFMAN, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # no length follows: out of place outside a scan
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # stuffed, restart, fill: still in the scan


class NotAJpegError(ValueError):
    """Says in a few words what is wrong."""


@dataclass(slots=True)
class _Seen:
    tables: set[int]
    frame: bool = False
    scans: int = 0


def check(data: bytes) -> None:
    """Return when data is one whole JPEG, else raise NotAJpegError."""
    if data[:2] != bytes((_MARK, _START)):
        raise NotAJpegError("no start marker")
    seen, at = _Seen(set()), 2
    while True:
        marker, at = _marker(data, at)
        if marker == _END:
            break
        if marker in _STANDALONE or marker in _OTHER_FRAMES:
            raise NotAJpegError(f"marker {marker:02x} out of place")
        end = _segment_end(data, at)
        _note(seen, marker, data[at + 2 : end])
        at = _scan_end(data, end) if marker == _SCAN else end
    if not seen.scans:
        raise NotAJpegError("no picture in it")
    if at != len(data):
        raise NotAJpegError("something after the end")


def _marker(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data) or data[at] != _MARK:
        raise NotAJpegError("marker expected")
    while at < len(data) and data[at] == _MARK:  # fill bytes may stand before a marker
        at += 1
    if at >= len(data):
        raise NotAJpegError("cut off")
    return data[at], at + 1


def _segment_end(data: bytes, at: int) -> int:
    length = int.from_bytes(data[at : at + 2])
    if length < 2 or at + length > len(data):  # noqa: PLR2004 -- the length counts its own two bytes
        raise NotAJpegError("segment longer than the file")
    return at + length


def _note(seen: _Seen, marker: int, body: bytes) -> None:
    if marker in {_QUANTISATION, _HUFFMAN}:
        seen.tables.add(marker)
    elif marker in _SHOWN_FRAMES:
        if seen.frame:
            raise NotAJpegError("two frame headers")
        _check_frame(body)
        seen.frame = True
    elif marker == _SCAN:
        if not seen.frame or seen.tables != {_QUANTISATION, _HUFFMAN}:
            raise NotAJpegError("scan before its headers")
        seen.scans += 1


def _check_frame(body: bytes) -> None:
    if len(body) < 6:  # noqa: PLR2004 -- precision 1, height 2, width 2, components 1
        raise NotAJpegError("short frame header")
    precision, components = body[0], body[5]
    height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise NotAJpegError(f"size {width}x{height}")
    if precision != 8 or not 1 <= components <= 4 or len(body) != 6 + 3 * components:  # noqa: PLR2004
        raise NotAJpegError("unusual frame header")


def _scan_end(data: bytes, at: int) -> int:
    """Return where the compressed data end: at the next marker that is no restart."""
    found = _AFTER_SCAN.search(data, at)
    if found is None:
        raise NotAJpegError("cut off")
    return found.start()
