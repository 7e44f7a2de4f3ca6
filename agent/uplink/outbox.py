"""What still has to be said? Messages wait here, on disk, until the collector has said it keeps them.

One SQLite file, `synchronous=FULL`: what `put` has returned from survives a power cut. A row leaves
only when the collector acknowledges its id (stored, or refused for ever); a PUBACK never counts,
because no broker writes before it answers (measured: 2,000 of 2,000 lost at kill -9).

Every event gets a number, names the hash of the one before, and is signed, in the transaction that
keeps it: there is no moment at which a kept message is not part of the chain. When room runs out the
least useful goes first (`_make_room`), never a start or an end, and what went is told to the station.

The vision thread puts, the uplink thread takes; one lock, one connection.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from agent.uplink import losses
from agent.uplink.mark import Mark, MarkFile
from agent.uplink.outbox_file import has_said_all, insert, open_file, row_at, transaction
from agent.uplink.reserve import Reserve
from agent.uplink.row import Row, Speaker, Waiting
from agent.uplink.unwritten import Pictures, Unwritten
from shared.clock import microseconds
from shared.commands import Reply
from shared.messages import BootReport, Chain, DetectionEvent, GapReason, GapReport, Phase, TestMessage
from shared.signing import canonical, chained
from shared.topics import Channel

__all__ = ["Outbox", "Row", "Speaker", "Waiting"]

log = logging.getLogger(__name__)

_PRIORITY = {Phase.START: 1, Phase.END: 2, Phase.UPDATE: 3}
_TEST_PRIORITY, _REPORT_PRIORITY, _THUMBNAIL_PRIORITY = 0, 0, 4
_EVICT_OLD_PICTURE, _EVICT_PICTURE, _EVICT_UPDATE = 1, 2, 3
_REFUSED_KEPT = 1000  # enough for `agent doctor` to show a pattern; the count stays in the sequence
_EVICTED_AT_ONCE = 20  # pictures, half a megabyte: a full disk must not be asked at every event

Signed = TypeVar("Signed", DetectionEvent, GapReport, BootReport, Reply)


class Outbox:
    """The file and its one connection; safe to call from any thread."""

    def __init__(self, path: Path, speaker: Speaker, *, budget_bytes: int = 2_000_000_000) -> None:
        self._speaker = speaker
        self._budget_bytes = budget_bytes
        self._lock = threading.RLock()
        self.arrived = threading.Event()  # set by every put; the uplink thread clears it
        self._unwritten = Unwritten()
        self._reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        self._mark = MarkFile(path.with_name(f"{path.name}.instance"))
        before = self._mark.read()
        try:
            self._db, self._others = open_file(path, before)
        except sqlite3.OperationalError:  # a box must also start on a full disk
            self._reserve.give_up()
            self._db, self._others = open_file(path, before)
        self._unwritten.died_before(before.events, before.thumbnails)
        self._write_mark()
        self._reserve.restore()
        self._size_bytes: int = self._db.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM outbox"
        ).fetchone()[0]

    def put(
        self, event: DetectionEvent, jpeg: bytes | None = None, crop: bytes | None = None
    ) -> DetectionEvent:
        """Keep an event and the pictures it announces, in one transaction; return it as numbered.

        When the disk takes nothing, they wait in memory and are tried again with the next; the
        event comes back without a number then. Raises ValueError when a picture is not the one
        the event announces.
        """
        pictures: dict[Channel, bytes] = {}
        for channel, announced, picture in (
            (Channel.THUMBNAIL, event.thumbnail, jpeg),
            (Channel.CROP, event.crop, crop),
        ):
            if picture is None:
                continue
            if not announced or sha256(picture).hexdigest() != announced.sha256:
                message = "the picture's SHA-256 is not the one its event announces"
                raise ValueError(message)
            pictures[channel] = picture
        with self._lock:
            if self._unwritten.waiting:
                self._unwritten.remember(event, pictures)
                self.retry()
                self._write_mark()
                return event
            try:
                event = self._put_with_room(event, pictures)
            except sqlite3.OperationalError as error:
                log.error("outbox cannot write, keeping in memory", extra={"cause": error})  # noqa: TRY400 -- a full disk needs no traceback per event
                self._unwritten.remember(event, pictures)
            self._write_mark()
        self.arrived.set()
        return event

    def retry(self) -> int:
        """Write what waits in memory, if the disk takes it now; return how much still waits."""
        with self._lock:
            try:
                while self._unwritten.waiting:
                    self._put_with_room(*self._unwritten.waiting[0])
                    self._unwritten.waiting.popleft()
                    self._write_mark()
                if self._unwritten.given_up:
                    with transaction(self._db):
                        for loss in self._unwritten.given_up:
                            losses.note(self._db, loss)
                    self._unwritten.given_up.clear()
                    self._write_mark()
            except sqlite3.OperationalError:
                return len(self._unwritten.waiting)
        self._reserve.restore()
        return 0

    def put_test(self, test: TestMessage) -> None:
        """Keep the enrolment's test message; it goes before everything else."""
        row = Row(test.id, Channel.TEST, test.model_dump_json().encode(), "", 0)
        with self._lock, transaction(self._db):
            self._insert(row, _TEST_PRIORITY, microseconds(test.sent_at))
        self.arrived.set()

    def put_boot(self, boot_id: str, started_at: datetime, now: datetime) -> bool:
        """Tell the station, once per boot, when this boot's monotonic time was 0.

        False when the disk takes nothing just now: then it is to be tried again.
        """
        try:
            with self._lock:
                self._put_boot(boot_id, started_at, now)
                self._write_mark()
        except sqlite3.OperationalError as error:
            log.warning("boot not told yet", extra={"cause": error})
            return False
        self.arrived.set()
        return True

    def _put_boot(self, boot_id: str, started_at: datetime, now: datetime) -> None:
        with transaction(self._db):
            fresh = self._db.execute("INSERT OR IGNORE INTO boots VALUES (?)", (boot_id,)).rowcount
            if fresh:
                report = BootReport(
                    id=self._speaker.new_id(), site=self._speaker.site, boot_id=boot_id, started_at=started_at
                )
                self._put_signed(report, Channel.BOOT, _REPORT_PRIORITY, microseconds(now))

    def put_reply(self, reply: Reply, picture: bytes | None = None) -> None:
        """Keep the answer to a command, and the picture it announces, in one transaction.

        Raises sqlite3.OperationalError when the disk takes nothing: the station asks again.
        """
        announced = reply.picture.sha256 if reply.picture else None
        if picture is not None and sha256(picture).hexdigest() != announced:
            message = "the picture's SHA-256 is not the one its reply announces"
            raise ValueError(message)
        made_us = microseconds(reply.answered_at)
        with self._lock, transaction(self._db):
            self._put_signed(reply, Channel.REPLY, _REPORT_PRIORITY, made_us)
            if picture is not None:
                instance, sequence, _ = self._number()
                given, subject = self._speaker.new_id(), reply.command
                row = Row(given, Channel.FRAME, picture, instance, sequence, subject, announced)
                self._insert(row, _THUMBNAIL_PRIORITY, made_us, evict=_EVICT_PICTURE)
        with self._lock:
            self._write_mark()
        self.arrived.set()

    def keep(self, spans: Iterable[tuple[str, datetime, datetime]]) -> None:
        """Never give up what is of these cameras and times, in place of what was said before."""
        rows = [(camera, microseconds(since), microseconds(until)) for camera, since, until in spans]
        with self._lock, transaction(self._db):
            self._db.execute("DELETE FROM held")
            self._db.executemany("INSERT INTO held VALUES (?, ?, ?)", rows)

    def report_losses(self, now: datetime) -> int:
        """Put into words for the station what was lost since the last time; return how many reports."""
        with self._lock:
            with transaction(self._db):
                lost = losses.take(self._db, now)
                for fields in lost:
                    report = GapReport(id=self._speaker.new_id(), site=self._speaker.site, **fields)
                    self._put_signed(report, Channel.GAP, _REPORT_PRIORITY, microseconds(now))
            self._write_mark()
        self.arrived.set()
        return len(lost)

    def recent(self, span_us: tuple[int, int], limit: int, not_these: frozenset[UUID]) -> list[Row]:
        """Return what was made in this span of the wall clock, most urgent first, then newest first."""
        found = "outbox INDEXED BY outbox_made WHERE made_us BETWEEN ? AND ? ORDER BY priority, place DESC"
        return self._choose(found, span_us, limit, not_these)

    def backlog(
        self, span_us: tuple[int, int], limit: int, not_these: frozenset[UUID], *, pictures: bool
    ) -> list[Row]:
        """Return what was made outside that span, most urgent first, then oldest first."""
        found = (
            "outbox INDEXED BY outbox_order WHERE made_us NOT BETWEEN ? AND ? AND priority <= ?"
            " ORDER BY priority, place"
        )
        urgent_to = _THUMBNAIL_PRIORITY if pictures else _THUMBNAIL_PRIORITY - 1
        return self._choose(found, (*span_us, urgent_to), limit, not_these)

    def acknowledged(self, ids: Iterable[UUID]) -> int:
        """The collector has these on disk: forget them. Returns how many were still here."""
        with self._lock:
            with transaction(self._db):
                gone = sum(self._delete(message_id) for message_id in ids)
            if self._others and has_said_all(self._db):  # earlier lives have nothing more to lose
                self._others.clear()
                self._write_mark()
        return gone

    def refused(self, reasons: Mapping[UUID, str]) -> None:
        """The collector will never take these: stop sending, remember why."""
        with self._lock, transaction(self._db):
            for message_id, reason in reasons.items():
                copied = (
                    "INSERT INTO refused (id, channel, reason) SELECT id, channel, ? FROM outbox WHERE id = ?"
                )
                self._db.execute(copied, (reason, message_id.bytes))
                self._delete(message_id)
            self._db.execute(
                "DELETE FROM refused WHERE place <= (SELECT max(place) FROM refused) - ?", (_REFUSED_KEPT,)
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
            instance, following, dropped = self._db.execute(
                "SELECT instance, next, dropped FROM life"
            ).fetchone()
            (oldest,) = self._db.execute(
                "SELECT min(sequence) FROM outbox WHERE instance = ? AND sequence > 0", (instance,)
            ).fetchone()
        return Waiting(
            messages + len(self._unwritten.waiting), self._size_bytes, oldest_us, refused, dropped,
            instance, following, oldest or following,
        )  # fmt: skip

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _put_with_room(self, event: DetectionEvent, pictures: Pictures) -> DetectionEvent:
        """On a full disk, give up the reserve and the oldest pictures, and try once more."""
        try:
            return self._put(event, pictures)
        except sqlite3.OperationalError:
            self._reserve.give_up()
            with transaction(self._db):
                self._evict(_EVICTED_AT_ONCE)
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return self._put(event, pictures)

    def _put(self, event: DetectionEvent, pictures: Pictures) -> DetectionEvent:
        made_us, subject = microseconds(event.seen_at), event.event_id
        evict = _EVICT_UPDATE if event.phase is Phase.UPDATE else None
        size_bytes = self._size_bytes
        try:
            with transaction(self._db):
                kept = self._put_signed(
                    event, Channel.EVENT, _PRIORITY[event.phase], made_us, evict=evict, about=event
                )
                for channel, jpeg in pictures.items():
                    instance, sequence, _ = self._number()
                    digest = sha256(jpeg).hexdigest()
                    picture = Row(self._speaker.new_id(), channel, jpeg, instance, sequence, subject, digest)
                    worth = _EVICT_OLD_PICTURE if event.phase is Phase.UPDATE else _EVICT_PICTURE
                    self._insert(picture, _THUMBNAIL_PRIORITY, made_us, evict=worth, camera=event.camera)
                self._make_room()
        except sqlite3.Error:
            self._size_bytes = size_bytes
            raise
        return kept

    def _put_signed(
        self,
        message: Signed,
        channel: Channel,
        priority: int,
        made_us: int,
        *,
        evict: int | None = None,
        about: DetectionEvent | None = None,
    ) -> Signed:
        """Number, chain, write canonically, sign, keep. In the caller's transaction."""
        instance, sequence, head = self._number()
        chain = Chain(instance=instance, previous=head)
        message = message.model_copy(update={"sequence": sequence, "chain": chain})
        body = canonical(message)
        signature = self._speaker.sign(body)
        subject, camera = (about.event_id, about.camera) if about else (None, None)
        digest = sha256(body).hexdigest()
        row = Row(message.id, channel, body, instance, sequence, subject, digest, signature)
        self._insert(row, priority, made_us, evict=evict, camera=camera)
        self._db.execute("UPDATE life SET head = ?", (chained(body),))
        return message

    def _number(self) -> tuple[str, int, str]:
        """Take the next number: instance, number, hash of the newest signed body."""
        instance, following, head = self._db.execute(
            "UPDATE life SET next = next + 1 RETURNING instance, next, head"
        ).fetchone()
        return instance, following - 1, head

    def _insert(
        self, row: Row, priority: int, made_us: int, *, evict: int | None = None, camera: str | None = None
    ) -> None:
        insert(self._db, row, (priority, evict), made_us, camera)
        self._size_bytes += len(row.body)

    def _choose(
        self, found: str, facts: tuple[int, ...], limit: int, not_these: frozenset[UUID]
    ) -> list[Row]:
        """Find the places by an index alone; only the bodies that go are read."""
        with self._lock:
            places = self._db.execute(
                f"SELECT place FROM {found} LIMIT ?",  # noqa: S608 -- the words are ours
                (*facts, limit + len(not_these)),
            ).fetchall()
            chosen: list[Row] = []
            for place in places:
                (message_id,) = self._db.execute("SELECT id FROM outbox WHERE place = ?", place).fetchone()
                if UUID(bytes=message_id) not in not_these and (row := self._row(place)):
                    chosen.append(row)
                if len(chosen) == limit:
                    break
        return chosen

    def _row(self, place: tuple[int]) -> Row | None:
        """Read one that goes; None when the card has changed it since, and then it is given up and told."""
        row = row_at(self._db, place)
        if row is None:
            log.error("a message rotted on the disk")
            with transaction(self._db):
                self._give_up("place = ?", place, GapReason.OUTBOX_DAMAGED)
        return row

    def _delete(self, message_id: UUID) -> int:
        row = self._db.execute(
            "DELETE FROM outbox WHERE id = ? RETURNING length(body)", (message_id.bytes,)
        ).fetchone()
        if row is None:
            return 0
        self._size_bytes -= row[0]
        return 1

    def _make_room(self) -> None:
        """Keep to the budget: pictures of updates go first, then the oldest pictures, then updates."""
        while self._size_bytes > self._budget_bytes and self._evict(1):
            pass

    def _evict(self, most: int) -> int:
        which = (
            "place IN (SELECT place FROM outbox WHERE evict IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM held WHERE held.camera = outbox.camera"
            " AND outbox.made_us BETWEEN since_us AND until_us) ORDER BY evict, place LIMIT ?)"
        )
        count = self._give_up(which, (most,), GapReason.DISK_FULL)
        self._db.execute("UPDATE life SET dropped = dropped + ?", (count,))
        return count

    def _give_up(self, which: str, facts: tuple[int, ...], reason: GapReason) -> int:
        count, size_bytes = losses.give_up(self._db, which, facts, reason)
        self._size_bytes -= size_bytes
        return count

    def _write_mark(self) -> None:
        instance, following = self._db.execute("SELECT instance, next FROM life").fetchone()
        self._mark.write(Mark(instance, following, *self._unwritten.counts(), self._others))
