"""A command is obeyed once, answered as often as it is said, and never knocks the agent over."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from uuid6 import uuid7

from agent.ledger import KEPT, Ledger
from agent.obey import Done, Obedience
from shared.commands import Command, Errand, Outcome, Reply, RestartCamera, Resume
from shared.messages import Thumbnail
from shared.signing import canonical
from tests.fakes import NOON, FakeClock

SITE = "nha-ba"


class Counting:
    """Counts what it is asked to do."""

    def __init__(self, done: Done | None = None) -> None:
        self.done, self.did = done or Done(), 0
        self.slow: threading.Event | None = None

    def is_quick(self, errand: Errand) -> bool:
        return self.slow is None

    def do(self, errand: Errand) -> Done:
        self.did += 1
        if self.slow:
            self.slow.wait(30)
        return self.done


class Kept:
    """What was answered."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.jpegs: list[bytes | None] = []
        self.waiting: set[UUID] = set()
        self.is_full = False

    def put_reply(self, reply: Reply, picture: bytes | None = None) -> None:
        if self.is_full:
            raise sqlite3.OperationalError
        self.replies.append(reply)
        self.jpegs.append(picture)

    def holds(self, message_id: UUID) -> bool:
        return message_id in self.waiting


def obedience(home: Path, doer: Counting, kept: Kept, clock: FakeClock | None = None) -> Obedience:
    return Obedience(SITE, Ledger(home), doer, kept, clock or FakeClock(NOON), uuid7)


def a_command(**changed: Any) -> Command:
    said = {
        "id": uuid7(),
        "site": SITE,
        "made_at": NOON,
        "not_after": NOON + timedelta(hours=1),
        "errand": Resume(),
    }
    return Command(**(said | changed))


def outcomes(kept: Kept) -> list[tuple[Outcome, str]]:
    return [(reply.outcome, reply.why) for reply in kept.replies]


def test_a_command_is_obeyed_once_and_answered_each_time_also_after_a_restart(tmp_path: Path) -> None:
    doer, kept, command = Counting(Done(why="paused-household")), Kept(), canonical(a_command())
    agent = obedience(tmp_path, doer, kept)
    agent.hear(command)
    agent.hear(command)
    again = obedience(tmp_path, doer, kept)
    again.begin()
    again.hear(command)
    assert doer.did == 1
    assert outcomes(kept) == [(Outcome.DONE, "paused-household")] * 3
    assert len({reply.id for reply in kept.replies}) == 3, "a message of its own each time: it has a number"
    assert len({(reply.command, reply.answered_at) for reply in kept.replies}) == 1


def test_an_answer_that_still_waits_is_not_said_twice(tmp_path: Path) -> None:
    doer, kept, command = Counting(), Kept(), canonical(a_command())
    agent = obedience(tmp_path, doer, kept)
    agent.hear(command)
    kept.waiting = {kept.replies[0].id}
    agent.hear(command)
    assert len(kept.replies) == 1


def test_a_command_that_a_restart_broke_off_is_answered_as_failed_and_not_obeyed_again(
    tmp_path: Path,
) -> None:
    doer, kept, command = Counting(), Kept(), canonical(a_command(errand=RestartCamera(camera="cong")))
    doer.slow = threading.Event()
    obedience(tmp_path, doer, kept).hear(command)
    after = Counting()
    agent = obedience(tmp_path, after, kept)
    agent.begin()
    agent.hear(command)
    assert after.did == 0
    assert outcomes(kept) == [(Outcome.FAILED, "interrupted")] * 2
    doer.slow.set()


def test_too_late_is_said_and_another_sites_command_is_nobodys(tmp_path: Path) -> None:
    doer, kept = Counting(), Kept()
    agent = obedience(tmp_path, doer, kept)
    agent.hear(canonical(a_command(not_after=NOON - timedelta(seconds=1))))
    agent.hear(canonical(a_command(site="nha-tu")))
    assert (doer.did, agent.garbage) == (0, 1)
    assert outcomes(kept) == [(Outcome.EXPIRED, "too-late")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff",
        b"[" * 4000,
        b'{"v":1}',
        b"x" * 5000,
        canonical(a_command()).replace(b"resume", b"format"),
        canonical(a_command()).replace(b'"verb"', b'"mask":[],"verb"'),
    ],
)
def test_what_is_no_command_is_counted_and_nothing_else(tmp_path: Path, garbage: bytes) -> None:
    doer, kept = Counting(), Kept()
    agent = obedience(tmp_path, doer, kept)
    agent.hear(garbage)
    assert (doer.did, kept.replies, agent.garbage) == (0, [], 1)


def test_who_takes_too_long_has_failed_and_comes_too_late_to_say_otherwise(tmp_path: Path) -> None:
    doer, kept, clock = Counting(), Kept(), FakeClock(NOON)
    doer.slow = threading.Event()
    agent = obedience(tmp_path, doer, kept, clock)
    agent.hear(canonical(a_command(errand=RestartCamera(camera="cong"))))
    agent.tend()
    assert kept.replies == []
    clock.advance(timedelta(minutes=2))
    agent.tend()
    doer.slow.set()
    for thread in [one for one in threading.enumerate() if one.name == "errand"]:
        thread.join(10)
    assert outcomes(kept) == [(Outcome.FAILED, "no-answer-in-time")]


def test_a_full_disk_costs_the_answer_and_the_station_asks_again(tmp_path: Path) -> None:
    doer, kept, command = Counting(), Kept(), canonical(a_command())
    agent = obedience(tmp_path, doer, kept)
    kept.is_full = True
    agent.hear(command)
    kept.is_full = False
    agent.hear(command)
    assert (doer.did, outcomes(kept)) == (1, [(Outcome.DONE, "")])


def test_a_disk_that_fills_while_a_command_is_obeyed_costs_neither_the_answer_nor_a_second_time(
    tmp_path: Path,
) -> None:
    class Filling(Counting):
        def do(self, errand: Errand) -> Done:
            home.rename(tmp_path / "away")
            return super().do(errand)

    home = tmp_path / "home"
    home.mkdir()
    doer, kept, command = Filling(), Kept(), canonical(a_command())
    agent = obedience(home, doer, kept)
    agent.hear(command)
    assert kept.replies == []
    (tmp_path / "away").rename(home)
    agent.hear(command)
    assert (doer.did, outcomes(kept)) == (1, [(Outcome.DONE, "")])


def test_the_picture_goes_with_the_answer_that_announces_it(tmp_path: Path) -> None:
    picture = Thumbnail(sha256="0" * 64, size_bytes=3, width=1, height=1, taken_at=NOON)
    doer, kept = Counting(Done(picture=picture, jpeg=b"jpg")), Kept()
    obedience(tmp_path, doer, kept).hear(canonical(a_command()))
    assert (kept.replies[0].picture, kept.jpegs) == (picture, [b"jpg"])


def test_the_ledger_forgets_the_oldest_and_begins_anew_when_it_cannot_be_read(tmp_path: Path) -> None:
    doer, kept = Counting(), Kept()
    agent = obedience(tmp_path, doer, kept)
    commands = [canonical(a_command()) for _ in range(KEPT + 1)]
    for command in commands:
        agent.hear(command)
    agent.hear(commands[1])
    assert doer.did == KEPT + 1
    agent.hear(commands[0])
    assert doer.did == KEPT + 2
    (tmp_path / "commands.json").write_bytes(b"{")
    obedience(tmp_path, doer, kept).hear(commands[5])
    assert doer.did == KEPT + 3
