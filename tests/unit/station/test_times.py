"""A box that woke in the past: both times kept, the true one searched, whatever came first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uuid6
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.archive.records import BootRecord, EventRecord, Number, Seal
from collector.archive.times import settle
from shared.clock import microseconds, moment
from shared.messages import BootReport, ClockQuality, ClockReading, DetectionEvent, Phase
from tests.station import an_event
from tests.unit.station.test_gaps import an_archive

SITE, BOOT, OTHER = "nha-ong-ba", "boot-a", "boot-b"
WOKE = datetime(2024, 1, 1, tzinfo=UTC)  # what the box believes when it starts
BEGAN = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # when it really did
RECEIVED = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAYABLE = datetime(1900, 1, 1), datetime(2188, 12, 31)  # noqa: DTZ001 -- hypothesis adds the zone; what a message may say


def said(
    event_id: UUID, revision: int, second: float, *, synced: bool = False, boot: str = BOOT, late_s: float = 0
) -> DetectionEvent:
    """What a box says at this second of its boot of an object that came at second 100."""
    quality = ClockQuality.SYNCED if synced else ClockQuality.UNSYNCED
    return an_event(
        SITE,
        event_id=event_id,
        revision=revision,
        phase=Phase.END if revision else Phase.START,
        started_at=WOKE + timedelta(seconds=100),
        seen_at=WOKE + timedelta(seconds=second),
        clock=ClockReading(boot_id=boot, monotonic_s=second + late_s, quality=quality),
    )


def true(second: float) -> int:
    return microseconds(BEGAN + timedelta(seconds=second))


def boot_record(boot: str = BOOT, began: datetime = BEGAN, *, suspect: bool = False) -> BootRecord:
    report = BootReport(id=uuid6.uuid7(), site=SITE, boot_id=boot, started_at=began)
    seal = Seal(Number("ab" * 8, 1), "", b"", b"")
    return BootRecord(SITE, report.id, RECEIVED, b"{}", report, suspect, seal)


def event_record(event: DetectionEvent) -> EventRecord:
    body = event.model_dump_json().encode()
    return EventRecord(SITE, event.id, RECEIVED, body, event, clock_suspect=True)


def test_the_path_the_start_and_the_end_shift_alike() -> None:
    event_id = uuid6.uuid7()
    settled = settle([said(event_id, 0, 102), said(event_id, 1, 110, late_s=10)], {BOOT: microseconds(BEGAN)})
    assert (settled.started_us, settled.seen_us) == (true(100), true(110)), "told late is not seen late"
    assert settled.started_by_us == settled.seen_by_us == microseconds(BEGAN) - microseconds(WOKE)


def test_an_end_told_after_the_synchronisation_hangs_on_the_same_wrong_clock() -> None:
    event_id = uuid6.uuid7()
    messages = [said(event_id, 0, 102), said(event_id, 1, 130, synced=True)]
    settled = settle(messages, {BOOT: microseconds(BEGAN)})
    assert (settled.started_us, settled.seen_us) == (true(100), true(130))


def test_a_synced_clock_and_an_unknown_boot_change_nothing() -> None:
    event_id = uuid6.uuid7()
    for messages, boots in (
        ([said(event_id, 0, 102, synced=True)], {BOOT: microseconds(BEGAN)}),
        ([said(event_id, 0, 102)], {}),
        ([said(event_id, 0, 102)], {OTHER: 0}),
    ):
        settled = settle(messages, boots)
        assert (settled.started_us, settled.started_by_us) == (microseconds(messages[0].started_at), None)


@given(
    began=st.datetimes(*SAYABLE, timezones=st.just(UTC)),
    monotonic_s=st.floats(),
    started=st.datetimes(*SAYABLE, timezones=st.just(UTC)),
    lasts=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)),
)
def test_whatever_a_box_says_gives_a_moment_that_can_be_shown(
    began: datetime, monotonic_s: float, started: datetime, lasts: timedelta
) -> None:
    seen = started + lasts
    clock = ClockReading(boot_id=BOOT, monotonic_s=monotonic_s, quality=ClockQuality.UNSYNCED)
    event = an_event(SITE, started_at=started, seen_at=seen, clock=clock)
    began = min(began, RECEIVED)  # a later one is not believed
    settled = settle([event], {BOOT: microseconds(began)})
    assert moment(settled.started_us) <= moment(settled.seen_us)


@settings(max_examples=40, deadline=None)  # each makes an archive on disk
@given(data=st.data())
def test_any_order_of_arrival_gives_the_same_archive(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    first, second, third = (uuid6.uuid7() for _ in range(3))
    records: list[EventRecord | BootRecord] = [
        event_record(event)
        for event in (
            said(first, 0, 102),
            said(first, 1, 110, late_s=10),
            said(second, 0, 102),
            said(second, 1, 120, synced=True),
            said(second, 2, 130, synced=True),
            said(third, 0, 103, boot=OTHER),
        )
    ]
    records += [boot_record(), boot_record(began=BEGAN + timedelta(seconds=5))]  # the first made is believed
    shuffled = data.draw(st.permutations(records))
    with an_archive(tmp_path_factory.mktemp("archive")) as (archive, database):
        for record in shuffled:
            with archive.writing():
                archive.keep(record)
        rows = {row["event_id"]: row for row in database["events"].rows}
        made = {row["id"]: row["made_us"] for row in database["messages"].rows}
    times = {name: (rows[name.bytes]["started_us"], rows[name.bytes]["seen_us"]) for name in (first, second)}
    assert times == {first: (true(100), true(110)), second: (true(100), true(130))}
    assert rows[third.bytes]["started_us"] == microseconds(WOKE) + 100_000_000, "that boot is not known"
    assert rows[third.bytes]["started_by_us"] is None
    assert {rows[name.bytes]["unsynced"] for name in (first, second, third)} == {1}
    assert made[records[4].message_id.bytes] == true(130)


def test_a_boot_said_to_begin_in_the_future_dates_nothing(tmp_path: Path) -> None:
    record = event_record(said(uuid6.uuid7(), 0, 102))
    with an_archive(tmp_path) as (archive, database):
        with archive.writing():
            archive.keep(boot_record(began=RECEIVED + timedelta(days=9), suspect=True))
            archive.keep(record)
        (row,) = database["events"].rows
        assert row["started_by_us"] is None
        assert database["messages"].count == 2, "kept all the same"
