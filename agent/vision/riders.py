"""Who sits on which two-wheeler? A rider and his motorbike are found as two objects and are one event.

Sitting on it is seen in one look; riding it takes several: both must have gone somewhere, and together.
Who walks past a parked motorbike, waits beside it or is overtaken by one never rides it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.vision.track import Track, has_left
from shared.geometry import Box
from shared.messages import Kind

TWO_WHEELS = frozenset({Kind.BICYCLE, Kind.MOTORCYCLE})

_LOOKS = 3  # together, before it is riding: as many as make an event
_APART = 4  # looks in which he no longer sits on it: he got off
_HELD = 8  # looks for which a doubt is borne before a person is told of as one who walks
_SLIP = 0.35  # sizes of the two-wheeler: a rider leans, a walker slides along
_BESIDE = 0.15  # of its width: how far the middle of a rider is off a wheeler seen from the side
_BELOW = 0.12  # of its height: a rider's foot hangs above the tyre's lowest point, never far under it


@dataclass(slots=True)
class _Pair:
    person: Box
    wheels: Box
    looks: int = 0
    apart: int = 0
    is_riding: bool = False


class Riders:
    """One per camera. Pairs of (person, two-wheeler), by the numbers of their tracks."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], _Pair] = {}

    def update(self, tracks: Iterable[Track]) -> None:
        """Take in one look."""
        live = tuple(tracks)
        numbers = {track.number for track in live}
        self._pairs = {key: pair for key, pair in self._pairs.items() if numbers.issuperset(key)}
        people = [track for track in live if track.kind is Kind.PERSON and not track.missed]
        for wheels in live:
            if wheels.kind in TWO_WHEELS and not wheels.missed:
                for person in people:
                    self._judge(person, wheels)

    def mount_of(self, person: int) -> int | None:
        """The two-wheeler this person rides, or None."""
        return next((w for (p, w), pair in self._pairs.items() if p == person and pair.is_riding), None)

    def is_undecided(self, person: int) -> bool:
        """Does he sit on one that may yet carry him off?"""
        return any(
            p == person and not pair.is_riding and not pair.apart and pair.looks < _HELD
            for (p, _), pair in self._pairs.items()
        )

    def _judge(self, person: Track, wheels: Track) -> None:
        key = person.number, wheels.number
        pair = self._pairs.get(key)
        if not sits_on(person.box, wheels.box):
            if pair:
                pair.apart += 1
                if pair.apart >= _APART or not pair.is_riding:
                    del self._pairs[key]
            return
        if pair is None:
            pair = self._pairs[key] = _Pair(person.box, wheels.box)
        pair.looks, pair.apart = pair.looks + 1, 0
        if pair.is_riding:
            return
        if _slipped(pair, person.box, wheels.box) > _SLIP:
            pair.person, pair.wheels = (
                person.box,
                wheels.box,
            )  # begin anew, but stay counted: no endless doubt
        elif pair.looks >= _LOOKS and has_left(pair.wheels, wheels.box):
            pair.is_riding = has_left(pair.person, person.box)


def sits_on(person: Box, wheels: Box) -> bool:
    """Could this person sit on that two-wheeler, by one look?"""
    x, y = person.centre
    beside = _BESIDE * wheels.w
    return (
        wheels.x - beside <= x <= wheels.right + beside
        and y < wheels.centre[1]
        and wheels.y < person.bottom <= wheels.bottom + _BELOW * wheels.h
        and wheels.h / 2 < person.h < 4 * wheels.h
    )


def _slipped(pair: _Pair, person: Box, wheels: Box) -> float:
    """How far he has moved on it since the pair was first seen, in its sizes."""
    (x0, y0), (x1, y1) = _seat(pair.person, pair.wheels), _seat(person, wheels)
    return max(abs(x1 - x0), abs(y1 - y0))


def _seat(person: Box, wheels: Box) -> tuple[float, float]:
    (px, py), (wx, wy) = person.centre, wheels.centre
    return (px - wx) / max(wheels.w, 1e-4), (py - wy) / max(wheels.h, 1e-4)
