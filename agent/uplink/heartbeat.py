"""I am here, and how I feel: what the box can read of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Vitals:
    """The box's own figures; None where this machine cannot tell."""

    cpu_percent: float
    memory_mb: float
    disk_free_mb: float
    temperature_c: float | None


def vitals(process: psutil.Process, home: Path) -> Vitals:
    """CPU since the last call (percent of one core, this program), memory, disk, the hottest sensor."""
    return Vitals(
        cpu_percent=round(process.cpu_percent(), 1),
        memory_mb=round(process.memory_info().rss / 1e6, 1),
        disk_free_mb=round(psutil.disk_usage(str(home)).free / 1e6, 1),
        temperature_c=_hottest(),
    )


def _hottest() -> float | None:
    sensors = psutil.sensors_temperatures()
    readings = [reading.current for chip in sensors.values() for reading in chip if reading.current]
    return max(readings, default=None)
