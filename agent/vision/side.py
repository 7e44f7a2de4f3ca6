"""At which side of the picture did an object come in, or leave? By its edges and the way it went.

A box that is being cut by the frame's edge moves at half the object's speed and is seldom seen right at
the edge, at three looks a second; so what counts is whether it would have been there within a second.
"""

from __future__ import annotations

from shared.geometry import Box
from shared.messages import Side

_REACH_S = 1.0  # twice the longest gap between looks that a track survives unconfirmed
_LEAST_SPEED = 0.01  # of the frame per second: slower is the detector's jitter
_TOUCHES = 0.01  # this near to the edge, the box is cut by it


def entry_side(first: Box, later: Box, elapsed_s: float) -> Side:
    """Where it came in, from its first box and a later one."""
    vx, vy = _velocity(first, later, elapsed_s)
    return _edge(first, -vx, -vy)


def exit_side(earlier: Box, last: Box, elapsed_s: float) -> Side:
    """Where it left, from its last box and an earlier one."""
    return _edge(last, *_velocity(earlier, last, elapsed_s))


def _velocity(start: Box, end: Box, elapsed_s: float) -> tuple[float, float]:
    if elapsed_s <= 0:
        return 0.0, 0.0
    (x0, y0), (x1, y1) = start.centre, end.centre
    return (x1 - x0) / elapsed_s, (y1 - y0) / elapsed_s


def _edge(box: Box, vx: float, vy: float) -> Side:
    """The side it goes to fastest of those it reaches in time; else one that cuts it; else inside."""
    ways = {
        Side.BOTTOM: (1 - box.bottom, vy),
        Side.LEFT: (box.x, -vx),
        Side.RIGHT: (1 - box.right, vx),
        Side.TOP: (box.y, -vy),
    }
    reached = {
        side: speed
        for side, (gap, speed) in ways.items()
        if speed >= _LEAST_SPEED and gap <= max(_TOUCHES, speed * _REACH_S)
    }
    if reached:
        return max(reached, key=lambda side: reached[side])
    return next((side for side, (gap, _) in ways.items() if gap <= _TOUCHES), Side.INSIDE)
