"""When was it really? What a box said before its clock was right, put right by when its boot began.

A box without a clock battery wakes in the past. It numbers its boots and tells monotonic time with
everything; once its clock is right it says when monotonic time was 0. From then on every message of
that boot can be dated: the station keeps both, what was said and what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.clock import microseconds
from shared.messages import ClockQuality, DetectionEvent

_LONGEST_UPTIME_S = 1e9  # 31 years: more is no uptime


@dataclass(frozen=True, slots=True)
class Settled:
    """An event's times as they are to be shown; `…_by_us` is what was added, None where nothing was."""

    started_us: int
    seen_us: int
    started_by_us: int | None
    seen_by_us: int | None
    made_us: Mapping[UUID, int]  # by message


def settle(messages: Iterable[DetectionEvent], boots: Mapping[str, int]) -> Settled:
    """Date one event by all that was said of it, in whatever order that came.

    All times within one event hang on the wall clock of its first frame (`agent.vision.life`): one
    message made before the synchronisation makes those of the same boot wrong that came after it.
    A message may be made some time after the frame it speaks of, never before: the least of the
    differences is the true one. Each of several boots has its own.
    """
    said = sorted(messages, key=lambda message: (message.revision, message.id))
    by_us = {
        boot_id: correction
        for boot_id in {message.clock.boot_id for message in said if _is_doubtful(message)}
        if (correction := _correction(said, boot_id, boots)) is not None
    }
    first, newest = said[0], said[-1]
    started_us, started_by_us = _corrected(microseconds(first.started_at), by_us.get(first.clock.boot_id))
    seen_us, seen_by_us = _corrected(microseconds(newest.seen_at), by_us.get(newest.clock.boot_id))
    made_us = {
        message.id: _corrected(microseconds(message.seen_at), by_us.get(message.clock.boot_id))[0]
        for message in said
    }
    return Settled(started_us, max(started_us, seen_us), started_by_us, seen_by_us, made_us)


def _is_doubtful(message: DetectionEvent) -> bool:
    return message.clock.quality is ClockQuality.UNSYNCED


def _correction(said: Iterable[DetectionEvent], boot_id: str, boots: Mapping[str, int]) -> int | None:
    began_us = boots.get(boot_id)
    if began_us is None:
        return None
    differences = (
        began_us + round(message.clock.monotonic_s * 1e6) - microseconds(message.seen_at)
        for message in said
        if message.clock.boot_id == boot_id and 0 <= message.clock.monotonic_s <= _LONGEST_UPTIME_S
    )
    return min(differences, default=None)


def _corrected(said_us: int, by_us: int | None) -> tuple[int, int | None]:
    """Never before 1970: a difference that leads there is no clock's."""
    if by_us is None:
        return said_us, None
    by_us = max(by_us, -said_us)
    return said_us + by_us, by_us
