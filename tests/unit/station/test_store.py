"""Each id once and each event at its newest, in whatever order and however often things come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
import sqlite_utils
import uuid6

from collector.archive.media import ThumbnailPacks
from collector.archive.records import EventRecord, PictureRecord, Record, Refusal, StateRecord
from collector.archive.schema import ARCHIVE_MIGRATIONS, open_database
from collector.archive.store import Archive, Outcome
from shared.clock import microseconds
from shared.messages import AgentState, DetectionEvent, Phase
from tests.station import a_picture, an_event, announced

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITE = "nha-ong-ba"


@contextmanager
def an_archive(folder: Path) -> Iterator[tuple[Archive, sqlite_utils.Database]]:
    database = open_database(folder / "archive.db", ARCHIVE_MIGRATIONS)
    packs = ThumbnailPacks(folder)
    yield Archive(database, packs), database
    packs.close()
    database.close()


def record_of(event: DetectionEvent, *, clock_suspect: bool = False) -> EventRecord:
    body = event.model_dump_json().encode()
    return EventRecord(event.site, event.id, NOW, body, event, clock_suspect)


def picture_of(event_id: UUID, picture: bytes, site: str = SITE) -> PictureRecord:
    return PictureRecord(site, uuid6.uuid7(), NOW, event_id, sha256(picture).hexdigest(), picture)


def a_life(site: str = SITE) -> list[Record]:
    """Start, two updates and end of one event, with two pictures: the second is the better look."""
    event_id = uuid6.uuid7()
    first, better = a_picture(1), a_picture(2)
    phases = [Phase.START, Phase.UPDATE, Phase.UPDATE, Phase.END]
    thumbnails = [announced(first), None, announced(better), None]
    events = [
        an_event(
            site,
            event_id=event_id,
            revision=revision,
            phase=phase,
            thumbnail=thumbnail,
            started_at=NOW,
            seen_at=NOW + timedelta(seconds=revision),
        )
        for revision, (phase, thumbnail) in enumerate(zip(phases, thumbnails, strict=True))
    ]
    return [*map(record_of, events), picture_of(event_id, first, site), picture_of(event_id, better, site)]


@pytest.mark.parametrize("seed", range(25))
def test_repetition_and_reordering_change_nothing(tmp_path: Path, seed: int) -> None:
    shuffle = random.Random(seed)
    lives = [a_life() for _ in range(4)]
    said = [record for life in lives for record in life]
    said += shuffle.choices(said, k=30)
    shuffle.shuffle(said)
    with an_archive(tmp_path) as (archive, database):
        while said:
            size = shuffle.randint(1, 9)
            batch, said = said[:size], said[size:]
            with archive.writing():
                assert {archive.keep(record) for record in batch} <= {Outcome.STORED, Outcome.REPEATED}
        rows = {row["event_id"]: row for row in database["events"].rows}
        assert len(rows) == 4
        for life in lives:
            end = life[3]
            assert isinstance(end, EventRecord)
            row = rows[end.event.event_id.bytes]
            assert (row["revision"], row["phase"]) == (3, "end")
            assert row["started_us"] == microseconds(NOW)
            assert row["seen_us"] == microseconds(NOW + timedelta(seconds=3))
            assert row["thumbnail"] == sha256(a_picture(2)).hexdigest(), "of the newest revision that has one"
        assert database["messages"].count == 4 * 6
        assert database["thumbnails"].count == 4 * 2
        packs = ThumbnailPacks(tmp_path)
        assert len(list(packs.walk("20261123.pack"))) == 4 * 2, "each picture once on disk"
        for place in database["thumbnails"].rows:
            picture = packs.read(place["pack"], place["position"], place["size"])
            assert sha256(picture).hexdigest() == place["sha256"]


def test_an_event_whose_start_never_came_is_kept_all_the_same(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        with archive.writing():
            assert archive.keep(a_life()[3]) is Outcome.STORED
        assert [row["phase"] for row in database["events"].rows] == ["end"]


def test_nobody_writes_into_anothers_event_or_takes_anothers_message_id(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        mine = a_life()[0]
        assert isinstance(mine, EventRecord)
        forged = an_event("ke-gian", event_id=mine.event.event_id, revision=99, phase=Phase.END)
        squatter = picture_of(uuid6.uuid7(), a_picture(), "ke-gian")
        with archive.writing():
            archive.keep(mine)
            assert archive.keep(record_of(forged)) is Outcome.FOREIGN
            assert archive.keep(replace(squatter, message_id=mine.message_id)) is Outcome.FOREIGN
        (row,) = database["events"].rows
        assert (row["site"], row["revision"]) == (SITE, 0)
        assert database["messages"].count == 1
        assert database["thumbnails"].count == 0


def test_a_start_under_anothers_message_id_leaves_no_event(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        mine = a_life()[0]
        assert isinstance(mine, EventRecord)
        squatter = record_of(an_event("ke-gian"))
        with archive.writing():
            archive.keep(mine)
            assert archive.keep(replace(squatter, message_id=mine.message_id)) is Outcome.FOREIGN
        assert [row["site"] for row in database["events"].rows] == [SITE]


def _keep_on_a_disk_that_fills(archive: Archive, records: list[Record]) -> None:
    with archive.writing():
        for record in records:
            archive.keep(record)
        raise OSError("full")


def test_a_batch_cut_off_between_packs_and_rows_does_not_write_its_pictures_twice(tmp_path: Path) -> None:
    """`kill -9`: the pictures are on disk, the rows are not, and everything is sent again."""
    pictures = [picture_of(uuid6.uuid7(), a_picture(number), SITE) for number in range(6)]
    with an_archive(tmp_path) as (archive, database), archive.writing():
        archive.keep(pictures[0])
    packs = ThumbnailPacks(tmp_path)
    for picture in pictures[1:4]:
        assert isinstance(picture, PictureRecord)
        packs.append(picture.jpeg, picture.event_id, picture.received_at)
    packs.close()
    with (tmp_path / "20261123.pack").open("ab") as file:
        file.write(b"AnT1 half a record")
    with an_archive(tmp_path) as (archive, database):
        for picture in pictures:
            with archive.writing():
                archive.keep(replace(picture, received_at=NOW + timedelta(minutes=1)))
        rows = list(database["thumbnails"].rows)
        again = ThumbnailPacks(tmp_path)
        assert len(rows) == len(list(again.walk("20261123.pack"))) == 6
        found = {sha256(again.read(row["pack"], row["position"], row["size"])).hexdigest() for row in rows}
        assert found == {sha256(one.jpeg).hexdigest() for one in pictures if isinstance(one, PictureRecord)}


def test_a_batch_that_fails_leaves_neither_rows_nor_pictures(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        life = a_life()
        with archive.writing():
            archive.keep(life[4])
        size = (tmp_path / "20261123.pack").stat().st_size
        with pytest.raises(OSError, match="full"):
            _keep_on_a_disk_that_fills(archive, life)
        assert database["events"].count == 0
        assert (tmp_path / "20261123.pack").stat().st_size == size
        with archive.writing():
            assert archive.keep(life[4]) is Outcome.REPEATED
            assert archive.keep(life[5]) is Outcome.STORED


def test_once_suspect_always_suspect(tmp_path: Path) -> None:
    event_id = uuid6.uuid7()
    with an_archive(tmp_path) as (archive, database), archive.writing():
        archive.keep(record_of(an_event(SITE, event_id=event_id, revision=1)))
        archive.keep(record_of(an_event(SITE, event_id=event_id, revision=0), clock_suspect=True))
        archive.keep(record_of(an_event(SITE, event_id=event_id, revision=2)))
        assert [row["clock_suspect"] for row in database["events"].rows] == [1]


def test_an_older_sessions_will_cannot_overtake_a_newer_birth(tmp_path: Path) -> None:
    def word(session: str, *, online: bool) -> StateRecord:
        return StateRecord(SITE, NOW, AgentState(online=online, session=session, at=NOW))

    with an_archive(tmp_path) as (archive, database), archive.writing():
        for session, online, expected in (
            ("one", True, 1),
            ("one", False, 0),
            ("two", True, 1),
            ("one", False, 1),
            ("two", False, 0),
        ):
            archive.keep(word(session, online=online))
            assert [row["online"] for row in database["agents"].rows] == [expected]


def test_refusals_are_counted_by_site_and_reason_with_the_last_detail(tmp_path: Path) -> None:
    with an_archive(tmp_path) as (archive, database):
        with archive.writing():
            for detail in ("first", "lone surrogate \ud800", "x" * 1000):
                archive.count(Refusal(SITE, NOW, "malformed", detail))
            archive.count(Refusal("", NOW, "unknown-topic", ""))
        rows = {(row["site"], row["reason"]): row for row in database["refusals"].rows}
        assert rows[SITE, "malformed"]["count"] == 3
        assert rows[SITE, "malformed"]["last_detail"] == "x" * 200
        assert rows["", "unknown-topic"]["count"] == 1
