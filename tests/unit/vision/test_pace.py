from __future__ import annotations

import pytest

from agent.vision.pace import Figures, Pace


def fed(skip_of_ten: int, *, from_s: float = 0.0, seconds: float = 60.0, pace: Pace | None = None) -> Pace:
    """Five wanted frames a second; of ten so many are skipped, the others looked at after 0.1 s."""
    pace = pace or Pace()
    for number in range(int(seconds * 5)):
        at_s = from_s + number / 5
        if number % 10 < skip_of_ten:
            pace.skipped(at_s)
        else:
            pace.looked(at_s, 0.1)
    return pace


@pytest.mark.parametrize(("skipped", "behind"), [(0, False), (2, False), (3, True), (10, True)])
def test_over_a_fifth_skipped_in_a_minute_is_behind(skipped: int, behind: bool) -> None:
    assert fed(skipped).is_behind(60) is behind


def test_it_is_taken_back_only_under_a_tenth() -> None:
    pace = fed(5)
    assert pace.is_behind(60)
    fed(2, from_s=60, pace=pace)
    assert pace.is_behind(120)
    fed(1, from_s=120, pace=pace)
    assert not pace.is_behind(180)
    fed(2, from_s=180, pace=pace)
    assert not pace.is_behind(240)


def test_of_a_handful_of_frames_nothing_is_told() -> None:
    assert not fed(10, seconds=5).is_behind(5)
    assert not fed(10).is_behind(200)


def test_the_figures_are_those_of_five_minutes() -> None:
    pace = fed(10, seconds=60)
    for number in range(100):
        pace.looked(400 + number / 5, number / 100)
    pace.skipped(420)
    assert pace.figures(420) == Figures(p50_ms=500.0, p99_ms=990.0, looked=100, skipped=1)
    assert pace.figures(1000) == Figures(None, None, 0, 0)
