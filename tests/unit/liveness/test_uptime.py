"""Uptime: what was working, of what is known."""

from __future__ import annotations

import pytest

from collector.archive.flips import Flip, State
from collector.archive.uptime import DAY_US, both, by_subject, together


def flip(camera: str, state: State, day: float) -> Flip:
    return Flip("nha-ba", camera, state, "", int(day * DAY_US))


def test_a_camera_is_up_only_while_its_site_is() -> None:
    flips = [
        flip("", State.UP, 0),
        flip("cong", State.UP, 0),
        flip("cong", State.DOWN, 94),
        flip("", State.SILENT, 97),
        flip("", State.UP, 98),
        flip("cong", State.UP, 95),
    ]
    found = by_subject(sorted(flips, key=lambda one: one.at_us), 100 * DAY_US)
    site, camera = ([together([one]) for one in found["nha-ba", name]] for name in ("", "cong"))
    assert site == pytest.approx([6 / 7, 29 / 30, 89 / 90])
    assert camera == pytest.approx([5 / 7, 28 / 30, 88 / 90])


def test_before_it_was_known_nothing_counts() -> None:
    found = by_subject([flip("", State.UP, 99), flip("", State.DEAD, 99.5)], 100 * DAY_US)
    assert [together([one]) for one in found["nha-ba", ""]] == pytest.approx([0.5, 0.5, 0.5])
    assert together([]) is None


def test_what_is_paused_counts_neither_way() -> None:
    flips = [
        flip("", State.UP, 90),
        flip("cong", State.UP, 90),
        flip("cong", State.PAUSED, 95),
        flip("cong", State.DOWN, 98),
    ]
    found = by_subject(flips, 100 * DAY_US)
    assert together([found["nha-ba", "cong"][0]]) == pytest.approx(2 / 4)  # of seven days three are paused
    assert together([found["nha-ba", "cong"][1]]) == pytest.approx(5 / 7)


def test_spans_meet() -> None:
    assert both([(0, 5), (7, 9)], [(3, 8)]) == [(3, 5), (7, 8)]
