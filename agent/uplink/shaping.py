"""How fast, and whose turn? A cap on bytes per second, and one send in four for what waited long.

The newest event goes first, so that the station sees what happens now; but a queue that only ever
served the newest would never end. Pure: time is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_BURST_S = 2.0  # what may go at once after silence: an event with its picture does not wait
_BACKLOG_EVERY = 4  # sends: a quarter of a slow line still drains a day's queue in a day


@dataclass(slots=True)
class Cap:
    """A token bucket; without a rate everything may go. A message always goes whole, on credit."""

    bytes_per_s: float | None
    _tokens: float = field(default=0.0, init=False)
    _at_s: float | None = field(default=None, init=False)

    def room(self, now_s: float) -> float:
        """Bytes that may go now; not positive while the credit of the last message is worked off."""
        if self.bytes_per_s is None:
            return float("inf")
        elapsed_s = _BURST_S if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._tokens = min(self._tokens + elapsed_s * self.bytes_per_s, _BURST_S * self.bytes_per_s)
        return self._tokens

    def spend(self, size_bytes: int) -> None:
        self._tokens -= size_bytes


@dataclass(slots=True)
class Turns:
    """Recent, recent, recent, backlog."""

    _recent: int = 0

    def is_backlogs(self) -> bool:
        return self._recent >= _BACKLOG_EVERY - 1

    def went(self, *, is_backlog: bool) -> None:
        self._recent = 0 if is_backlog else self._recent + 1
