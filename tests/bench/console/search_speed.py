"""How fast does the archive answer every question the console can ask? Rows by the million, one file.

    python -m tests.bench.console.search_speed [millions]

Fills `events` directly (the store would take an hour) with 1,000 cameras at 400 sites, then asks each
question 40 times from a new connection's warm cache and prints median and 95th percentile; and the
same with one `IN (…)`, to show what asking per combination buys.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uuid6

from collector.archive.folder import StationFolder
from collector.archive.search import Question, Search
from shared.clock import microseconds
from shared.messages import Kind

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
DAYS = 15
KINDS = list(Kind)
WEIGHTS = [50, 5, 35, 7, 0.2, 2.8]  # buses are rare


def fill(folder: StationFolder, rows: int, cameras: int = 1000) -> None:
    dice = random.Random(11)
    database = folder.open_archive()
    database.execute("PRAGMA synchronous=OFF")
    begins, length_us = microseconds(NOW - timedelta(days=DAYS)), DAYS * 86_400_000_000
    for start in range(0, rows, 100_000):
        batch = []
        for number in range(start, min(start + 100_000, rows)):
            camera = dice.randrange(cameras)
            us = begins + length_us * number // rows
            kind = dice.choices(KINDS, WEIGHTS)[0]
            place = (f"site-{camera % 400:03d}", f"cam-{camera // 400}")
            batch.append((uuid6.uuid7().bytes, *place, kind, us, us + 4_000_000, us + 600_000))
        with database.atomic():
            database.conn.executemany(
                "INSERT INTO events (event_id, site, camera, kind, started_us, seen_us, received_us, phase,"
                " revision, confidence, clock_quality, clock_suspect)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'end', 1, 0.8, 'synced', 0)",
                batch,
            )
    database.close()


def took_ms(ask: Callable[[], object], times: int = 40) -> tuple[float, float]:
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        durations.append((time.perf_counter() - began) * 1000)
    return statistics.median(durations), statistics.quantiles(durations, n=20)[-1]


def main() -> None:
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else "1") * 1_000_000)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as temporary:
        folder = StationFolder(Path(temporary))
        fill(folder, rows)
        size_mb = folder.archive_database.stat().st_size / 2**20
        print(f"{rows:,} events, {size_mb:,.0f} MB, load {os.getloadavg()[0]:.1f}")
        measure(folder)


def measure(folder: StationFolder) -> None:
    day, two = timedelta(days=1), (Kind.PERSON, Kind.MOTORCYCLE)
    questions = {
        "newest": Question(),
        "ten days back": Question(until=NOW - 10 * day),
        "two kinds": Question(kinds=two),
        "rare kind": Question(kinds=(Kind.BUS,)),
        "site": Question(sites=("site-007",)),
        "camera, two kinds, a day": Question(NOW - day, NOW, two, cameras=("site-007/cam-1",)),
        "rare kind at a camera": Question(kinds=(Kind.BUS,), cameras=("site-007/cam-1",)),
        "a camera's name at all sites": Question(cameras=("cam-1",)),
        "nothing found": Question(until=NOW - 100 * day),
    }
    with Search.of(folder) as search:
        for name, question in questions.items():
            page = took_ms(lambda question=question: search.page(question))  # type: ignore[misc]
            count = took_ms(lambda question=question: search.count(question))  # type: ignore[misc]
            print(f"{name:30} page {_written(page)}   count {_written(count)}")
        print(f"{'every camera, for the form':30}      {_written(took_ms(search.places))}")
        for kinds in (("person", "motorcycle"), ("bus", "none-such")):
            one_in = (
                f"SELECT * FROM events WHERE kind IN {kinds} AND started_us >= 0"
                " ORDER BY started_us DESC, event_id LIMIT 51"
            )
            asked = took_ms(lambda sql=one_in: search._connection.execute(sql).fetchall(), times=4)  # type: ignore[misc]
            print(f"{f'{kinds} with one IN (…)':30} page {_written(asked)}")


def _written(durations_ms: tuple[float, float]) -> str:
    return "{:7.2f} / {:7.2f} ms".format(*durations_ms)


if __name__ == "__main__":
    main()
