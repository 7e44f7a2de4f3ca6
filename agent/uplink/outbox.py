"""What still has to be said? Messages wait here, on disk, until the collector has said it keeps them.

One SQLite file, `synchronous=FULL`: what `put` has returned from survives a power cut. A row leaves
only when the collector acknowledges its id (stored, or refused for ever); a PUBACK never counts,
because no broker writes before it answers (measured: 2,000 of 2,000 lost at kill -9).

The vision thread puts, the uplink thread takes; one lock, one connection.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from shared.messages import DetectionEvent, Phase, TestMessage
from shared.topics import Channel

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT, -- numbers all a site ever says; never used twice
    id        BLOB NOT NULL UNIQUE,  -- the message's UUIDv7, 16 bytes
    channel   TEXT NOT NULL,         -- shared.topics.Channel
    priority  INTEGER NOT NULL,      -- smaller goes first
    event_id  BLOB,                  -- the event it speaks of
    sha256    TEXT,                  -- of a thumbnail's body
    made_us   INTEGER NOT NULL,      -- the agent's wall clock
    body      BLOB NOT NULL          -- exactly what is published
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (priority, sequence);
CREATE TABLE IF NOT EXISTS refused (
    sequence  INTEGER PRIMARY KEY,
    id        BLOB NOT NULL,
    channel   TEXT NOT NULL,
    reason    TEXT NOT NULL          -- the collector's word
) STRICT;
CREATE TABLE IF NOT EXISTS dropped (
    channel   TEXT PRIMARY KEY,
    count     INTEGER NOT NULL       -- evicted because the disk budget was used up
) STRICT;
"""
_PRIORITY = {Phase.START: 1, Phase.END: 2, Phase.UPDATE: 3}
_TEST_PRIORITY, _THUMBNAIL_PRIORITY = 0, 4
_REFUSED_KEPT = 1000  # enough for `agent doctor` to show a pattern; the count stays in the sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One message, ready to be published."""

    sequence: int
    id: UUID
    channel: Channel
    event_id: UUID | None
    sha256: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much has not been acknowledged yet, how much was refused or dropped so far."""

    messages: int
    size_bytes: int
    oldest_us: int | None
    refused: int
    dropped: int


class Outbox:
    """The file and its one connection; safe to call from any thread."""

    def __init__(self, path: Path, new_id: Callable[[], UUID], *, budget_bytes: int = 2_000_000_000) -> None:
        self._new_id = new_id
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self.arrived = threading.Event()  # set by every put; the uplink thread clears it
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._size_bytes: int = self._db.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM outbox"
        ).fetchone()[0]

    def put(self, event: DetectionEvent, jpeg: bytes | None = None) -> DetectionEvent:
        """Keep an event and the picture it announces, in one transaction; return it as numbered.

        Raises ValueError when the picture is not the one the event announces.
        """
        announced = event.thumbnail.sha256 if event.thumbnail else None
        if jpeg is not None and sha256(jpeg).hexdigest() != announced:
            message = "the picture's SHA-256 is not the one its event announces"
            raise ValueError(message)
        made_us = round(event.seen_at.timestamp() * 1e6)
        with self._lock, _transaction(self._db):
            event = event.model_copy(update={"sequence": self._next_sequence()})
            body = event.model_dump_json(exclude_none=True).encode()
            self._insert(
                event.id, Channel.EVENT, _PRIORITY[event.phase], (event.event_id, None), made_us, body
            )
            if jpeg is not None:
                subject = (event.event_id, announced)
                self._insert(self._new_id(), Channel.THUMBNAIL, _THUMBNAIL_PRIORITY, subject, made_us, jpeg)
            self._make_room()
        self.arrived.set()
        return event

    def put_test(self, test: TestMessage) -> None:
        """Keep the enrolment's test message; it goes before everything else."""
        body = test.model_dump_json().encode()
        made_us = round(test.sent_at.timestamp() * 1e6)
        with self._lock, _transaction(self._db):
            self._insert(test.id, Channel.TEST, _TEST_PRIORITY, (None, None), made_us, body)
        self.arrived.set()

    def next(self, room_bytes: int, *, not_these: frozenset[UUID], limit: int = 64) -> list[Row]:
        """Return what goes next, most urgent first: at most `room_bytes`, but one row at least.

        Nothing is returned when `room_bytes` is not positive.
        """
        chosen: list[Row] = []
        with self._lock:
            cursor = self._db.execute(
                "SELECT sequence, id, channel, event_id, sha256, length(body) FROM outbox"
                " ORDER BY priority, sequence LIMIT ?",
                (limit + len(not_these),),
            )
            for sequence, raw_id, channel, event_id, digest, size in cursor:
                if UUID(bytes=raw_id) in not_these:
                    continue
                if room_bytes <= 0 or len(chosen) == limit or (chosen and size > room_bytes):
                    break
                room_bytes -= size
                chosen.append(self._row(sequence, raw_id, channel, event_id, digest))
        return chosen

    def acknowledged(self, ids: Iterable[UUID]) -> int:
        """The collector has these on disk: forget them. Returns how many were still here."""
        with self._lock, _transaction(self._db):
            return sum(self._delete(message_id) for message_id in ids)

    def refused(self, reasons: Mapping[UUID, str]) -> None:
        """The collector will never take these: stop sending, remember why."""
        with self._lock, _transaction(self._db):
            for message_id, reason in reasons.items():
                self._db.execute(
                    "INSERT OR IGNORE INTO refused SELECT sequence, id, channel, ? FROM outbox WHERE id = ?",
                    (reason, message_id.bytes),
                )
                self._delete(message_id)
            self._db.execute(
                "DELETE FROM refused WHERE sequence <= (SELECT max(sequence) FROM refused) - ?",
                (_REFUSED_KEPT,),
            )

    def holds(self, message_id: UUID) -> bool:
        """True while this message waits for the collector's word."""
        with self._lock:
            row = self._db.execute("SELECT 1 FROM outbox WHERE id = ?", (message_id.bytes,)).fetchone()
        return row is not None

    def refusal(self, message_id: UUID) -> str | None:
        """Return why the collector will never take this message, or None."""
        with self._lock:
            row = self._db.execute("SELECT reason FROM refused WHERE id = ?", (message_id.bytes,)).fetchone()
        return row[0] if row else None

    def waiting(self) -> Waiting:
        with self._lock:
            messages, oldest_us = self._db.execute("SELECT count(*), min(made_us) FROM outbox").fetchone()
            (refused,) = self._db.execute("SELECT count(*) FROM refused").fetchone()
            (dropped,) = self._db.execute("SELECT coalesce(sum(count), 0) FROM dropped").fetchone()
        return Waiting(messages, self._size_bytes, oldest_us, refused, dropped)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _next_sequence(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return (row[0] if row else 0) + 1

    def _insert(
        self,
        message_id: UUID,
        channel: Channel,
        priority: int,
        subject: tuple[UUID | None, str | None],
        made_us: int,
        body: bytes,
    ) -> None:
        event_id, digest = subject
        self._db.execute(
            "INSERT INTO outbox (id, channel, priority, event_id, sha256, made_us, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (message_id.bytes, channel, priority, event_id and event_id.bytes, digest, made_us, body),
        )
        self._size_bytes += len(body)

    def _row(
        self, sequence: int, raw_id: bytes, channel: str, event_id: bytes | None, digest: str | None
    ) -> Row:
        (body,) = self._db.execute("SELECT body FROM outbox WHERE sequence = ?", (sequence,)).fetchone()
        subject = UUID(bytes=event_id) if event_id else None
        return Row(sequence, UUID(bytes=raw_id), Channel(channel), subject, digest, body)

    def _delete(self, message_id: UUID) -> int:
        row = self._db.execute(
            "DELETE FROM outbox WHERE id = ? RETURNING length(body)", (message_id.bytes,)
        ).fetchone()
        if row is None:
            return 0
        self._size_bytes -= row[0]
        return 1

    def _make_room(self) -> None:
        """Drop the oldest thumbnails, and count them, when the budget is used up; never an event."""
        while self._size_bytes > self._budget_bytes:
            row = self._db.execute(
                "SELECT id FROM outbox WHERE channel = ? ORDER BY sequence LIMIT 1", (Channel.THUMBNAIL,)
            ).fetchone()
            if row is None:
                return
            self._delete(UUID(bytes=row[0]))
            self._db.execute(
                "INSERT INTO dropped VALUES (?, 1) ON CONFLICT (channel) DO UPDATE SET count = count + 1",
                (Channel.THUMBNAIL,),
            )


class _transaction:  # noqa: N801 -- reads as a word in `with`
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK and the error goes on."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, failed: object, *_: object) -> None:
        self._db.execute("ROLLBACK" if failed else "COMMIT")
