"""I am here, and how I feel: what the box can read of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import psutil

_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"  # under /sys; a Raspberry Pi's firmware only
_UNDERVOLTAGE, _THROTTLING, _UNDERVOLTAGE_SEEN = 1 << 0, 1 << 2, 1 << 16
_HOT_C = 80.0  # a Pi slows down from here on
_DISK_LOW_MB = 200.0
_WORN = 0.9  # the maker's own estimate; replace it before it is read-only
_GROWING_MB_H = 5.0  # a leak of this size fills a Pi within a week
_SETTLED_S, _WINDOW_S = 1800.0, 86_400.0  # models and buffers fill first; then over one day


@dataclass(frozen=True, slots=True)
class Power:
    """What a Raspberry Pi's firmware says of its supply; None on other machines."""

    undervoltage: bool | None = None
    undervoltage_seen: bool | None = None
    throttled: bool | None = None


@dataclass(slots=True)
class Growth:
    """How fast this program's memory grows, after its first half hour."""

    started_s: float
    first: tuple[float, float] | None = field(default=None, init=False)

    def add(self, memory_mb: float, now_s: float) -> float | None:
        """Return megabytes an hour since the window began; None: too early to say."""
        if now_s - self.started_s < _SETTLED_S:
            return None
        if self.first is None or now_s - self.first[0] > _WINDOW_S:
            self.first = (now_s, memory_mb)
        elapsed_s = now_s - self.first[0]
        return round((memory_mb - self.first[1]) * 3600 / elapsed_s, 1) if elapsed_s >= _SETTLED_S else None


@dataclass(frozen=True, slots=True)
class Vitals:
    """The box's own figures; None where this machine cannot tell."""

    cpu_percent: float
    memory_mb: float
    disk_free_mb: float
    temperature_c: float | None
    power: Power = Power()
    disk_worn: float | None = None

    def causes(self, growth_mb_h: float | None) -> tuple[str, ...]:
        """Name what somebody should do something about, worst first: codes of `agent.health`."""
        found = {
            "power-weak": self.power.undervoltage or self.power.undervoltage_seen,
            "disk-low": self.disk_free_mb < _DISK_LOW_MB,
            "disk-worn": self.disk_worn is not None and self.disk_worn >= _WORN,
            "too-hot": self.temperature_c is not None and self.temperature_c >= _HOT_C,
            "power-throttled": self.power.throttled,
            "memory-growing": growth_mb_h is not None and growth_mb_h >= _GROWING_MB_H,
        }
        return tuple(code for code, is_so in found.items() if is_so)


def vitals(process: psutil.Process, home: Path) -> Vitals:
    """CPU since the last call (percent of one core, this program), memory, disk, the hottest sensor."""
    return Vitals(
        cpu_percent=round(process.cpu_percent(), 1),
        memory_mb=round(process.memory_info().rss / 1e6, 1),
        disk_free_mb=round(psutil.disk_usage(str(home)).free / 1e6, 1),
        temperature_c=_hottest(),
        power=power(),
        disk_worn=disk_worn(),
    )


def power(sys: Path = Path("/sys")) -> Power:
    try:
        bits = int((sys / _THROTTLED).read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        return Power()
    return Power(bool(bits & _UNDERVOLTAGE), bool(bits & _UNDERVOLTAGE_SEEN), bool(bits & _THROTTLING))


def disk_worn(sys: Path = Path("/sys")) -> float | None:
    """Return the share of an eMMC's life that is used, in tenths; None: SD cards do not tell."""
    worn = []
    for file in sys.glob("block/*/device/life_time"):
        try:
            steps = [int(step, 16) for step in file.read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            continue
        worn += [min(step, 10) / 10 for step in steps if step]  # 0: not defined; 11: past its life
    return max(worn, default=None)


def _hottest() -> float | None:
    sensors = psutil.sensors_temperatures()
    readings = [reading.current for chip in sensors.values() for reading in chip if reading.current]
    return max(readings, default=None)
