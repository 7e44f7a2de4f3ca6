"""What time is it? UTC-aware for people, monotonic for waiting: never one in place of the other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


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


def boot_id() -> str:
    """Name this start of the machine: monotonic readings compare only within one boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
