"""How long until the next try, for a camera that answers but gives no picture? Doubling, with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

HEALTHY_S = 10.0  # a session that lasted so long was not part of the trouble before it
_SPREAD = 0.25  # after a power cut every camera of a house comes back in the same second


@dataclass(frozen=True, slots=True)
class Pace:
    """The first wait and the longest, in seconds."""

    first_s: float
    longest_s: float


NO_STREAM = Pace(1.0, 60.0)  # it says no: only a person can change that
NO_PICTURE = Pace(1.0, 2.0)  # it may come to any moment, and a try alone takes 7 s
TOO_MANY = Pace(10.0, 20.0)  # our own lost session is in the way, 60 s at the most (RFC 2326 12.37)


class Backoff:
    """Owned by one thread. `jitter` returns 0..1."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._tries = 0

    def forget(self) -> None:
        """Begin anew: the trouble is over, or the camera was away and is another one now."""
        self._tries = 0

    def wait_s(self, pace: Pace) -> float:
        """Return how long to wait after one more failure."""
        wait_s = min(pace.first_s * 2.0**self._tries, pace.longest_s)
        self._tries = min(self._tries + 1, 10)  # 2^10 s is longer than any pace
        return self.spread_s(wait_s)

    def spread_s(self, seconds: float) -> float:
        return seconds * (1 + _SPREAD * (2 * self._jitter() - 1))
