"""Who goes is known by his way; who only leaps between things that stand has not moved."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from agent.vision.way import Way
from shared.geometry import Box

W, H = 0.10, 0.08
ALONE, OWN_PLACE, BY_A_NEIGHBOUR = 0.0, 1.0, 0.2


def at(x: float, y: float = 0.5, w: float = W, h: float = H) -> Box:
    return Box(x, y, w, h)


def walked(steps: Iterable[tuple[Box, float]], begins: tuple[Box, float]) -> Way:
    way = Way.at(*begins)
    for box, near in steps:
        way = way.on(box, near)
    return way


def test_who_goes_step_by_step_away_from_his_place_is_gone() -> None:
    steps = [(at(0.3 + 0.02 * n), max(0.0, 1 - 0.4 * n)) for n in range(1, 6)]
    assert walked(steps, (at(0.3), OWN_PLACE)).is_gone


def test_a_box_that_leaps_to_a_neighbour_and_back_has_not_moved() -> None:
    steps = [(at(0.45), OWN_PLACE), (at(0.3), OWN_PLACE)] * 20
    assert not walked(steps, (at(0.3), OWN_PLACE)).is_gone


def test_one_leap_to_where_nothing_is_known_may_be_to_a_neighbour_nobody_knows() -> None:
    assert not walked([(at(0.6), ALONE)] * 30, (at(0.3), OWN_PLACE)).is_gone


def test_two_leaps_each_to_the_open_are_a_motorbike() -> None:
    assert walked([(at(0.6), ALONE), (at(0.85), ALONE)], (at(0.3), OWN_PLACE)).is_gone


def test_two_leaps_with_one_back_to_where_it_began_are_none() -> None:
    assert not walked([(at(0.6), ALONE), (at(0.3), ALONE)] * 10, (at(0.3), ALONE)).is_gone


def test_who_walks_along_a_row_of_parked_cars_goes_little_by_little() -> None:
    steps = [(at(0.2 + 0.01 * n), BY_A_NEIGHBOUR) for n in range(1, 12)]
    assert walked(steps, (at(0.2), BY_A_NEIGHBOUR)).is_gone


def test_a_box_that_flips_between_two_overlapping_cars_is_no_way() -> None:
    """The two overlap, so each flip looks like a step; but it is all of the way in one look."""
    steps = [(at(0.345), BY_A_NEIGHBOUR), (at(0.3), BY_A_NEIGHBOUR)] * 20
    assert not walked(steps, (at(0.3), BY_A_NEIGHBOUR)).is_gone


@given(st.lists(st.floats(-0.01, 0.01), max_size=60), st.floats(0, 1))
def test_who_only_trembles_is_never_gone(jitter: list[float], near: float) -> None:
    assert not walked([(at(0.3 + d, 0.5 - d), near) for d in jitter], (at(0.3), near)).is_gone


@given(st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 1)), max_size=40))
def test_whoever_is_gone_stays_so_until_found_where_something_stands(
    steps: list[tuple[float, float]],
) -> None:
    way = Way.at(at(0.3), OWN_PLACE)
    for x, near in steps:
        before, way = way, way.on(at(x), near)
        if before.is_gone and near < 0.5:
            assert way.is_gone
        assert len(way.stops) <= 3
