from __future__ import annotations

import pytest

from agent.vision.kalman import Axis, corrected, predicted

NEW = Axis.at(0.2, deviation=0.01, velocity_deviation=1.0)


def followed(axis: Axis, positions: list[float], elapsed_s: float) -> Axis:
    for position in positions:
        axis = corrected(predicted(axis, elapsed_s, 0.5), position, 0.01)
    return axis


def test_a_steady_walker_is_expected_where_he_will_be() -> None:
    axis = followed(NEW, [0.2 + 0.1 * i for i in range(1, 6)], 0.25)
    assert axis.velocity == pytest.approx(0.4, abs=0.02)
    assert predicted(axis, 0.5, 0.5).position == pytest.approx(0.9, abs=0.02)


def test_uneven_gaps_between_looks_do_not_bend_the_way() -> None:
    axis, t = NEW, 0.0
    for gap in (0.2, 0.5, 0.1, 0.9, 0.2):
        t += gap
        axis = corrected(predicted(axis, gap, 0.5), 0.2 + 0.3 * t, 0.01)
    assert axis.velocity == pytest.approx(0.3, abs=0.02)


def test_doubt_grows_while_nobody_looks_and_shrinks_with_a_look() -> None:
    axis = followed(NEW, [0.2, 0.2, 0.2], 0.2)
    later = predicted(axis, 2.0, 0.5)
    assert later.variance > 10 * axis.variance
    assert corrected(later, 0.2, 0.01).variance < 0.01**2


def test_time_in_two_halves_is_the_same_time() -> None:
    axis = followed(NEW, [0.3, 0.4], 0.2)
    once, twice = predicted(axis, 0.4, 0.0), predicted(predicted(axis, 0.2, 0.0), 0.2, 0.0)
    assert once.position == pytest.approx(twice.position)
    assert once.variance == pytest.approx(twice.variance)
