"""What is known to be missing: the same whatever the order, exactly what never came, and by whose word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
import uuid6
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.archive.gaps import Gaps, Hole, Loss, grouped, missing, outside, size, unexplained, within
from collector.archive.media import ThumbnailPacks
from collector.archive.numbering import Numbering
from collector.archive.records import (
    EventRecord,
    GapRecord,
    HeartbeatRecord,
    Number,
    PictureRecord,
    Record,
    Refusal,
    Seal,
)
from collector.archive.schema import ARCHIVE_MIGRATIONS, open_database
from collector.archive.store import Archive, Outcome
from shared.messages import GapReason, GapReport
from tests.station import a_heartbeat, a_picture, an_event

SITE, BOX = "nha-ong-ba", "ab" * 8
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NUMBERS = st.integers(1, 60)


def of(runs: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in runs for number in range(first, last + 1)}


@contextmanager
def an_archive(folder: Path) -> Iterator[tuple[Archive, sqlite_utils.Database]]:
    database = open_database(folder / "archive.db", ARCHIVE_MIGRATIONS)
    packs = ThumbnailPacks(folder)
    yield Archive(database, packs), database
    packs.close()
    database.close()


def runs_of(database: sqlite_utils.Database) -> list[tuple[int, int]]:
    rows = database.execute("SELECT first, last FROM numbers WHERE state = 'came' ORDER BY first")
    return [(first, last) for first, last in rows]


RISING = st.builds(lambda first, count: list(range(first, first + count)), NUMBERS, st.integers(1, 8))
BATCHES = st.lists(st.tuples(st.lists(NUMBERS, max_size=12) | RISING, st.booleans()), max_size=10)


@settings(deadline=None)  # a database each
@given(batches=BATCHES)
def test_runs_are_those_of_the_set_in_any_order_whatever_is_undone(
    batches: list[tuple[list[int], bool]],
) -> None:
    database = sqlite_utils.Database(memory=True)
    for script in ARCHIVE_MIGRATIONS:
        database.conn.executescript(script)
    numbering, before = Numbering(database), set[int]()
    for said, lasts in batches:
        seen = set(before)
        database.execute("BEGIN")
        for number in said:
            assert numbering.note(SITE, Number(BOX, number)) is (number not in seen)
            seen.add(number)
        if lasts:
            numbering.write()
            before = seen
        else:
            numbering.forget()
        database.execute("COMMIT" if lasts else "ROLLBACK")
        runs = runs_of(database)
        assert of(runs) == before
        assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(runs))
    database.close()


def test_outboxes_that_take_turns_have_runs_of_their_own(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        numbering = Numbering(database)
        with archive.writing():
            for number, box in itertools.product((1, 2, 3, 5, 4), ("a" * 16, "b" * 16)):
                assert numbering.note(SITE, Number(box, number))
            numbering.write()
        assert runs_of(database) == [(1, 5), (1, 5)]


@given(came=st.sets(NUMBERS), below=st.integers(0, 70))
def test_missing_is_what_is_below_and_did_not_come(came: set[int], below: int) -> None:
    runs = [(number, number) for number in sorted(came)]
    holes = missing(runs, below)
    assert of(holes) == set(range(1, below)) - came
    assert size(holes) == len(of(holes))
    assert sum(count for _, count in grouped(holes)) == size(holes)


@given(holes=st.sets(NUMBERS), begins=NUMBERS, length=st.integers(0, 20))
def test_a_span_cuts_into_within_and_outside(holes: set[int], begins: int, length: int) -> None:
    runs, span = [(number, number) for number in sorted(holes)], (begins, begins + length)
    assert of(within(runs, span)) | of(outside(runs, [span])) == holes
    assert of(within(runs, span)) & of(outside(runs, [span])) == set()


@given(holes=st.sets(NUMBERS), losses=st.lists(st.tuples(NUMBERS, st.integers(0, 20), st.integers(0, 25))))
def test_every_missing_number_is_somebodys_word_or_unexplained(
    holes: set[int], losses: list[tuple[int, int, int]]
) -> None:
    runs = [(number, number) for number in sorted(holes)]
    said = [Loss(GapReason.DISK_FULL, first, first + more, lost, 0, 0, 0) for first, more, lost in losses]
    uncovered, excess = unexplained(runs, said)
    covered = len(holes) - size(uncovered)
    assert of(uncovered) <= holes
    assert 0 <= sum(count for _, count in excess) <= covered
    assert covered - sum(count for _, count in excess) <= sum(loss.events for loss in said)


def numbered(number: int, **changed: Any) -> EventRecord:
    at = NOON + timedelta(minutes=number)
    event = an_event(SITE, started_at=at, seen_at=at, **changed)
    seal = Seal(Number(BOX, number), "", bytes(32), bytes(32))
    return EventRecord(SITE, event.id, at, event.model_dump_json().encode(), event, False, seal)


def a_beat(waiting: int, instance: str = BOX, at: datetime = NOON) -> HeartbeatRecord:
    beat = a_heartbeat(SITE, at).model_copy(update={"instance": instance, "sequence_waiting": waiting})
    return HeartbeatRecord(SITE, at, b"{}", beat, 0.0)


def a_report(number: int, reason: GapReason, **changed: Any) -> GapRecord:
    said = {"first": 0, "last": 0, "events": 0, "thumbnails": 0, "instance": BOX} | changed
    report = GapReport(
        id=uuid6.uuid7(), site=SITE, reason=reason, since=NOON, until=NOON + timedelta(minutes=4), **said
    )
    return GapRecord(SITE, report.id, NOON, b"{}", report, Seal(Number(BOX, number), "", b"", b""))


def holes_after(folder: Path, records: list[Record]) -> list[Hole]:
    with an_archive(folder) as (archive, database):
        with archive.writing():
            assert {archive.keep(record) for record in records} == {Outcome.STORED}
        return Gaps(database.conn).of()


def test_a_silent_hole_is_shown_with_the_time_between_its_neighbours(tmp_path: Path) -> None:
    (hole,) = holes_after(tmp_path, [numbered(1), numbered(2), numbered(9), a_beat(10)])
    assert (hole.reason, hole.messages, hole.events) == ("unexplained", 6, 0)
    assert (hole.since, hole.until) == (NOON + timedelta(minutes=2), NOON + timedelta(minutes=9))


def test_what_the_box_still_holds_is_not_missing(tmp_path: Path) -> None:
    assert holes_after(tmp_path, [numbered(1), numbered(9), a_beat(2)]) == []


def test_a_reported_hole_is_told_in_the_boxs_own_words(tmp_path: Path) -> None:
    full = a_report(12, GapReason.DISK_FULL, first=3, last=11, events=4, thumbnails=3)
    came = [numbered(number) for number in (1, 2, 6, 8)]
    (hole,) = holes_after(tmp_path, [*came, full, a_beat(13)])
    assert (hole.reason, hole.events, hole.thumbnails, hole.messages) == ("disk-full", 4, 3, 7)
    assert (hole.since, hole.until) == (NOON, NOON + timedelta(minutes=4))


def test_what_a_range_misses_beyond_its_report_is_unexplained(tmp_path: Path) -> None:
    full = a_report(12, GapReason.DISK_FULL, first=3, last=11, events=1, thumbnails=3)
    came = [numbered(number) for number in (1, 2, 6, 8)]
    holes = holes_after(tmp_path, [*came, full, numbered(13), a_beat(14)])
    assert {(hole.reason, hole.messages) for hole in holes} == {("disk-full", 4), ("unexplained", 3)}


def test_a_loss_without_numbers_is_shown_and_one_that_came_after_all_is_not(tmp_path: Path) -> None:
    unwritten = a_report(3, GapReason.NOT_WRITTEN, events=14)
    recovered = a_report(4, GapReason.DISK_FULL, first=1, last=1, events=1)
    (hole,) = holes_after(tmp_path, [numbered(1), numbered(2), unwritten, recovered, a_beat(5)])
    assert (hole.reason, hole.events, hole.messages) == ("not-written", 14, 0)


def test_a_damaged_outbox_explains_what_its_life_lacks(tmp_path: Path) -> None:
    newer = "cd" * 8
    damaged = a_report(2, GapReason.OUTBOX_DAMAGED)
    damaged = GapRecord(
        SITE, damaged.message_id, NOON, b"{}", damaged.report, Seal(Number(newer, 1), "", b"", b"")
    )
    later = NOON + timedelta(minutes=1)
    records = [numbered(1), numbered(5), a_beat(2), damaged, a_beat(2, newer, later)]
    (hole,) = holes_after(tmp_path, records)
    assert (hole.instance, hole.reason, hole.messages) == (BOX, "outbox-damaged", 3)


def test_a_pictures_number_counts_and_a_refused_one_is_not_missing(tmp_path: Path) -> None:
    picture = PictureRecord(
        SITE, uuid6.uuid7(), NOON, uuid6.uuid7(), "0" * 64, a_picture(), number=Number(BOX, 2)
    )
    with an_archive(tmp_path) as (archive, database):
        with archive.writing():
            for record in (numbered(1), picture, numbered(5), a_beat(6)):
                archive.keep(record)
            archive.count(Refusal(SITE, NOON, "wrong-signature", "", Number(BOX, 4)))
        assert [hole.messages for hole in Gaps(database.conn).of([SITE])] == [1]
        assert Gaps(database.conn).of(["nha-ba-tu"]) == []
        refused = database.execute("SELECT first, last FROM numbers WHERE state = 'refused'").fetchall()
        assert refused == [(4, 4)]


def test_a_number_used_twice_is_kept_and_said(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database), archive.writing():
        first = numbered(1)
        assert archive.keep(first) is Outcome.STORED
        assert archive.keep(first) is Outcome.REPEATED
        assert archive.keep(numbered(1)) is Outcome.NUMBER_TWICE
        assert database["messages"].count == 2


@settings(max_examples=25, deadline=None)  # each makes two archives on disk
@given(data=st.data())
def test_any_order_of_arrival_gives_the_same_holes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    records: list[Record] = [numbered(number) for number in (1, 2, 5, 9, 40)]
    records += [a_beat(12), a_beat(41), a_report(41, GapReason.DISK_FULL, first=3, last=8, events=5)]
    expected = holes_after(tmp_path_factory.mktemp("a"), records)
    shuffled = data.draw(st.permutations(records))
    assert holes_after(tmp_path_factory.mktemp("b"), shuffled) == expected


def test_the_end_of_a_broken_outbox_that_never_came_is_missing_too(tmp_path: Path) -> None:
    newer, later = "cd" * 8, NOON + timedelta(minutes=1)
    damaged = a_report(2, GapReason.OUTBOX_DAMAGED, first=1, last=9)
    damaged = GapRecord(
        SITE, damaged.message_id, NOON, b"{}", damaged.report, Seal(Number(newer, 1), "", b"", b"")
    )
    records = [numbered(1), numbered(5), damaged, a_beat(2, newer, later)]
    (hole,) = holes_after(tmp_path, records)
    assert (hole.instance, hole.reason, hole.messages) == (BOX, "outbox-damaged", 7)


def test_two_reports_on_the_same_numbers_do_not_count_them_twice(tmp_path: Path) -> None:
    early = a_report(20, GapReason.DISK_FULL, first=3, last=9, thumbnails=2)
    late = a_report(21, GapReason.DISK_FULL, first=2, last=8, thumbnails=3)
    came = [numbered(number) for number in range(1, 20) if number not in {2, 3, 6, 8, 9}]
    holes = holes_after(tmp_path, [*came, early, late, a_beat(22)])
    assert sorted(hole.messages for hole in holes) == [2, 3]
