"""When do people pass? One day's curve: quiet nights, two rushes; its mean is 1. Pure."""

from __future__ import annotations

import math

_RUSHES = ((7.0, 1.2), (17.5, 1.6))  # hour, width in hours
_NIGHT, _DAYTIME, _RUSH = 0.08, 0.9, 2.2


def busy(hour: float) -> float:
    """Return how busy an hour of the day is, through the mean of the day."""
    return _raw(hour % 24) / _MEAN


def _raw(hour: float) -> float:
    daylight = 1 / (1 + math.exp(-(hour - 5.5) * 3)) - 1 / (1 + math.exp(-(hour - 21) * 2))
    rushes = sum(math.exp(-(((hour - at) / width) ** 2)) for at, width in _RUSHES)
    return _NIGHT + _DAYTIME * daylight + _RUSH * rushes


_MEAN = sum(_raw(quarter / 4) for quarter in range(96)) / 96
