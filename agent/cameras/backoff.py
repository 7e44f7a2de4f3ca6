"""How long until the next try? 1 s, doubling to 60 s, with jitter; forgotten after a healthy while."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S, LONGEST_S = 1.0, 60.0  # a rebooting camera is back within a minute or two
HEALTHY_S = 30.0  # a session that lasted so long was not part of the trouble before it
_SPREAD = 0.25  # after a power cut every camera of a house comes back in the same second


class Backoff:
    """Owned by one thread. `jitter` returns 0..1."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._next_s = FIRST_S

    def wait_s(self, healthy_s: float) -> float:
        """Return how long to wait after a session that was healthy for `healthy_s`."""
        if healthy_s >= HEALTHY_S:
            self._next_s = FIRST_S
        wait_s = self._next_s * (1 + _SPREAD * (2 * self._jitter() - 1))
        self._next_s = min(self._next_s * 2, LONGEST_S)
        return wait_s
