"""What the station may ask of a site, what it sends again, and what is still held for it."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from collector.archive import asking
from collector.archive.asking import CommandIncomplete, Verb
from collector.archive.configurations import ConfigurationChanged, Configurations, changed
from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.intake.dispatch import AGAIN, Presence, due
from shared.commands import Errand, HoldFootage, Outcome, Pause, ReleaseFootage, Reply, RestartCamera, Resume
from tests import seed
from tests.fakes import NOON

SITE = "nha-ong-ba"
_numbers = count(1)


def asked(errand: Errand, at: datetime = NOON) -> Order:
    return Order(asking.command(SITE, errand, at, UUID(int=next(_numbers))), "truc-ban")


def answered(order: Order, outcome: Outcome = Outcome.DONE) -> Order:
    reply = Reply(
        id=UUID(int=next(_numbers)), command=order.command.id, site=SITE, answered_at=NOON, outcome=outcome
    )
    return Order(order.command, order.by, NOON, "one", reply)


def sent(order: Order, at: datetime, session: str | None = "one") -> Order:
    return Order(order.command, order.by, at, session)


def hold(case: str, minute: int = 0) -> HoldFootage:
    since = NOON + timedelta(minutes=minute)
    return HoldFootage(camera="cong", since=since, until=since + timedelta(minutes=5), case=case)


RESTART = asked(RestartCamera(camera="cong"))


@pytest.mark.parametrize(
    ("order", "site", "is_due"),
    [
        (RESTART, None, True),  # never went out: the broker keeps it for a site that is away
        (sent(RESTART, NOON), None, False),  # went out, and nobody was ever heard there
        (sent(RESTART, NOON), Presence(NOON, "one"), False),  # it has only just heard it
        (sent(RESTART, NOON), Presence(NOON + AGAIN - timedelta(seconds=1), "one"), False),
        (sent(RESTART, NOON), Presence(NOON + AGAIN, "one"), True),  # heard since, and silent about it
        (sent(RESTART, NOON), Presence(NOON, "two"), True),  # the box restarted
        (sent(RESTART, NOON), Presence(None, "one"), False),
        (answered(RESTART), Presence(NOON + AGAIN, "two"), False),
    ],
)
def test_a_command_goes_out_until_it_is_answered(order: Order, site: Presence | None, is_due: bool) -> None:
    present = {SITE: site} if site else {}
    assert due([order], present, NOON + timedelta(minutes=2)) == ([order] if is_due else [])


def test_a_command_that_is_too_old_is_never_sent_again() -> None:
    late = NOON + asking.VALID + timedelta(seconds=1)
    assert due([RESTART], {}, late) == []
    assert due([RESTART], {}, late - timedelta(seconds=1)) == [RESTART]


def test_times_are_typed_as_they_are_written_here() -> None:
    said = {"camera": "cong", "since": "24/11/2026 21:00", "until": "24/11/2026 21:30", "case": "12/2026"}
    footage = asking.errand(Verb.HOLD_FOOTAGE, said, NOON)
    assert isinstance(footage, HoldFootage)
    assert footage.until - footage.since == timedelta(minutes=30)
    assert asking.errand(Verb.RESUME, {"camera": ""}, NOON) == Resume()


@pytest.mark.parametrize(
    ("verb", "said", "where"),
    [
        ("restart-camera", {}, "camera"),
        ("restart-camera", {"camera": "Cổng <b>"}, "camera"),
        ("hold-footage", {"camera": "cong", "since": "hôm qua"}, "since"),
        (
            "hold-footage",
            {"camera": "cong", "since": "24/11/2026 21:30", "until": "24/11/2026 21:00", "case": "12/2026"},
            "until",
        ),
        (
            "hold-footage",
            {"camera": "cong", "since": "24/11/2026", "until": "25/11/2026", "case": "1"},
            "case",
        ),
        ("pause", {"until": "01/01/2020"}, "until"),
        ("update", {"version": "9.1", "sha256": "a" * 64, "size_bytes": "5"}, "verb"),  # has waves of its own
        ("format-disk", {}, "verb"),
    ],
)
def test_what_is_missing_or_wrong_is_named(verb: str, said: dict[str, str], where: str) -> None:
    with pytest.raises(CommandIncomplete) as wrong:
        asking.errand(verb, said, NOON)
    assert wrong.value.facts["where"] == where


def test_a_pause_lies_in_the_future() -> None:
    later = NOON + timedelta(hours=1)
    assert asking.errand(Verb.PAUSE, {"until": later}, NOON) == Pause(until=later)
    with pytest.raises(CommandIncomplete):
        asking.errand(Verb.PAUSE, {"until": NOON}, NOON)


def test_held_is_what_a_box_took_and_was_not_told_to_let_go() -> None:
    first, second, other = hold("12/2026"), hold("12/2026", 30), hold("13/2026")
    orders = [
        answered(asked(first)),
        answered(asked(second)),
        answered(asked(other)),
        answered(asked(hold("14/2026")), Outcome.FAILED),
        asked(hold("15/2026")),
    ]
    assert [one.footage for one in asking.held(orders)] == [first, second, other]
    release = ReleaseFootage(camera="cong", case="12/2026")
    later = NOON + timedelta(hours=1)
    assert len(asking.held([*orders, asked(release, later)])) == 3, "only the box's word counts"
    assert [one.footage for one in asking.held([*orders, answered(asked(release, later))])] == [other]
    again = answered(asked(first, later + timedelta(hours=1)))
    assert len(asking.held([again, answered(asked(release, later)), *orders])) == 2


@pytest.fixture
def folder(tmp_path: Path) -> StationFolder:
    folder = seed.station(tmp_path / "station", NOON)
    seed.sites(folder, NOON, {SITE: ("Nhà ông Ba", "Thôn Đông"), "cho-moi": ("Chợ Mới", "")})
    return folder


def test_a_form_that_is_sent_twice_gives_one_command(folder: StationFolder) -> None:
    database = folder.open_station()
    orders = Orders(database)
    for _ in range(2):
        orders.give(RESTART.command, "truc-ban")
    assert [order.command for order in orders.newest(SITE, 9)] == [RESTART.command]
    held = asked(hold("12/2026")).command
    orders.give(held, "truc-ban")
    assert [order.command for order in orders.about_footage(SITE)] == [held]
    assert [order.command for order in orders.about_footage(None)] == [held]
    assert orders.about_footage("cho-moi") == []
    database.close()


def test_nobody_writes_over_a_wish_that_another_made_meanwhile(folder: StationFolder) -> None:
    database = folder.open_station()
    kept = Configurations(database)
    mine = changed(kept.newest(SITE), SITE, {"uplink_kbps": 256})
    theirs = changed(kept.newest(SITE), SITE, {"uplink_kbps": 512})
    kept.keep(theirs, "truc-dem", NOON)
    with pytest.raises(ConfigurationChanged):
        kept.keep(mine, "truc-ban", NOON)
    newest = kept.newest(SITE)
    assert newest
    assert newest.wish == theirs
    with pytest.raises(sqlite3.IntegrityError):
        kept.keep(theirs.model_copy(update={"site": "khong-co"}), "truc-dem", NOON)
    database.close()
