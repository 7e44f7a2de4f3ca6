"""Who is late? Each thread leaves a mark when it has made progress; a late one ends the program.

A hung thread cannot be killed in Python, but a program can: systemd starts us anew, and the outbox
has everything. The watchdog is fed only while all marks are fresh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watched:
    """A thread that promises to leave a mark (monotonic seconds) every `deadline_s`."""

    name: str
    mark_s: Callable[[], float]
    deadline_s: float


def late(threads: tuple[Watched, ...], now_s: float) -> tuple[str, ...]:
    """Return the names of the threads that broke their promise."""
    return tuple(thread.name for thread in threads if now_s - thread.mark_s() > thread.deadline_s)
