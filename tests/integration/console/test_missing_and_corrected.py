"""The officer sees the hole where it is, why, and which times were put right: on the pages themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uuid6
from starlette.requests import Request
from starlette.responses import Response

from collector.archive.records import BootRecord, GapRecord, Number, Record, Seal
from collector.console import pages
from collector.console.view import Console
from collector.settings import StationSettings
from shared.clock import SystemClock
from shared.messages import BootReport, ClockQuality, DetectionEvent, GapReason, GapReport
from tests import seed
from tests.seed import Seen

SITE = "nha-ong-ba"
EVENING = datetime(2026, 11, 20, 14, 10, tzinfo=UTC)  # 21:10 in Viet Nam
WOKE = datetime(2024, 1, 1, tzinfo=UTC)


def sealed(number: int) -> Seal:
    return Seal(Number("ab" * 8, number), "", b"", b"")


def lost() -> Record:
    report = GapReport(
        id=uuid6.uuid7(),
        site=SITE,
        reason=GapReason.NOT_WRITTEN,
        instance="ab" * 8,
        first=0,
        last=0,
        events=14,
        thumbnails=3,
        since=EVENING - timedelta(minutes=7),
        until=EVENING - timedelta(minutes=3),
    )
    return GapRecord(SITE, report.id, EVENING, b"{}", report, sealed(1))


def began(at: datetime) -> Record:
    report = BootReport(id=uuid6.uuid7(), site=SITE, boot_id="boot", started_at=at)
    return BootRecord(SITE, report.id, EVENING, b"{}", report, False, sealed(2))


def shown(
    console: Console,
    page: Callable[[Console, Request], Response],
    query: str = "",
    event_id: UUID | None = None,
) -> str:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "query_string": query.encode(),
        "path_params": {"event_id": event_id},
    }
    return bytes(page(console, Request(scope)).body).decode()


def test_holes_and_corrected_times_are_on_the_pages(tmp_path: Path) -> None:
    folder = seed.station(tmp_path / "station", EVENING)
    seed.sites(folder, EVENING, {SITE: ("Nhà ông Ba", "Thôn Đông")})
    seed.passed(folder, [Seen(EVENING)])
    wrong: list[DetectionEvent] = seed.passed(folder, [Seen(WOKE, quality=ClockQuality.UNSYNCED)])
    console = Console.of(folder, StationSettings(), SystemClock())
    assert "chưa đồng bộ" in shown(console, pages.event, event_id=wrong[0].event_id).lower()
    # the box said second 100 of its boot when it saw the last of it
    seed.keep(folder, [lost(), began(EVENING - timedelta(seconds=100))])
    listed = shown(console, pages.events)
    assert "mất 14 sự kiện và 3 ảnh, 21:03–21:07, đĩa không ghi được" in listed
    assert listed.index("mất 14") < listed.index('class="event"'), "in the hour it belongs to"
    assert "giờ đã hiệu chỉnh" in listed
    assert "01/01/2024" not in listed
    assert "mất 14" not in shown(console, pages.events, "from=21/11/2026")
    one = shown(console, pages.event, event_id=wrong[0].event_id)
    assert "01/01/2024" in one.partition("Thiết bị đã ghi")[2]
    assert "mất 14 sự kiện và 3 ảnh, 21:03–21:07 20/11/2026" in shown(console, pages.fleet)
