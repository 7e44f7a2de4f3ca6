from __future__ import annotations

import itertools
import random
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from collector.archive import fleet
from collector.archive.folder import StationFolder
from collector.archive.media import PictureUnreadableError
from collector.archive.reading import DatabaseUnreadable, reading
from collector.archive.records import PictureRecord, Refusal
from collector.archive.search import Cursor, Question, Search, StoredEvent
from shared.messages import CameraState, Colour, Kind, Phase
from tests import seed
from tests.bench.console.search_speed import fill
from tests.seed import Seen

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACES = [("nha-ong-ba", "cong"), ("nha-ong-ba", "ngo"), ("cho-moi", "cong")]


@pytest.fixture
def folder(tmp_path: Path) -> StationFolder:
    folder = StationFolder(tmp_path)
    folder.thumbnails.mkdir()
    folder.open_archive().close()
    folder.open_station().close()
    return folder


def ask(folder: StationFolder, question: Question) -> list[StoredEvent]:
    with Search.of(folder) as search:
        return search.page(question).events


def busy_day(folder: StationFolder, count: int = 240) -> list[Seen]:
    """Objects of all kinds at all places, many of them at the very same microsecond."""
    dice = random.Random(7)
    seen = [
        Seen(NOW - SECOND * dice.randrange(count // 4), dice.choice(list(Kind)), *dice.choice(PLACES))
        for _ in range(count)
    ]
    seed.passed(folder, seen)
    return seen


def test_events_come_newest_first_with_all_their_facts(folder: StationFolder) -> None:
    older, newer = seed.passed(folder, [Seen(NOW - SECOND), Seen(NOW, Kind.CAR, suspect=True, offset_s=None)])
    found = ask(folder, Question())
    assert [event.event_id for event in found] == [newer.event_id, older.event_id]
    event = found[1]
    assert (event.site, event.camera, event.kind) == ("nha-ong-ba", "cong", Kind.PERSON)
    assert (event.phase, event.revision, event.confidence) == (Phase.END, 1, 0.83)
    assert event.started_at == older.started_at
    assert event.seen_at == older.seen_at
    assert event.received_at > event.started_at
    assert event.camera_offset_s == 1.4
    assert not event.clock_suspect
    assert found[0].clock_suspect
    assert found[0].camera_offset_s is None


@pytest.mark.parametrize("limit", [1, 7, 50, 200])
def test_pages_join_without_gap_or_repetition_even_among_equal_times(
    folder: StationFolder, limit: int
) -> None:
    busy_day(folder)
    for kinds, sites, cameras in itertools.product(
        ((), (Kind.PERSON,), (Kind.CAR, Kind.BUS)), ((), ("nha-ong-ba",)), ((), ("cong",))
    ):
        question = Question(kinds=kinds, sites=sites, cameras=cameras, limit=limit)
        with Search.of(folder) as search:
            whole = [event for page in _pages(search, replace(question, limit=200)) for event in page]
            pieces = [event for page in _pages(search, question) for event in page]
        assert pieces == whole
        assert len({event.event_id for event in pieces}) == len(pieces)
        assert pieces == sorted(
            pieces, key=lambda event: (-event.started_at.timestamp(), event.event_id.bytes)
        )


def _pages(search: Search, question: Question) -> list[list[StoredEvent]]:
    pages = []
    while True:
        page = search.page(question)
        pages.append(page.events)
        if page.next is None:
            return pages
        question = replace(question, before=page.next)


def test_filters_find_what_a_plain_reading_of_the_list_finds(folder: StationFolder) -> None:
    seen = busy_day(folder)
    since, until = NOW - 40 * SECOND, NOW - 10 * SECOND
    for kinds, sites, cameras in itertools.product(
        ((), (Kind.PERSON,), (Kind.CAR, Kind.BUS), tuple(Kind)),
        ((), ("nha-ong-ba",), ("cho-moi", "nha-ong-ba"), ("nowhere",)),
        ((), ("cong",), ("cho-moi/cong",), ("ngo", "cho-moi/cong")),
    ):
        question = Question(since, until, kinds, sites, cameras, limit=200)
        expected = sorted(
            (one.at, one.kind, one.site, one.camera)
            for one in seen
            if since <= one.at <= until
            and (not kinds or one.kind in kinds)
            and (not sites or one.site in sites)
            and (not cameras or one.camera in cameras or f"{one.site}/{one.camera}" in cameras)
        )
        found = ask(folder, question)
        assert sorted((e.started_at, e.kind, e.site, e.camera) for e in found) == expected
        with Search.of(folder) as search:
            assert search.count(question) == len(expected)
            assert search.count(question, most=3) == min(len(expected), 4)


def test_a_page_read_on_does_not_shift_when_newer_events_come_in(folder: StationFolder) -> None:
    seed.passed(folder, [Seen(NOW - n * SECOND) for n in range(10)])
    with Search.of(folder) as search:
        first = search.page(Question(limit=4))
    seed.passed(folder, [Seen(NOW + SECOND)])
    with Search.of(folder) as search:
        second = search.page(Question(limit=4, before=first.next))
    assert [event.started_at for event in second.events] == [NOW - n * SECOND for n in range(4, 8)]


def test_every_question_is_answered_by_an_index_without_scan_or_sort(
    folder: StationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_day(folder)
    cursor = Cursor(0, UUID(int=1))
    with reading(folder.archive_database) as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        search = Search(connection, None)  # type: ignore[arg-type] # no picture is read here
        for kinds, sites, cameras, since, before, colours in itertools.product(
            ((), (Kind.PERSON,), (Kind.CAR, Kind.BUS)),
            ((), ("nha-ong-ba",)),
            ((), ("cong",)),
            (None, NOW),
            (None, cursor),
            ((), (Colour.RED,)),
        ):
            question = Question(since, since, kinds, sites, cameras, before, colours=colours)
            search.page(question)
            search.count(question)
        search.event(UUID(int=1))
        search.revisions(UUID(int=1))
        connection.set_trace_callback(None)
        plans = {sql: _plan(connection, sql) for sql in asked if sql.startswith("SELECT")}
    assert len(plans) > 20
    for sql, plan in plans.items():
        if "site = " in sql and "kind = " in sql and "colour = " not in sql:
            assert any("events_by_camera_kind" in step for step in plan), sql
        whole_table = [step for step in plan if step.startswith("SCAN") and "(subquery" not in step]
        assert whole_table == [], sql
        assert not any("TEMP B-TREE" in step for step in plan), sql


def _plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]


@pytest.mark.parametrize(
    "question",
    [
        Question(limit=5),
        Question(until=NOW - timedelta(days=9), limit=5),
        Question(kinds=(Kind.BUS, Kind.BICYCLE), limit=5),
        Question(sites=("site-003",), limit=5),
        Question(kinds=(Kind.BUS,), cameras=("site-003/cam-0",), limit=5),
        Question(NOW - timedelta(days=3), NOW, (Kind.PERSON, Kind.CAR), cameras=("cam-0",), limit=5),
    ],
    ids=["newest", "days-back", "rare-kinds", "site", "rare-kind-at-a-camera", "cameras-name"],
)
def test_an_answer_costs_the_same_however_much_is_kept(tmp_path: Path, question: Question) -> None:
    """Counts SQLite's own steps: ten times the events may not cost twice the work."""
    worked = []
    for rows in (2_000, 20_000):
        folder = StationFolder(tmp_path / str(rows))
        folder.root.mkdir()
        fill(folder, rows, cameras=10)
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        with reading(folder.archive_database) as connection:
            connection.set_progress_handler(step, 10)
            search = Search(connection, None)  # type: ignore[arg-type] # no picture is read here
            search.page(question)
            search.places()
        worked.append(steps)
    assert worked[1] < 2 * worked[0]


def test_a_cursor_survives_being_written_into_an_address() -> None:
    cursor = Cursor(1_795_442_400_000_001, UUID("01979c2f-6f4e-7c3a-9a11-0123456789ab"))
    assert Cursor.parse(cursor.written()) == cursor
    for broken in ("", "1", "x-y", "1-", "12-zz", "-"):
        with pytest.raises(ValueError):
            Cursor.parse(broken)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_page_has_a_size_a_person_can_look_at(limit: int) -> None:
    with pytest.raises(ValueError):
        Question(limit=limit)


def test_an_event_shows_everything_that_was_said_of_it_in_order(folder: StationFolder) -> None:
    (last,) = seed.passed(folder, [Seen(NOW)])
    with Search.of(folder) as search:
        revisions = search.revisions(last.event_id)
        assert search.event(UUID(int=5)) is None
        assert search.revisions(UUID(int=5)) == []
    assert [revision.message.phase for revision in revisions] == [Phase.START, Phase.END]
    assert revisions[-1].message == last


def test_a_picture_is_shown_exactly_as_kept(folder: StationFolder) -> None:
    jpeg = bytes(range(256)) * 40
    (event,) = seed.passed(folder, [Seen(NOW, jpeg=jpeg)])
    with Search.of(folder) as search:
        ref = search.thumbnail(event.event_id)
        assert ref is not None
        assert search.picture(ref) == jpeg
        with pytest.raises(PictureUnreadableError):
            search.picture(replace(ref, sha256="0" * 64))


def test_a_picture_with_another_hash_than_announced_is_not_the_events(folder: StationFolder) -> None:
    (event,) = seed.passed(folder, [Seen(NOW, picture_came=False)])
    seed.keep(folder, [PictureRecord(event.site, UUID(int=9), NOW, event.event_id, "ab" * 32, b"other")])
    (found,) = ask(folder, Question())
    assert found.announced is not None
    assert found.thumbnail is None


def test_whoever_reads_cannot_write(folder: StationFolder) -> None:
    with reading(folder.archive_database) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM events")
    with pytest.raises(DatabaseUnreadable), reading(folder.root / "nothing.db"):
        pass
    assert not (folder.root / "nothing.db").exists()


def test_agents_are_listed_with_what_is_known_and_what_was_refused(folder: StationFolder) -> None:
    seed.sites(folder, NOW, {"nha-ong-ba": ("Nhà ông Ba", "Thôn Đông"), "cho-moi": ("Chợ Mới", "")})
    cameras = [seed.camera("cong"), seed.camera("ngo", CameraState.DOWN, "wrong-password")]
    refusals = [
        Refusal("nha-ong-ba", NOW, "not-a-jpeg", "begins with 47 49"),
        Refusal("la", NOW, "unknown-site", ""),
    ]
    seed.keep(folder, [seed.heartbeat("nha-ong-ba", NOW, cameras, waiting=3)], refusals * 2)
    by_site = {report.site: report for report in fleet.agents(folder)}
    assert list(by_site) == ["cho-moi", "la", "nha-ong-ba"]
    report = by_site["nha-ong-ba"]
    assert (report.title, report.hamlet, report.status) == ("Nhà ông Ba", "Thôn Đông", "enrolled")
    assert report.heard_at == NOW
    assert report.heartbeat is not None
    assert report.heartbeat.outbox_waiting == 3
    assert (report.cameras_ok, len(report.heartbeat.cameras)) == (1, 2)
    assert [(refusal.reason, refusal.count) for refusal in report.refusals] == [("not-a-jpeg", 2)]
    assert by_site["cho-moi"].heard_at is None
    assert by_site["la"].status == ""
