"""Whose frame does the one detector look at next? Whoever has waited longest, with a few favours."""

from __future__ import annotations

from collections.abc import Collection

_FAVOURS = 2.0  # somebody new is confirmed by three looks: two of them may be hurried
_REFILL = 0.1  # a look; so a camera that hurries all day gets at most a tenth more than its share


class Turns:
    """Least recently looked at comes first.

    Who is in a hurry may be let past, but never two in a row, and each only as often as its favours
    allow. So of N who wait nobody sees 2N looks go to others: each other one goes before it at most once
    by right, and between two of those at most one favour.
    """

    def __init__(self, count: int) -> None:
        self._order = list(range(count))  # the least recently looked at first
        self._favours = [_FAVOURS] * count
        self._favoured = False  # the newest look was one

    def next(self, waiting: Collection[int], hurried: Collection[int] = ()) -> int | None:
        """Return whose turn it is of those who wait, and count it as a look; None when nobody waits."""
        queue = [camera for camera in self._order if camera in waiting]
        if not queue:
            return None
        first = queue[0]
        taken = first if self._favoured else self._let_past(queue, hurried)
        self._favoured = taken != first
        self._favours[taken] = min(self._favours[taken] - self._favoured + _REFILL, _FAVOURS)
        self._order.remove(taken)
        self._order.append(taken)
        return taken

    def _let_past(self, queue: list[int], hurried: Collection[int]) -> int:
        return next((one for one in queue if one in hurried and self._favours[one] >= 1.0), queue[0])
