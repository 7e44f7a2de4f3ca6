from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.vision.assign import best_pairs


def most(gains: list[list[float]]) -> float:
    """By trying everything."""
    rows, columns = len(gains), len(gains[0])
    few = min(rows, columns)
    return max(
        sum(max(gains[r][c], 0.0) for r, c in zip(chosen, order, strict=True))
        for chosen in combinations(range(rows), few)
        for order in permutations(range(columns), few)
    )


@st.composite
def tables(draw) -> list[list[float]]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    gain = st.one_of(st.just(0.0), st.floats(-1, 5, allow_nan=False))
    return draw(st.lists(st.lists(gain, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


@given(tables())
def test_no_other_pairing_gains_more(gains: list[list[float]]) -> None:
    pairs = best_pairs(gains)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(gains[row][column] > 0 for row, column in pairs)
    assert sum(gains[row][column] for row, column in pairs) == pytest.approx(most(gains))


def test_the_best_single_pair_is_given_up_for_two_good_ones() -> None:
    assert best_pairs([[3.0, 2.9], [2.9, 0.1]]) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("gains", [[], [[]], [[], []]])
def test_nobody_to_pair_is_no_pair(gains: list[list[float]]) -> None:
    assert best_pairs(gains) == []
