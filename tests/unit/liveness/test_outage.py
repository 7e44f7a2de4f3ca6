"""Which falls belong together? A table of what a fleet may do, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from collector.archive.flips import NETWORK_OR_STATION, SHARED, TOGETHER, Flip, State
from collector.liveness.outage import Together, came_back, gather

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
START = 1_000 * DAY
UP, SILENT, DEAD, UNSTABLE = State.UP, State.SILENT, State.DEAD, State.UNSTABLE


def they(
    first: int, count: int, begins: int, over: int = MINUTE, state: State = SILENT
) -> list[tuple[int, int, State]]:
    """So many sites change, evenly over that time."""
    return [(begins + over * one // count, first + one, state) for one in range(count)]


def steadily(first: int, per_window: int, hours: int) -> list[tuple[int, int, State]]:
    """Houses that fall each by itself, so many in every two minutes."""
    count = per_window * 30 * hours
    return they(first, count, 0, hours * HOUR)


@dataclass(frozen=True)
class Case:
    name: str
    known: int
    flips: list[tuple[int, int, State]]
    whole: list[str]  # what is told of the whole: causes of outages, "network-back"
    alone: int  # falls that stay each their own, once all is told


CASES = [
    Case("a provider's tenth of the sites", 3000, they(0, 300, 0), [TOGETHER], 0),
    Case("a hamlet of ten", 3000, they(0, 10, 0), [TOGETHER], 0),
    Case("nine are nine alarms", 3000, they(0, 9, 0), [], 9),
    Case("ten, but over ten minutes", 3000, they(0, 10, 0, 10 * MINUTE), [], 10),
    Case("three of twelve", 12, they(0, 3, 0), [NETWORK_OR_STATION], 0),
    Case("two of four", 4, they(0, 2, 0), [], 2),
    Case("the station's own line", 3000, they(0, 3000, 0), [TOGETHER, NETWORK_OR_STATION], 0),
    Case("a slow cascade is told once", 3000, they(0, 300, 0, 20 * MINUTE), [TOGETHER], 0),
    Case("a day of ordinary falls is no outage", 3000, steadily(0, 2, 24), [], 1440),
    Case(
        "a day of storms: ten more are no news",
        6000,
        steadily(0, 5, 48) + they(8000, 10, 48 * HOUR),
        [],
        48 * 150 + 10,
    ),
    Case(
        "a day of storms: a provider is",
        6000,
        steadily(0, 5, 48) + they(8000, 300, 48 * HOUR),
        [TOGETHER],
        48 * 150 - 5,  # of which a few fell with them
    ),
    Case(
        "an hour later somebody falls alone",
        3000,
        they(0, 300, 0) + they(500, 1, HOUR),
        [TOGETHER],
        1,
    ),
    Case(
        "an hour later another provider",
        3000,
        they(0, 200, 0) + they(500, 100, HOUR),
        [TOGETHER, TOGETHER],
        0,
    ),
    Case(
        "some come back and fall again: no news",
        3000,
        they(0, 300, 0) + they(0, 50, HOUR, state=UP) + they(0, 50, 2 * HOUR),
        [TOGETHER],
        0,
    ),
    Case(
        "all come back",
        3000,
        they(0, 300, 0) + they(0, 300, HOUR, state=UP),
        [TOGETHER, "network-back"],
        0,
    ),
    Case(
        "a third stays away: not over",
        3000,
        they(0, 300, 0) + they(0, 200, HOUR, state=UP),
        [TOGETHER],
        0,
    ),
    Case(
        "a line that comes and goes for everybody",
        3000,
        they(0, 300, 0, state=UNSTABLE),
        [TOGETHER],
        0,
    ),
    Case(
        "it lasts a day: no second alarm for each",
        3000,
        they(0, 300, 0) + they(0, 300, DAY, state=DEAD),
        [TOGETHER],
        0,
    ),
    Case(
        "back and gone again the next day",
        3000,
        they(0, 30, 0) + they(0, 30, HOUR, state=UP) + they(0, 30, DAY),
        [TOGETHER, "network-back", TOGETHER],
        0,
    ),
]


def told(case: Case) -> tuple[Together, list[Flip]]:
    together, flips = Together(), []
    for at_us, site, state in sorted(case.flips, key=lambda one: one[:2]):
        cause = "heard" if state is UP else "no-heartbeat"
        together, new = gather(together, Flip(f"s{site:05}", "", state, cause, START + at_us), case.known)
        flips += new
    return together, flips


def own_alarms(flips: Iterable[Flip]) -> int:
    """Count the falls that no outage took with it: not those of the two minutes before one was told."""
    whole = [flip.at_us for flip in flips if flip.state is State.OUTAGE]
    return sum(
        flip.state in (SILENT, UNSTABLE, DEAD)
        and flip.cause not in SHARED
        and not any(0 <= at_us - flip.at_us <= 2 * MINUTE for at_us in whole)
        for flip in flips
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_falls_together_is_told_together(case: Case) -> None:
    _, flips = told(case)
    assert [flip.cause for flip in flips if not flip.site] == case.whole
    assert own_alarms(flips) == pytest.approx(case.alone, abs=6 if case.alone > 1000 else 0)


def test_sites_that_are_taken_off_the_register_end_an_outage_too() -> None:
    together, _ = told(CASES[0])
    together, ended = came_back(together, [f"s{number:05}" for number in range(300)], START + HOUR)
    assert [flip.cause for flip in ended] == ["network-back"]
    assert together.outage is None


def test_who_was_back_before_it_was_an_outage_is_no_part_of_it() -> None:
    flips = they(0, 9, 0) + they(0, 1, 61 * SECOND, state=UP) + they(20, 2, 62 * SECOND)
    together, _ = told(Case("", 3000, flips, [], 0))
    assert together.outage is not None
    assert len(together.outage.silent) == 10
    assert "s00000" not in together.outage.everyone
