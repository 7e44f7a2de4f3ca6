"""Does anybody need every picture of this camera right now? Said by the eye, asked by the reader."""

from __future__ import annotations

import math

_LINGER_S = 3.0  # people stop and walk on; also longer than the key frames of most cameras are apart


class Attention:
    """One per camera; a single number between two threads, so no lock. Awake until the eye says otherwise."""

    def __init__(self) -> None:
        self._awake_until_s = math.inf

    def saw(self, monotonic_s: float, *, quiet: bool) -> None:
        """Take in what the eye made of the frame of that moment."""
        if not quiet or self._awake_until_s == math.inf:
            self.wake(monotonic_s)

    def wake(self, monotonic_s: float) -> None:
        """Somebody may be there, the camera or its packets say: show everything for a while."""
        until_s = monotonic_s + _LINGER_S
        if self._awake_until_s == math.inf or until_s > self._awake_until_s:
            self._awake_until_s = until_s

    def is_awake(self, monotonic_s: float) -> bool:
        return monotonic_s <= self._awake_until_s
