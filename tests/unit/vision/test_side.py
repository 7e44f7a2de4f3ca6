from __future__ import annotations

import pytest

from agent.vision.side import entry_side, exit_side
from shared.geometry import Box
from shared.messages import Phase, Side
from tests.fakes import Actor
from tests.unit.vision.lives import lived


@pytest.mark.parametrize(
    ("start", "speed", "entry", "exit_"),
    [
        ((0.0, 0.5), (0.12, 0.0), Side.LEFT, Side.RIGHT),
        ((1.0, 0.5), (-0.12, 0.0), Side.RIGHT, Side.LEFT),
        ((0.5, 0.0), (0.0, 0.15), Side.TOP, Side.BOTTOM),
        ((0.5, 1.0), (0.0, -0.15), Side.BOTTOM, Side.TOP),
    ],
)
@pytest.mark.parametrize("fps", [3.0, 5.0])
def test_who_crosses_the_picture_has_two_sides(
    start: tuple[float, float], speed: tuple[float, float], entry: Side, exit_: Side, fps: float
) -> None:
    told, _ = lived(Actor(start, speed, enters_s=2.0, size=(0.06, 0.2)), seconds=15, fps=fps)
    first, last = told[0].event, told[-1].event
    assert (first.entry_side, first.exit_side) == (entry, None)
    assert (last.phase, last.entry_side, last.exit_side) == (Phase.END, entry, exit_)


def test_who_comes_from_a_door_and_goes_into_one_was_inside() -> None:
    told, _ = lived(Actor((0.3, 0.5), (0.06, 0.0), enters_s=2.0, leaves_s=8.0), seconds=14)
    assert (told[-1].event.entry_side, told[-1].event.exit_side) == (Side.INSIDE, Side.INSIDE)


def test_who_is_still_there_when_the_stream_ends_has_not_left() -> None:
    told, _ = lived(Actor((0.3, 0.5), (0.06, 0.0), enters_s=2.0), seconds=6)
    assert told[-1].event.phase is Phase.END
    assert told[-1].event.exit_side is None


def test_feet_cut_by_the_lower_edge_do_not_make_a_walker_come_from_below() -> None:
    assert entry_side(Box(0.0, 0.5, 0.05, 0.5), Box(0.1, 0.5, 0.1, 0.5), 1.0) is Side.LEFT
    assert exit_side(Box(0.8, 0.5, 0.1, 0.5), Box(0.88, 0.505, 0.1, 0.495), 1.0) is Side.RIGHT


def test_who_walks_out_below_towards_the_camera_leaves_below() -> None:
    assert exit_side(Box(0.4, 0.3, 0.2, 0.7), Box(0.35, 0.2, 0.3, 0.8), 1.0) is Side.BOTTOM


def test_two_boxes_of_one_moment_tell_no_way() -> None:
    assert entry_side(Box(0.4, 0.4, 0.1, 0.1), Box(0.4, 0.4, 0.1, 0.1), 0.0) is Side.INSIDE
