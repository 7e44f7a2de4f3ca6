"""How is a record kept? The one writer of `archive.db`: each message once, each event at its newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

import sqlite_utils

from collector.archive.media import ThumbnailPacks
from collector.archive.records import (
    Acknowledged,
    EventRecord,
    HeartbeatRecord,
    PictureRecord,
    Record,
    Refusal,
    StateRecord,
    TestRecord,
)
from collector.archive.schema import microseconds
from shared.topics import Channel

MAX_DETAIL = 200  # characters of the last refusal kept

UNSTORABLE = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)
"""What SQLite raises because of one record. Everything else is the disk's or another process's fault."""


class Outcome(Enum):
    """What became of a record."""

    STORED = auto()
    REPEATED = auto()  # it is here already: as good as stored
    FOREIGN = auto()  # its id belongs to another site


class Archive:
    """Owned by the committer's thread. Call everything inside `writing`; only its end makes it last."""

    def __init__(self, database: sqlite_utils.Database, packs: ThumbnailPacks) -> None:
        self._database = database
        self._packs = packs

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One batch: pictures on disk first, then the rows that point at them, or neither."""
        try:
            with self._database.atomic():
                yield
                self._packs.sync()
        except BaseException:
            self._packs.abandon()
            raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One record inside a batch, which can fail without the others."""
        with self._database.atomic():
            yield

    def keep(self, record: Record) -> Outcome:
        match record:
            case EventRecord():
                return self._event(record)
            case PictureRecord():
                return self._picture(record)
            case TestRecord():
                return self._message(record, Channel.TEST, None, record.body)
            case HeartbeatRecord():
                return self._heartbeat(record)
            case StateRecord():
                return self._state(record)

    def count(self, refusal: Refusal) -> None:
        self._database.execute(
            "INSERT INTO refusals (site, reason, count, last_us, last_detail) VALUES (?, ?, 1, ?, ?)"
            " ON CONFLICT (site, reason) DO UPDATE SET"
            " count = count + 1, last_us = excluded.last_us, last_detail = excluded.last_detail",
            (
                refusal.site,
                refusal.reason,
                microseconds(refusal.received_at),
                refusal.detail.encode("utf-8", "replace").decode()[:MAX_DETAIL],
            ),
        )

    def skews(self) -> dict[str, float]:
        """Return each agent's clock minus ours, in seconds, as of its last heartbeat."""
        rows = self._database.execute("SELECT site, clock_skew_s FROM agents WHERE clock_skew_s NOTNULL")
        return {site: float(skew_s) for site, skew_s in rows}

    def _message(
        self, record: Acknowledged, channel: Channel, event_id: bytes | None, body: bytes | None
    ) -> Outcome:
        message_id = record.message_id.bytes
        cursor = self._database.execute(
            "INSERT INTO messages (id, site, channel, event_id, received_us, body) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (message_id, record.site, channel, event_id, microseconds(record.received_at), body),
        )
        if cursor.rowcount == 1:
            return Outcome.STORED
        kept = self._database.execute("SELECT site FROM messages WHERE id = ?", (message_id,)).fetchone()
        return Outcome.REPEATED if kept == (record.site,) else Outcome.FOREIGN

    def _event(self, record: EventRecord) -> Outcome:
        event_id = record.event.event_id.bytes
        known = self._database.execute(
            "SELECT site, revision, thumbnail_revision FROM events WHERE event_id = ?", (event_id,)
        ).fetchone()
        if known is not None and known[0] != record.site:
            return Outcome.FOREIGN  # nobody writes into another's event, whatever its number
        outcome = self._message(record, Channel.EVENT, event_id, record.body)
        if outcome is not Outcome.STORED:
            return outcome
        if known is None:
            self._new_event(record)
            return outcome
        _, revision, thumbnail_revision = known
        if record.event.revision > revision:
            self._newer_event(record)
        if record.event.thumbnail is not None and (
            thumbnail_revision is None or record.event.revision > thumbnail_revision
        ):
            self._database.execute(
                "UPDATE events SET thumbnail = ?, thumbnail_revision = ? WHERE event_id = ?",
                (record.event.thumbnail.sha256, record.event.revision, event_id),
            )
        if record.clock_suspect:
            self._database.execute("UPDATE events SET clock_suspect = 1 WHERE event_id = ?", (event_id,))
        return outcome

    def _new_event(self, record: EventRecord) -> None:
        event = record.event
        self._database.execute(
            "INSERT INTO events (event_id, site, camera, kind, phase, revision, confidence, started_us,"
            " seen_us, received_us, camera_offset_s, clock_quality, clock_suspect, thumbnail,"
            " thumbnail_revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.event_id.bytes,
                record.site,
                event.camera,
                event.kind,
                event.phase,
                event.revision,
                event.confidence,
                microseconds(event.started_at),
                microseconds(event.seen_at),
                microseconds(record.received_at),
                event.clock.camera_offset_s,
                event.clock.quality,
                int(record.clock_suspect),
                event.thumbnail.sha256 if event.thumbnail else None,
                event.revision if event.thumbnail else None,
            ),
        )

    def _newer_event(self, record: EventRecord) -> None:
        """Bring an event to its newest revision; when it began and when it came stay as first kept."""
        event = record.event
        self._database.execute(
            "UPDATE events SET camera = ?, kind = ?, phase = ?, revision = ?, confidence = ?, seen_us = ?,"
            " camera_offset_s = ?, clock_quality = ? WHERE event_id = ?",
            (
                event.camera,
                event.kind,
                event.phase,
                event.revision,
                event.confidence,
                microseconds(event.seen_at),
                event.clock.camera_offset_s,
                event.clock.quality,
                event.event_id.bytes,
            ),
        )

    def _picture(self, record: PictureRecord) -> Outcome:
        event_id = record.event_id.bytes
        outcome = self._message(record, Channel.THUMBNAIL, event_id, None)
        if outcome is not Outcome.STORED:
            return outcome
        key = (event_id, record.sha256)
        if self._database.execute(
            "SELECT 1 FROM thumbnails WHERE event_id = ? AND sha256 = ?", key
        ).fetchone():
            return outcome  # the same bytes under a new message id: kept once
        place = self._packs.append(record.jpeg, record.event_id, record.received_at)
        self._database.execute(
            "INSERT INTO thumbnails (event_id, sha256, pack, position, size, received_us)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*key, place.pack, place.position, place.size, microseconds(record.received_at)),
        )
        return outcome

    def _heartbeat(self, record: HeartbeatRecord) -> Outcome:
        self._database.execute(
            "INSERT INTO agents (site, heard_us, heartbeat, clock_skew_s) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (site) DO UPDATE SET heard_us = excluded.heard_us,"
            " heartbeat = excluded.heartbeat, clock_skew_s = excluded.clock_skew_s",
            (record.site, microseconds(record.received_at), record.body, record.skew_s),
        )
        return Outcome.STORED

    def _state(self, record: StateRecord) -> Outcome:
        """Believe every birth; believe a farewell only from the session last born."""
        self._database.execute(
            "INSERT INTO agents (site, online, session) VALUES (:site, :online, :session)"
            " ON CONFLICT (site) DO UPDATE SET online = excluded.online, session = excluded.session"
            " WHERE excluded.online = 1 OR agents.session IS NULL OR agents.session = excluded.session",
            {
                "site": record.site,
                "online": int(record.state.online),
                "session": record.state.session,
            },
        )
        return Outcome.STORED
