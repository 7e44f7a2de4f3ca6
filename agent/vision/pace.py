"""Does the detector keep up with this camera? How late its looks are, and what share of frames it skips."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_TOLD_S = 300.0  # what the heartbeat tells of
_JUDGED_S = 60.0  # long enough for one busy moment to pass, short enough to be still true
_BEHIND, _ABREAST = 0.2, 0.1  # of the frames wanted; apart, so that it is not said and taken back all day
_FEWEST = 30  # frames wanted, six seconds' worth: of fewer no share is told
_KEPT = 6000  # five minutes at 20 frames a second


@dataclass(frozen=True, slots=True)
class Figures:
    """Of the last five minutes. Latency: from the moment a frame was seen to the end of its look."""

    p50_ms: float | None
    p99_ms: float | None
    looked: int
    skipped: int


class Pace:
    """One per camera; every wanted frame is either looked at, late by so much, or skipped."""

    def __init__(self) -> None:
        self._fates: deque[tuple[float, float | None]] = deque(maxlen=_KEPT)  # when; latency, None: skipped
        self._behind = False

    def looked(self, now_s: float, latency_s: float) -> None:
        self._add(now_s, latency_s)

    def skipped(self, now_s: float) -> None:
        self._add(now_s, None)

    def is_behind(self, now_s: float) -> bool:
        """More than a fifth skipped over the last minute, and not yet under a tenth again."""
        wanted = skipped = 0
        for at_s, latency_s in reversed(self._fates):
            if now_s - at_s > _JUDGED_S:
                break
            wanted += 1
            skipped += latency_s is None
        limit = _ABREAST if self._behind else _BEHIND
        self._behind = wanted >= _FEWEST and skipped > limit * wanted
        return self._behind

    def figures(self, now_s: float) -> Figures:
        """Sorts: for once in a heartbeat, not for every second."""
        recent = [latency_s for at_s, latency_s in self._fates if now_s - at_s <= _TOLD_S]
        took_s = sorted(latency_s for latency_s in recent if latency_s is not None)
        return Figures(
            _share_ms(took_s, 0.5), _share_ms(took_s, 0.99), len(took_s), len(recent) - len(took_s)
        )

    def _add(self, now_s: float, latency_s: float | None) -> None:
        self._fates.append((now_s, latency_s))
        while now_s - self._fates[0][0] > _TOLD_S:
            self._fates.popleft()


def _share_ms(ordered_s: list[float], share: float) -> float | None:
    if not ordered_s:
        return None
    return round(ordered_s[min(int(len(ordered_s) * share), len(ordered_s) - 1)] * 1000, 1)
