from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from uuid6 import uuid7

from agent.uplink.outbox import Outbox, Row
from shared.messages import DetectionEvent, GapReason, GapReport, Phase, TestMessage
from shared.signing import FIRST, chained, is_signed
from shared.topics import Channel
from tests.unit.uplink.events import JPEG, KEY, NOON, SPEAKER, event

ALWAYS = (0, 2**62)


def rows(outbox: Outbox) -> list[tuple[Channel, int]]:
    return [(row.channel, row.sequence) for row in everything(outbox)]


def everything(outbox: Outbox) -> list[Row]:
    return outbox.recent(ALWAYS, 1000, frozenset())


def test_what_was_put_is_there_after_the_program_ended(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    kept = outbox.put(event(jpeg=JPEG), JPEG)
    outbox.close()
    again = Outbox(tmp_path / "outbox.db", SPEAKER)
    first, second = everything(again)
    assert DetectionEvent.model_validate_json(first.body) == kept
    assert (second.channel, second.body, second.event_id) == (Channel.THUMBNAIL, JPEG, kept.event_id)
    assert again.waiting().size_bytes == len(first.body) + len(JPEG)


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_event_carries_the_sequence_number_of_its_row(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    assert [outbox.put(event()).sequence for _ in range(3)] == [1, 2, 3]


def test_a_sequence_number_is_never_used_twice(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    kept = outbox.put(event())
    outbox.acknowledged([kept.id])
    outbox.close()
    assert Outbox(tmp_path / "outbox.db", SPEAKER).put(event()).sequence == kept.sequence + 1


def test_a_start_goes_before_an_end_before_an_update_before_a_picture(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event(Phase.UPDATE, jpeg=JPEG), JPEG)
    outbox.put(event(Phase.END))
    outbox.put(event(Phase.START))
    outbox.put_test(TestMessage(id=uuid7(), site="nha-ong-ba", sent_at=NOON))
    assert rows(outbox) == [
        (Channel.TEST, 0),
        (Channel.EVENT, 4),
        (Channel.EVENT, 3),
        (Channel.EVENT, 1),
        (Channel.THUMBNAIL, 2),
    ]


def test_of_the_last_minutes_the_newest_goes_first_and_of_the_backlog_the_oldest(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    for _ in range(3):
        outbox.put(event(jpeg=JPEG), JPEG)
    assert [row.sequence for row in outbox.recent(ALWAYS, 6, frozenset())] == [5, 3, 1, 6, 4, 2]
    never = (0, 0)
    backlog = outbox.backlog(never, 6, frozenset(), pictures=True)
    assert [row.sequence for row in backlog] == [1, 3, 5, 2, 4, 6]


def test_only_the_collectors_word_removes_a_row(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    kept = outbox.put(event())
    outbox.put(event())
    assert outbox.acknowledged([kept.id, uuid7()]) == 1
    assert outbox.acknowledged([kept.id]) == 0
    assert outbox.waiting().messages == 1


def test_a_refused_message_is_not_sent_again_and_its_reason_is_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    kept = outbox.put(event())
    outbox.refused({kept.id: "wrong-version", uuid7(): "never sent by us"})
    assert rows(outbox) == []
    assert outbox.refusal(kept.id) == "wrong-version"
    assert outbox.waiting().refused == 1


def test_a_picture_that_is_not_the_announced_one_is_a_bug_found_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    with pytest.raises(ValueError, match="SHA-256"):
        outbox.put(event(jpeg=JPEG), JPEG + b"!")
    assert outbox.waiting().messages == 0


def test_a_used_up_budget_costs_pictures_then_updates_but_never_a_start_or_an_end(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER, budget_bytes=4 * len(JPEG))
    for phase in (Phase.START, Phase.UPDATE, Phase.END) * 4:
        outbox.put(event(phase, jpeg=JPEG), JPEG)
    left = [DetectionEvent.model_validate_json(row.body).phase for row in everything(outbox) if row.signature]
    assert (left.count(Phase.START), left.count(Phase.END)) == (4, 4)
    assert outbox.waiting().dropped == 24 - len(rows(outbox)) > 0


def test_pictures_of_updates_go_before_older_pictures_of_starts(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER, budget_bytes=5 * len(JPEG))
    outbox.put(event(Phase.START, jpeg=JPEG), JPEG)
    outbox.put(event(Phase.UPDATE, jpeg=JPEG), JPEG)
    outbox.put(event(Phase.END, jpeg=JPEG), JPEG)
    assert [number for channel, number in rows(outbox) if channel is Channel.THUMBNAIL] == [6, 2]


def test_what_was_dropped_is_told_with_numbers_times_and_reason(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER, budget_bytes=4 * len(JPEG))
    for minute in range(6):
        outbox.put(event(jpeg=JPEG, minute=minute), JPEG)
    gone = set(range(1, 13)) - {number for _, number in rows(outbox)}
    assert outbox.report_losses(NOON) == 1
    assert outbox.report_losses(NOON) == 0
    (row,) = (row for row in everything(outbox) if row.channel is Channel.GAP)
    report = GapReport.model_validate_json(row.body)
    assert (report.reason, report.instance) == (GapReason.DISK_FULL, outbox.waiting().instance)
    assert (report.first, report.last) == (min(gone), max(gone))
    assert (report.events, report.thumbnails) == (0, len(gone))
    assert (report.since, report.until) == (NOON, NOON + timedelta(minutes=len(gone) - 1))


def test_every_signed_message_names_the_one_before_and_proves_who_said_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event(jpeg=JPEG), JPEG)
    outbox.put_boot("boot", NOON, NOON)
    outbox.close()
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event(Phase.END))
    outbox.put_boot("boot", NOON, NOON)
    signed = sorted((row for row in everything(outbox) if row.signature), key=lambda row: row.sequence)
    assert [row.channel for row in signed] == [Channel.EVENT, Channel.BOOT, Channel.EVENT]
    assert all(is_signed(row.body, row.signature or "", KEY.public_key()) for row in signed)
    names = [json.loads(row.body)["chain"]["previous"] for row in signed]
    assert names == [FIRST, *(chained(row.body) for row in signed[:-1])]
    assert {json.loads(row.body)["chain"]["instance"] for row in signed} == {outbox.waiting().instance}
    assert (
        [json.loads(row.body)["sequence"] for row in signed] == [row.sequence for row in signed] == [1, 3, 4]
    )


def test_a_disk_that_is_full_costs_old_pictures_and_no_event(tmp_path: Path) -> None:
    """`max_page_count` makes SQLite answer SQLITE_FULL, as a full disk does."""
    outbox, picture = Outbox(tmp_path / "outbox.db", SPEAKER), JPEG * 100
    outbox._db.execute("PRAGMA max_page_count = 400")
    numbers = [outbox.put(event(jpeg=picture), picture).sequence for _ in range(60)]
    assert numbers == list(range(1, 120, 2)), "every event was numbered and kept"
    channels = [channel for channel, _ in rows(outbox)]
    assert channels.count(Channel.EVENT) == 60
    assert outbox.waiting().dropped == 60 - channels.count(Channel.THUMBNAIL) > 0


def test_while_the_disk_takes_nothing_events_wait_in_memory_and_what_is_too_much_is_told(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
    outbox.put(event())
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    made = 0
    while outbox.retry() < 200 or made < 260:
        outbox.put(event(minute=made))
        made += 1
        assert made < 400
    outbox._db.execute("PRAGMA max_page_count = 100000")
    assert outbox.retry() == 0
    outbox.report_losses(NOON)
    kept = everything(outbox)
    (told,) = (GapReport.model_validate_json(row.body) for row in kept if row.channel is Channel.GAP)
    assert told.reason is GapReason.NOT_WRITTEN
    assert told.events > 0
    assert 1 + made == told.events + sum(row.channel is Channel.EVENT for row in kept)


@pytest.mark.parametrize("where", [0, 100, 4096, 5 * 4096])
def test_a_broken_file_is_set_aside_what_is_whole_is_saved_and_the_rest_is_told(
    tmp_path: Path, where: int
) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, SPEAKER)
    for minute in range(40):
        outbox.put(event(jpeg=JPEG, minute=minute), JPEG)
    old = outbox.waiting().instance
    before = {row.id: row.body for row in everything(outbox)}
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    outbox.close()
    with path.open("r+b") as file:
        file.seek(where)
        file.write(b"\xa5" * 3000)
    outbox = Outbox(path, SPEAKER)
    assert outbox.waiting().instance != old
    assert (tmp_path / "outbox.db.damaged-1").exists()
    saved = {row.id: row.body for row in everything(outbox)}
    assert saved.items() <= before.items()
    assert outbox.put(event()).sequence == 1, "a new life counts from one"
    outbox.report_losses(NOON)
    (report,) = (
        GapReport.model_validate_json(row.body) for row in everything(outbox) if row.channel is Channel.GAP
    )
    assert (report.reason, report.instance) == (GapReason.OUTBOX_DAMAGED, old)


def test_two_programs_on_one_file_do_not_lose_a_row(tmp_path: Path) -> None:
    first, second = Outbox(tmp_path / "outbox.db", SPEAKER), Outbox(tmp_path / "outbox.db", SPEAKER)
    first.put(event())
    second.put(event())
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
    db.close()
