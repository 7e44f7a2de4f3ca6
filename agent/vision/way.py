"""Has it gone somewhere, or does only its box leap about between things that stand?

A tracker that loses a car for a look takes the next car's box for it, and the boxes of a dense row merge
and part with every cloud. A leap is no way. Gone has who was followed from one place to another, if
nothing is known to stand at one of the two, or if he went there little by little; and who leapt twice,
each time to where nothing stands and clear of where he had been (a motorbike does, at five looks a second).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.vision.track import has_left
from shared.geometry import Box

_LEAPS = 2  # one may be to a neighbour that nobody knows of yet
_STANDS = 0.5  # overlap with what stands; as StillTuning.same_place
CLEAR = 0.15  # overlap; less is clear of it: boxes breathe, and take in a part of the neighbour
_FOLLOWED = 0.3  # overlap with the look before: a leap to a neighbour in a row has .3 and less
_LITTLE = 1 / 3  # of the way, in one look: a box that flips between two things goes all of it
_SAME_SIZE = 1.3  # times: a box that merges two, or parts, changes by more within one look


@dataclass(frozen=True, slots=True)
class Way:
    """Where one was found. A value: every look makes a new one."""

    last: Box
    since: Box  # from where it was followed without a leap
    is_since_clear: bool  # of all that stands
    stops: tuple[Box, ...]  # where it began, and where its steps ended: each clear of those before
    stride: float = 0.0  # the longest between two looks of `since`
    is_gone: bool = False

    @classmethod
    def at(cls, box: Box, near: float) -> Way:
        """Begin. `near`: how far the box overlaps with what is known to stand, its own place included."""
        return cls(box, box, near < CLEAR, (box,))

    def on(self, box: Box, near: float) -> Way:
        """Found there in the next look."""
        is_followed, is_clear = _is_followed(self.last, box), near < CLEAR
        if near >= _STANDS and not is_followed:
            return Way.at(box, near)
        stops = self.stops
        if (is_followed or is_clear) and all(has_left(stop, box) for stop in stops):
            stops = (*stops, box)[: _LEAPS + 1]
        gone = self.is_gone or len(stops) > _LEAPS
        if not is_followed:
            return Way(box, box, is_clear, stops, is_gone=gone)
        stride = max(self.stride, _between(self.last, box))
        if has_left(self.since, box):
            little = stride <= _LITTLE * _between(self.since, box)
            gone = gone or self.is_since_clear or is_clear or little
        return Way(box, self.since, self.is_since_clear, stops, stride, gone)


def _between(a: Box, b: Box) -> float:
    return math.dist(a.centre, b.centre)


def _is_followed(before: Box, box: Box) -> bool:
    return before.overlap(box) >= _FOLLOWED and all(
        max(a, b) <= _SAME_SIZE * min(a, b) for a, b in ((before.w, box.w), (before.h, box.h))
    )
