"""Who is told of a version, and when is nobody else told any more?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.archive.rollout import PATIENCE, Box, NotTold, Tally, refusal, tally
from shared.update_manifest import Manifest

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)


def package(wave_percent: int = 100) -> dict[str, Manifest]:
    made = Manifest("anninh-agent", "arm64", "1.4.2", "a" * 64, 1000, BEFORE, wave_percent)
    return {"arm64": made}


def box(version: str = "1.4.1", architecture: str = "arm64", *causes: str) -> Box:
    return Box("nha-ba", version, architecture, causes)


def test_a_box_with_an_older_version_is_told() -> None:
    assert refusal("nha-ba", box(), package(), None, NOW) is None
    assert refusal("nha-ba", box("0.99.99"), package(), NOW - PATIENCE - timedelta(seconds=1), NOW) is None


@pytest.mark.parametrize(
    ("known", "packages", "told_at", "why"),
    [
        (None, package(), None, NotTold.SILENT),
        (box("1.4.2"), package(), None, NotTold.NEWEST),
        (box("1.10.0"), package(), None, NotTold.NEWEST),
        (box("1.4.1", "amd64"), package(), None, NotTold.ARCHITECTURE),
        (box(), package(0), None, NotTold.WAVE),
        (box(), package(), BEFORE, NotTold.WAITING),
    ],
)
def test_a_box_that_would_refuse_or_has_time_left_is_left_alone(
    known: Box | None, packages: dict[str, Manifest], told_at: datetime | None, why: NotTold
) -> None:
    assert refusal("nha-ba", known, packages, told_at, NOW) is why


def test_those_told_are_counted_once_each() -> None:
    long_ago = NOW - PATIENCE - timedelta(seconds=1)
    told = {"runs": BEFORE, "returned": BEFORE, "forgot": long_ago, "fetches": BEFORE, "never-heard": BEFORE}
    boxes = [
        Box("runs", "1.4.2", "arm64"),
        Box("returned", "1.4.1", "arm64", ("update-returned",)),
        Box("forgot", "1.4.1", "arm64"),
        Box("fetches", "1.4.1", "arm64", ("update-coming",)),
        Box("not-told", "1.4.1", "arm64"),
    ]
    counted = tally("1.4.2", told, boxes, NOW)
    assert counted == Tally(told=5, proven=1, failed=2, waiting=2)
    assert counted.why_not_wider() == "not-returning"


def test_the_first_wave_waits_for_nobody() -> None:
    assert tally("1.4.2", {}, [], NOW).why_not_wider() == ""


def test_the_next_wave_waits_until_everybody_of_the_one_before_has_spoken() -> None:
    assert Tally(told=10, proven=9, waiting=1).why_not_wider() == "still-waiting"
    assert Tally(told=10, proven=10).why_not_wider() == ""
