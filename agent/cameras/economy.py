"""Which pictures of a stream need no decoding? Judged from its own packets, one group after the other.

Three savings, each only where the stream allows it. Pictures that no other picture refers to are left
out when enough remain. A stream that has no smaller sister and would drown the box is seen by its key
frames. And while the street is quiet, key frames will do, if the stream would tell us by the size of
its packets that somebody passes between two of them: with a variable bit rate a quiet picture costs
some hundred bytes and a moving one thousands. At a constant bit rate (measured: 400 kbit/s, a little
noise) quiet pictures are as large as busy ones, and a motorcycle would pass unseen.

Measured (`tests.bench.cameras.decode --events`, before the first picture after a key frame was judged by
its like): of 44 events after quiet mode none was lost, told later by 0.0 s (median), 0.2 s (p99), 0.4 s at
most. Full decoding that looks at the pictures in between tells 23 of 106 differently. An earlier run of
other cases lost one in 46 and told one 2.0 s later: a small car; over five beginnings each way told 14.
The reader costs 0.09 s a minute instead of 0.22 while it is quiet. A grainier sensor, coded finer
(`--noise 3 --crf 26`: 0.5 to 0.9 bytes per macroblock, where somebody who moves makes 2): none of 43 lost,
told later by 0.0 s, 1.0 s at most; 0.18 s a minute instead of 0.45.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

_LOOK_BYTES = 2048  # parameter sets and messages come before the first slice
KEYS_FAR_S = (
    4.2  # the gate takes a longer gap for another scene; most cameras send a key frame every 1 to 4 s
)
_NEAR_S = 0.7  # with key frames so near nearly all work is in them
_TELLING = (
    1.2  # bytes per macroblock of a quiet picture: 0.04 to 0.9 at a variable rate, 4 to 7 at a constant one
)
_STIR = 1.5  # times the larger quiet pictures; a false alarm costs some seconds of full decoding
_STIR_MIN_BYTES = 150  # where quiet pictures are 30 bytes, a change of exposure makes 100
_QUIET_KEPT = 120  # 12 s of quiet pictures
_FIRST_KEPT = 6  # groups; the first picture mends the key frame: without noise ten times any other's size
_SPARE = 0.3  # fewer spare pictures save less than a tenth of the work
_DROWNS = 0.35  # of one core, for one camera


class How(StrEnum):
    """What is decoded; `decoding.<how>` in the catalogue."""

    ALL = "all"
    WITHOUT_SPARE = "without-spare"
    QUIET = "quiet-keys"
    KEYS = "keys"


class Why(StrEnum):
    """`decoding-why.<why>` in the catalogue."""

    LEARNING = "learning"
    TELLING = "telling"
    CONSTANT_RATE = "constant-rate"
    KEYS_FAR = "keys-far"
    KEYS_NEAR = "keys-near"
    KEYS_OPEN = "keys-open"
    REORDERED = "reordered"
    SPARE = "spare"
    DROWNS = "drowns"
    CODEC = "codec"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Decoding:
    """The choice in force, and its reason."""

    how: How = How.ALL
    why: Why = Why.LEARNING
    leaves_spare: bool = False  # pictures nothing refers to are not decoded


@dataclass(frozen=True, slots=True)
class Slice:
    """What the first slice's header says of a picture."""

    is_spare: bool  # no other picture refers to it
    stands_alone: bool  # decoding may begin here, whatever was left out before


