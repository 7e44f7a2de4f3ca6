"""What time is it? UTC-aware for people, monotonic for waiting: never one in place of the other."""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_ERROR = 5  # adjtimex(2): "the system clock is not synchronised"
_TIMEX_BYTES = 256  # struct timex is 208 bytes on 64-bit Linux
_libc = ctypes.CDLL(None)  # once: opening it makes a class, and every frame asks `is_synchronised`


class Clock(Protocol):
    """The one door to time; pure code receives its answers as arguments."""

    def now(self) -> datetime:
        """Wall clock, UTC-aware. May step, by years, on a machine without a clock battery."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; never steps, says nothing about the date."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def microseconds(moment: datetime) -> int:
    """Return an aware moment as integer microseconds since 1970 UTC: what the databases keep."""
    since = moment - _EPOCH
    # dividing by a microsecond takes four times as long
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(us: int) -> datetime:
    """Return the UTC moment that `microseconds` made the number of."""
    return _EPOCH + timedelta(microseconds=us)


def boot_id() -> str:
    """Name this start of the machine: monotonic readings compare only within one boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def is_synchronised() -> bool:
    """True when the kernel says the wall clock is being kept right (adjtimex(2), no STA_UNSYNC).

    A box without a clock battery wakes in the past: until this turns true its dates are guesses.
    """
    timex = (ctypes.c_byte * _TIMEX_BYTES)()  # zeroed: modes = 0 only reads
    return bool(0 <= _libc.adjtimex(timex) < _TIME_ERROR)
