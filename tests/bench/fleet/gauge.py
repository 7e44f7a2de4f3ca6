"""What do the broker and the collector take? Processor time and memory, as the kernel counts them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_FIRST = 11  # utime, counted after the name in brackets


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one process at one moment."""

    at_s: float
    cpu_s: float
    memory_mb: float
    most_mb: float

    @classmethod
    def of(cls, pid: int) -> Self:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        return cls(
            time.monotonic(),
            (int(fields[_FIRST]) + int(fields[_FIRST + 1])) * _TICK_S,
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["VmHWM"].split()[0]) / 1024,
        )

    def cores_since(self, before: Reading) -> float:
        return (self.cpu_s - before.cpu_s) / max(self.at_s - before.at_s, 1e-9)


def share(values: list[float], part: float) -> float:
    """Return the value that this part of them do not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