def first_slice(codec: str, data: bytes) -> Slice | None:
    """Read the NAL header of the first slice (H.264 7.3.1, H.265 7.3.1.2); None where there is none."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        header = data[at + 3]
        if codec == "h264" and header & 0x1F in {1, 5}:
            return Slice(is_spare=header & 0x60 == 0, stands_alone=header & 0x1F == 5)  # noqa: PLR2004 -- IDR
        kind = header >> 1 & 0x3F
        if codec == "hevc" and kind < 32:  # noqa: PLR2004 -- from there on parameter sets and messages
            return Slice(is_spare=kind < 16 and kind % 2 == 0, stands_alone=19 <= kind <= 21)  # noqa: PLR2004 -- Table 7-1
        at = data.find(b"\0\0\1", at + 3)
    return None


@dataclass(slots=True)
class Group:
    """One key frame and what followed it, while it is still growing."""

    began_s: float
    stands_alone: bool
    is_quiet: bool = True  # so far the eye saw nothing move
    sizes: list[int] = field(default_factory=list)
    spare: int = 0


class Economy:
    """One per session, in the reader's thread."""

    def __init__(self, codec: str, sampled_fps: float, *, is_only_stream: bool, saves: bool = True) -> None:
        self._codec = codec
        self._sampled_fps = sampled_fps
        self._is_only_stream = is_only_stream
        self._group: Group | None = None
        self._quiet_sizes: deque[int] = deque(maxlen=_QUIET_KEPT)
        self._first_sizes: deque[int] = deque(maxlen=_FIRST_KEPT)
        self._tells: bool | None = None
        self._cpu_s = self._decoded_s = 0.0
        self.macroblocks = 0  # of 16 x 16 pixels; 0 until a picture has been decoded
        self.is_reordered = False
        self._saves = saves
        self.choice = Decoding() if saves else Decoding(why=Why.ASKED)
        self.after_quiet = False  # the group that just ended was quiet throughout

    def add(self, head: bytes, size: int, seen_s: float, *, is_key: bool, quiet: bool) -> bool:
        """Take in a packet, decoded or not; at a key frame judge the group that ended. True: a spare one."""
        found = first_slice(self._codec, head[:_LOOK_BYTES])
        if is_key:
            if self._group and self._saves:
                self._judge(self._group, seen_s)
            self._group = Group(seen_s, stands_alone=bool(found and found.stands_alone), is_quiet=quiet)
        elif self._group:
            self._group.sizes.append(size)
            self._group.spare += bool(found and found.is_spare)
            self._group.is_quiet = self._group.is_quiet and quiet
        return bool(found and found.is_spare)

    def spent(self, cpu_s: float, stream_s: float) -> None:
        """Take in what decoding everything cost over so much of the stream."""
        self._cpu_s += cpu_s
        self._decoded_s += stream_s

    def stirs(self, size: int) -> bool:
        """Is the packet just added larger than a quiet picture's at its place?"""
        is_first = self._group is not None and len(self._group.sizes) == 1
        usual = max(self._first_sizes, default=0) if is_first else _large(self._quiet_sizes)
        return size > max(_STIR * usual, _STIR_MIN_BYTES)

    def _judge(self, group: Group, ended_s: float) -> None:
        self.after_quiet = group.is_quiet
        if group.is_quiet and group.sizes:
            self._first_sizes.append(group.sizes[0])
            self._quiet_sizes.extend(group.sizes[1:])
            self._tells = (
                _large(self._quiet_sizes) <= _TELLING * self.macroblocks if self.macroblocks else None
            )
        seconds = ended_s - group.began_s
        share = self._cpu_s / self._decoded_s if self._decoded_s > KEYS_FAR_S else 0.0
        pictures = len(group.sizes) + 1
        leaves_spare = (
            group.spare >= _SPARE * pictures and (pictures - group.spare) >= self._sampled_fps * seconds
        )
        if self.choice.how is How.KEYS or (self._is_only_stream and share > _DROWNS):
            self.choice = Decoding(How.KEYS, Why.DROWNS)
        elif (against := self._against_dozing(group, seconds)) is None:
            self.choice = Decoding(How.QUIET, Why.TELLING, leaves_spare)
        elif leaves_spare:
            self.choice = Decoding(How.WITHOUT_SPARE, Why.SPARE, leaves_spare)
        else:
            self.choice = Decoding(How.ALL, against)

    def _against_dozing(self, group: Group, seconds: float) -> Why | None:
        """Why key frames alone would not do for a quiet street; None: they do."""
        reasons = {
            Why.CODEC: self._codec not in {"h264", "hevc"},
            Why.REORDERED: self.is_reordered,
            Why.KEYS_OPEN: not group.stands_alone,
            Why.KEYS_FAR: seconds > KEYS_FAR_S,
            Why.KEYS_NEAR: seconds < _NEAR_S,
            Why.LEARNING: self._tells is None,
            Why.CONSTANT_RATE: not self._tells,
        }
        return next((why for why, applies in reasons.items() if applies), None)


def _large(sizes: Sequence[int]) -> float:
    """The size that one in twenty exceeds; 0 for none."""
    return float(sorted(sizes)[int(0.95 * (len(sizes) - 1))]) if sizes else 0.0
