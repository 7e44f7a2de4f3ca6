from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from uuid6 import uuid7

from agent.uplink.outbox import Outbox
from shared.messages import DetectionEvent, Phase, TestMessage
from shared.topics import Channel
from tests.unit.uplink.events import JPEG, NOON, event


def rows(outbox: Outbox, room: int = 1_000_000) -> list[tuple[Channel, int]]:
    return [(row.channel, row.sequence) for row in outbox.next(room, not_these=frozenset())]


def test_what_was_put_is_there_after_the_program_ended(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    kept = outbox.put(event(jpeg=JPEG), JPEG)
    outbox.close()
    again = Outbox(tmp_path / "outbox.db", uuid7)
    first, second = again.next(1_000_000, not_these=frozenset())
    assert DetectionEvent.model_validate_json(first.body) == kept
    assert (second.channel, second.body, second.event_id) == (Channel.THUMBNAIL, JPEG, kept.event_id)
    assert again.waiting().size_bytes == len(first.body) + len(JPEG)


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_event_carries_the_sequence_number_of_its_row(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    assert [outbox.put(event()).sequence for _ in range(3)] == [1, 2, 3]


def test_a_sequence_number_is_never_used_twice(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    kept = outbox.put(event())
    outbox.acknowledged([kept.id])
    outbox.close()
    assert Outbox(tmp_path / "outbox.db", uuid7).put(event()).sequence == kept.sequence + 1


def test_a_start_goes_before_an_end_before_an_update_before_a_picture(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    outbox.put(event(Phase.UPDATE, jpeg=JPEG), JPEG)
    outbox.put(event(Phase.END))
    outbox.put(event(Phase.START))
    outbox.put_test(TestMessage(id=uuid7(), site="nha-ong-ba", sent_at=NOON))
    assert rows(outbox) == [
        (Channel.TEST, 5),
        (Channel.EVENT, 4),
        (Channel.EVENT, 3),
        (Channel.EVENT, 1),
        (Channel.THUMBNAIL, 2),
    ]


def test_the_window_holds_bytes_but_one_message_always_fits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    for _ in range(4):
        outbox.put(event())
    size = len(outbox.next(1, not_these=frozenset())[0].body)
    assert len(outbox.next(1, not_these=frozenset())) == 1
    assert len(outbox.next(2 * size + 1, not_these=frozenset())) == 2
    assert outbox.next(0, not_these=frozenset()) == []


def test_only_the_collectors_word_removes_a_row(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    kept = outbox.put(event())
    outbox.put(event())
    assert outbox.acknowledged([kept.id, uuid7()]) == 1
    assert outbox.acknowledged([kept.id]) == 0
    assert outbox.waiting().messages == 1


def test_a_refused_message_is_not_sent_again_and_its_reason_is_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    kept = outbox.put(event())
    outbox.refused({kept.id: "wrong-version", uuid7(): "never sent by us"})
    assert rows(outbox) == []
    assert outbox.refusal(kept.id) == "wrong-version"
    assert outbox.waiting().refused == 1


def test_a_picture_that_is_not_the_announced_one_is_a_bug_found_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7)
    with pytest.raises(ValueError, match="SHA-256"):
        outbox.put(event(jpeg=JPEG), JPEG + b"!")
    assert outbox.waiting().messages == 0


def test_a_used_up_budget_costs_pictures_and_says_how_many_but_never_an_event(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", uuid7, budget_bytes=3 * len(JPEG))
    for _ in range(6):
        outbox.put(event(jpeg=JPEG), JPEG)
    channels = [channel for channel, _ in rows(outbox)]
    assert channels.count(Channel.EVENT) == 6
    assert outbox.waiting().dropped == 6 - channels.count(Channel.THUMBNAIL) > 0
    assert outbox.waiting().size_bytes <= 3 * len(JPEG) or Channel.THUMBNAIL not in channels


def test_two_programs_on_one_file_do_not_lose_a_row(tmp_path: Path) -> None:
    first, second = Outbox(tmp_path / "outbox.db", uuid7), Outbox(tmp_path / "outbox.db", uuid7)
    first.put(event())
    second.put(event())
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
    db.close()
