"""What do a signature and a number cost the station, and how fast are holes found among millions?

Run: python -m tests.bench.intake.cost [--messages 1000000]. CPU time of this process, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import sqlite_utils
import uuid6
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive import chain
from collector.archive.gaps import Gaps
from collector.archive.media import ThumbnailPacks
from collector.archive.records import EventRecord
from collector.archive.schema import ARCHIVE_MIGRATIONS, open_database
from collector.archive.store import Archive
from collector.intake.ingest import Delivery, Standing, Terms, ingest
from shared.clock import microseconds
from shared.messages import DetectionEvent
from shared.signing import is_signed
from tests.station import Voice, an_event

SITE = "nha-ong-ba"
EVENTS = 4_000
BATCH = 100
HOLE_EVERY = 1_000  # a picture given up, alone
FLEET = 3_000
NOW = datetime.now(UTC)


def cpu_us(what: str, times: int, run: Callable[[], object]) -> None:
    began_s = time.process_time()
    run()
    print(f"{what:<58}{(time.process_time() - began_s) / times * 1e6:10.1f} µs")


def deliveries(voice: Voice) -> list[Delivery]:
    made = []
    for _ in range(EVENTS):
        event = an_event(SITE)
        body, properties = voice.said(event)
        topic = f"anninh/v1/{SITE}/up/ev"
        made.append(Delivery(topic, body, NOW, event.id.bytes, properties=properties))
    return made


def intake(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    said, standing = deliveries(Voice(key)), Standing(enrolled=True, keys=(key.public_key(),))
    print(f"an event of {len(said[0].payload)} bytes")
    cpu_us("parse", EVENTS, lambda: [DetectionEvent.model_validate_json(one.payload) for one in said])
    cpu_us(
        "check the signature",
        EVENTS,
        lambda: [is_signed(one.payload, one.properties["signature"], key.public_key()) for one in said],
    )
    records: list[EventRecord] = []
    cpu_us("ingest: both, and the rest", EVENTS, lambda: records.extend(judged(said, standing)))
    database = open_database(folder / "archive.db", ARCHIVE_MIGRATIONS)
    archive = Archive(database, ThumbnailPacks(folder))
    cpu_us(f"keep, in batches of {BATCH}, synced", EVENTS, lambda: keep(archive, records))
    database.close()


def judged(said: list[Delivery], standing: Standing) -> list[EventRecord]:
    verdicts = [ingest(one, standing, Terms(120.0)) for one in said]
    kept = [verdict for verdict in verdicts if isinstance(verdict, EventRecord)]
    assert len(kept) == len(said)
    return kept


def keep(archive: Archive, records: list[EventRecord]) -> None:
    for start in range(0, len(records), BATCH):
        with archive.writing():
            for record in records[start : start + BATCH]:
                archive.keep(record)


def millions(folder: Path, messages: int) -> None:
    """One box that spoke all its life, and a fleet beside it, each with a hole."""
    database = open_database(folder / "large.db", ARCHIVE_MIGRATIONS)
    with database.atomic():
        fill(database, messages)
    connection = database.conn
    print(f"{messages} messages of one site, {messages // HOLE_EVERY} holes; {FLEET} more sites")
    cpu_us("holes of one site", 1, lambda: Gaps(connection).of([SITE]))
    cpu_us("holes of all sites", 1, lambda: Gaps(connection).of())
    cpu_us("the chain of one site from end to end", 1, lambda: chain.broken(connection, SITE))
    database.close()


def fill(database: sqlite_utils.Database, messages: int) -> None:
    us, box, digest = microseconds(NOW), "ab" * 8, bytes(32)
    database.conn.executemany(
        "INSERT INTO messages (id, site, channel, received_us, instance, sequence, sha256, previous, made_us)"
        " VALUES (?, ?, 'ev', ?, ?, ?, ?, ?, ?)",
        (
            (uuid6.uuid7().bytes, SITE, us, box, number, digest, digest, us)
            for number in range(1, messages + 1)
            if number % HOLE_EVERY
        ),
    )
    database.conn.executemany(
        "INSERT INTO numbers VALUES (?, ?, 'came', ?, ?)",
        ((SITE, box, first + 1, first + HOLE_EVERY - 1) for first in range(0, messages - 1, HOLE_EVERY)),
    )
    fleet = [f"site-{number}" for number in range(FLEET)]
    for site in fleet:
        database.conn.execute("INSERT INTO numbers VALUES (?, ?, 'came', 1, 500), (?, ?, 'came', 510, 999)",
                              (site, box, site, box))  # fmt: skip
    database.conn.executemany(
        "INSERT INTO outboxes VALUES (?, ?, ?, ?)",
        ((site, box, messages if site == SITE else 1000, us) for site in (SITE, *fleet)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        intake(Path(folder))
        millions(Path(folder), asked.messages)


if __name__ == "__main__":
    main()
