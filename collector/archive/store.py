"""How is a record kept? The one writer of `archive.db`: each message once, each event at its newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

import sqlite_utils

from collector.archive.births import CARD_COPIED, Births
from collector.archive.media import ThumbnailPacks
from collector.archive.numbering import REFUSED, Numbering
from collector.archive.pack_ends import PackEnds
from collector.archive.records import (
    Acknowledged,
    BootRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeartbeatRecord,
    Number,
    PictureRecord,
    Record,
    Refusal,
    ReplyRecord,
    Seal,
    StateRecord,
    TestRecord,
)
from collector.archive.times import settle
from shared.clock import microseconds
from shared.messages import ClockQuality, ClockReading, DetectionEvent
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
    NUMBER_TWICE = auto()  # stored, though another message had its number
    REPEATED = auto()  # it is here already: as good as stored
    FOREIGN = auto()  # its id belongs to another site


class Archive:
    """Owned by the committer's thread. Call everything inside `writing`; only its end makes it last."""

    def __init__(self, database: sqlite_utils.Database, packs: ThumbnailPacks) -> None:
        self._database = database
        self._packs = packs
        self._numbering = Numbering(database)
        self._births = Births(database)
        self._ends = PackEnds(database, packs)
        self._ends.adopt_strays()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One batch: pictures on disk first, then the rows that point at them, or neither."""
        try:
            with self._database.atomic():
                yield
                self._numbering.write()
                self._ends.note()
                self._packs.sync()
        except BaseException:
            self._numbering.forget()
            self._packs.abandon()
            raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One record inside a batch, which can fail without the others."""
        self._numbering.write()
        try:
            with self._database.atomic():
                yield
        except BaseException:
            self._numbering.forget()
            raise

    def keep(self, record: Record) -> Outcome:  # noqa: PLR0911 -- one per kind of record
        match record:
            case EventRecord():
                return self._numbered(record, self._event(record))
            case PictureRecord():
                return self._numbered(record, self._picture(record))
            case GapRecord():
                return self._numbered(record, self._gap(record))
            case BootRecord():
                return self._numbered(record, self._boot(record))
            case ReplyRecord():
                return self._numbered(record, self._message(record, Channel.REPLY, None, record.body))
            case FrameRecord():
                return self._numbered(record, self._message(record, Channel.FRAME, None, None))
            case TestRecord():
                return self._message(record, Channel.TEST, None, record.body)
            case HeartbeatRecord():
                return self._heartbeat(record)
            case StateRecord():
                return self._state(record)

    def _numbered(self, record: Acknowledged, outcome: Outcome) -> Outcome:
        _, number = _seal(record)
        if outcome is not Outcome.STORED or number is None or self._numbering.note(record.site, number):
            return outcome
        return Outcome.NUMBER_TWICE

    def count(self, refusal: Refusal) -> None:
        if refusal.number is not None:
            self._numbering.note(refusal.site, refusal.number)
            self._numbering.note(refusal.site, refusal.number, REFUSED)
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
        seal, number = _seal(record)
        sealed = (seal.signature, seal.sha256, seal.previous) if seal else (None,) * 3
        clock = record.event.clock if isinstance(record, EventRecord) else None
        cursor = self._database.execute(
            "INSERT INTO messages (id, site, channel, event_id, received_us, body, instance, sequence,"
            " signature, sha256, previous, boot_id, monotonic_s, unsynced, made_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                message_id, record.site, channel, event_id, microseconds(record.received_at), body,
                *((number.instance, number.sequence) if number else (None, None)),
                *sealed,
                *((clock.boot_id, clock.monotonic_s, _is_unsynced(clock)) if clock else (None,) * 3),
                microseconds(record.event.seen_at) if isinstance(record, EventRecord) else None,
            ),
        )  # fmt: skip
        if cursor.rowcount == 1:
            return Outcome.STORED
        kept = self._database.execute("SELECT site FROM messages WHERE id = ?", (message_id,)).fetchone()
        return Outcome.REPEATED if kept == (record.site,) else Outcome.FOREIGN

    def _event(self, record: EventRecord) -> Outcome:
        event_id = record.event.event_id.bytes
        is_new = record.event.revision == 0 and self._new_event(record)
        known = None if is_new else self._kept_event(event_id)
        if known is not None and known[0] != record.site:
            return Outcome.FOREIGN  # nobody writes into another's event, whatever its number
        outcome = self._message(record, Channel.EVENT, event_id, record.body)
        if outcome is not Outcome.STORED:
            if is_new:  # its message's id is another's
                self._database.execute("DELETE FROM events WHERE event_id = ?", (event_id,))
            return outcome
        unsynced = _is_unsynced(record.event.clock)
        if known is not None:
            unsynced = unsynced or known[1]
            self._known_event(record, known[2], known[3], known[4:])
        elif not is_new:
            self._new_event(record)
        if unsynced:
            self._settle(record.site, event_id)
        return outcome

    def _kept_event(self, event_id: bytes) -> Any:
        """Return site, unsynced, revision, revision of the thumbnail, camera, kind, colour; None: none."""
        return self._database.execute(
            "SELECT site, unsynced, revision, thumbnail_revision, camera, kind, colour FROM events"
            " WHERE event_id = ?",
            (event_id,),
        ).fetchone()

    def _known_event(
        self,
        record: EventRecord,
        revision: int,
        thumbnail_revision: int | None,
        looks: tuple[str | None, ...],
    ) -> None:
        event_id = record.event.event_id.bytes
        if record.event.revision > revision:
            self._newer_event(record, looks)
        if record.event.thumbnail is not None and (
            thumbnail_revision is None or record.event.revision > thumbnail_revision
        ):
            self._database.execute(
                "UPDATE events SET thumbnail = ?, thumbnail_revision = ? WHERE event_id = ?",
                (record.event.thumbnail.sha256, record.event.revision, event_id),
            )
        if record.clock_suspect:
            self._database.execute("UPDATE events SET clock_suspect = 1 WHERE event_id = ?", (event_id,))

    def _settle(self, site: str, event_id: bytes) -> None:
        """Date an event again by everything known of it: what came last must not decide."""
        rows = self._database.execute(
            "SELECT body FROM messages WHERE event_id = ? AND channel = ?", (event_id, Channel.EVENT)
        )
        messages = [DetectionEvent.model_validate_json(body) for (body,) in rows]
        boots = {
            boot_id: started_us
            for boot_id in {message.clock.boot_id for message in messages}
            for (started_us,) in self._database.execute(
                "SELECT started_us FROM boots WHERE site = ? AND boot_id = ?", (site, boot_id)
            )
        }
        settled = settle(messages, boots)
        self._database.execute(
            "UPDATE events SET started_us = ?, seen_us = ?, started_by_us = ?, seen_by_us = ?, unsynced = 1"
            " WHERE event_id = ?",
            (settled.started_us, settled.seen_us, settled.started_by_us, settled.seen_by_us, event_id),
        )
        for message_id, made_us in settled.made_us.items():
            self._database.execute(
                "UPDATE messages SET made_us = ? WHERE id = ?", (made_us, message_id.bytes)
            )

    def _new_event(self, record: EventRecord) -> bool:
        """Make an event of its first message; False when it is here already."""
        event = record.event
        cursor = self._database.execute(
            "INSERT INTO events (event_id, site, camera, kind, phase, revision, confidence, started_us,"
            " seen_us, received_us, camera_offset_s, clock_quality, clock_suspect, thumbnail,"
            " thumbnail_revision, boot_id, monotonic_s, colour)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (event_id) DO NOTHING",
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
                event.clock.boot_id,
                event.clock.monotonic_s,
                event.colour,
            ),
        )
        return cursor.rowcount == 1

    def _newer_event(self, record: EventRecord, before: tuple[str | None, ...]) -> None:
        """Bring an event to its newest revision; when it began and when it came stay as first kept.

        What has an index is written only when it changes, which is seldom: SQLite writes the index anyway.
        """
        event = record.event
        looks = event.camera, event.kind, event.colour
        if looks != before:
            self._database.execute(
                "UPDATE events SET camera = ?, kind = ?, colour = ? WHERE event_id = ?",
                (*looks, event.event_id.bytes),
            )
        self._database.execute(
            "UPDATE events SET phase = ?, revision = ?, confidence = ?, seen_us = ?,"
            " camera_offset_s = ?, clock_quality = ?, boot_id = ?, monotonic_s = ?"
            " WHERE event_id = ?",
            (
                event.phase,
                event.revision,
                event.confidence,
                microseconds(event.seen_at),
                event.clock.camera_offset_s,
                event.clock.quality,
                event.clock.boot_id,
                event.clock.monotonic_s,
                event.event_id.bytes,
            ),
        )

    def _picture(self, record: PictureRecord) -> Outcome:
        event_id = record.event_id.bytes
        outcome = self._message(record, record.channel, event_id, None)
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

    def _gap(self, record: GapRecord) -> Outcome:
        outcome = self._message(record, Channel.GAP, None, record.body)
        if outcome is Outcome.STORED:
            report = record.report
            self._database.execute(
                "INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    report.id.bytes, record.site, report.instance, report.reason, report.first, report.last,
                    report.events, report.thumbnails, microseconds(report.since), microseconds(report.until),
                ),
            )  # fmt: skip
        return outcome

    def _boot(self, record: BootRecord) -> Outcome:
        """Believe the first report of a boot; date again whatever was made in it before."""
        outcome = self._message(record, Channel.BOOT, None, record.body)
        if outcome is not Outcome.STORED or record.clock_suspect:
            return outcome
        boot = (record.site, record.report.boot_id)
        is_new = self._database.execute(
            "INSERT INTO boots VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " started_us = excluded.started_us, id = excluded.id WHERE excluded.id < id",
            (*boot, microseconds(record.report.started_at), record.message_id.bytes),
        ).rowcount
        if is_new:
            doubtful = self._database.execute(
                "SELECT DISTINCT event_id FROM messages WHERE site = ? AND boot_id = ? AND unsynced = 1", boot
            ).fetchall()
            for (event_id,) in doubtful:
                self._settle(record.site, event_id)
        return outcome

    def _heartbeat(self, record: HeartbeatRecord) -> Outcome:
        self._database.execute(
            "INSERT INTO agents (site, heard_us, heartbeat, clock_skew_s) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (site) DO UPDATE SET heard_us = excluded.heard_us,"
            " heartbeat = excluded.heartbeat, clock_skew_s = excluded.clock_skew_s",
            (record.site, microseconds(record.received_at), record.body, record.skew_s),
        )
        beat, heard_us = record.heartbeat, microseconds(record.received_at)
        if beat.instance:
            self._numbering.heard(record.site, beat.instance, beat.sequence_waiting, heard_us)
        return Outcome.STORED

    def _state(self, record: StateRecord) -> Outcome:
        """Believe every birth; believe a farewell only from the session last born."""
        if record.state.online and self._births.is_back(record.site, record.state.session):
            self.count(Refusal(record.site, record.received_at, CARD_COPIED, record.state.session))
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


def _seal(record: Acknowledged) -> tuple[Seal | None, Number | None]:
    """Return what vouches for a record, and its number, where it has them."""
    match record:
        case PictureRecord() | FrameRecord():
            return None, record.number
        case TestRecord():
            return None, None
    return record.seal, record.seal.number if record.seal else None


def _is_unsynced(clock: ClockReading) -> int:
    return int(clock.quality is ClockQuality.UNSYNCED)
