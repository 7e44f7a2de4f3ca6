"""When may a site forget? After this: judged, on disk, and only then acknowledged.

One thread. A batch is at most 500 messages or what came within 10 ms: pictures are appended and
synced, then one SQLite transaction makes rows, refusals and counts last together, then each site is
told, then the broker. When the disk or the database fails, nothing is acknowledged, agents are told
to wait, and the same batch is tried again until it goes.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Protocol, Self
from uuid import UUID

from collector.archive.folder import StationFolder
from collector.archive.media import ThumbnailPacks
from collector.archive.orders import Orders
from collector.archive.records import (
    BootRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeartbeatRecord,
    PictureRecord,
    Record,
    Refusal,
    ReplyRecord,
    TestRecord,
)
from collector.archive.register import Register
from collector.archive.store import UNSTORABLE, Archive, Outcome
from collector.intake.inbox import Inbox, Letter
from collector.intake.ingest import Delivery, Reason, Refused, Standing, Terms, ingest, unforeseen
from collector.intake.signers import Signers
from shared.clock import Clock
from shared.messages import Acknowledgement
from shared.topics import Channel, parse_up

log = logging.getLogger(__name__)

BATCH_MESSAGES = 500  # measured: beyond, a batch gains little and delays its first message
GATHER_S = 0.010  # what a message may wait for company; the goal from lens to search is 1 s
IDLE_S = 0.25  # how late a stop is noticed
RETRY_S = 1.0  # a full disk does not empty faster
SITES_FRESH_S = 1.0  # how long a revoked site may still be believed here; the broker knows at once
_SEALED = (EventRecord, GapRecord, BootRecord, ReplyRecord)


class Wire(Protocol):
    """How the committer answers; the subscriber in the field."""

    def acknowledge(self, site: str, acknowledgement: Acknowledgement) -> None: ...
    def confirm(self, letters: Iterable[Letter]) -> None: ...
    def keeping(self, *, is_keeping: bool) -> None: ...


@dataclass(slots=True)
class _Answers:
    """What one batch lets us say, once it lasts."""

    stored: dict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, dict[UUID, str]] = field(default_factory=lambda: defaultdict(dict))
    tested: set[str] = field(default_factory=set)
    replies: list[ReplyRecord | FrameRecord] = field(default_factory=list)


class Committer:
    """Owns its thread, and in it the only writing connection to the archive."""

    def __init__(self, folder: StationFolder, inbox: Inbox, wire: Wire, clock: Clock, terms: Terms) -> None:
        self._folder, self._inbox, self._wire, self._clock = folder, inbox, wire, clock
        self._terms = terms
        self._abandon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.mark_s = clock.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Commit what the closed inbox holds; give up what the disk will not take within the time."""
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            self._abandon.set()
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            with _Desk(self._folder, self._clock, self._terms) as desk:
                while not self._abandon.is_set():
                    self.mark_s = self._clock.monotonic()
                    batch = self._inbox.take(BATCH_MESSAGES, IDLE_S, GATHER_S)
                    if batch:
                        self._settle(desk, batch)
                    elif self._inbox.is_closed:
                        return
        except Exception:  # the thread's loop: the service sees it dead and ends, systemd starts it anew
            log.exception("committer ended")

    def _settle(self, desk: _Desk, batch: list[Letter]) -> None:
        failed = False
        while not self._abandon.is_set():
            self.mark_s = self._clock.monotonic()
            try:
                answers = desk.commit(batch)
            except (OSError, sqlite3.Error) as error:
                log.error("cannot keep anything, trying again", extra={"cause": error})  # noqa: TRY400 -- a full disk needs no traceback a minute
                if not failed:
                    self._wire.keeping(is_keeping=False)
                failed = True
                self._abandon.wait(RETRY_S)
                continue
            if failed:
                log.info("keeping again", extra={"messages": len(batch)})
                self._wire.keeping(is_keeping=True)
            self._tell(answers, batch)
            return

    def _tell(self, answers: _Answers, batch: list[Letter]) -> None:
        for site in answers.stored.keys() | answers.refused.keys():
            word = Acknowledgement(
                stored=tuple(answers.stored.get(site, ())), refused=answers.refused.get(site, {})
            )
            self._wire.acknowledge(site, word)
        self._wire.confirm(batch)


class _Desk:
    """The committer's open databases, and what it remembers of the sites. One thread's only."""

    def __init__(self, folder: StationFolder, clock: Clock, terms: Terms) -> None:
        self._clock = clock
        self._terms = terms
        self._packs = ThumbnailPacks(folder.thumbnails)
        self._archive_database = folder.open_archive()
        self._archive = Archive(self._archive_database, self._packs)
        self._station_database = folder.open_station()
        self._register = Register(self._station_database)
        self._orders = Orders(self._station_database)
        self._skews = self._archive.skews()
        self._enrolled: frozenset[str] = frozenset()
        self._asked_s = -SITES_FRESH_S
        self._signers = Signers(self._register)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packs.close()
        self._archive_database.close()
        self._station_database.close()

    def commit(self, batch: list[Letter]) -> _Answers:
        """Make a batch last. Raises OSError or sqlite3.Error when it does not; then nothing was kept."""
        judged = self._judged(batch)
        try:
            answers = self._write(judged, batch, one_by_one=False)
        except UNSTORABLE:
            log.warning("a record the database will not have: keeping the batch one by one")
            answers = self._write(judged, batch, one_by_one=True)
        now = self._clock.now()
        for site in answers.tested:
            self._register.tested(site, now)
        for record in answers.replies:
            if isinstance(record, ReplyRecord):
                self._orders.answered(record.reply)
            else:
                self._orders.keep_frame(record.command, record.sha256, record.jpeg, record.received_at)
        return answers

    def _judged(self, batch: list[Letter]) -> list[Record | Refused]:
        """Judge from the last to the first: a later message of a site vouches for the one that it names.

        So of what came in one row one signature is checked, 100 µs each: of a backlog, one of hundreds.
        """
        known: dict[str, tuple[Standing, set[bytes]]] = {}
        judged = []
        for letter in reversed(batch):
            up = parse_up(letter.delivery.topic)
            site = up.site if up else ""
            if site not in known:
                vouched = set[bytes]()
                known[site] = self._standing(site, vouched), vouched
            standing, vouched = known[site]
            verdict = self._verdict(letter.delivery, standing)
            if isinstance(verdict, _SEALED) and verdict.seal:
                vouched.add(verdict.seal.previous)
            judged.append(verdict)
        return judged[::-1]

    def _verdict(self, delivery: Delivery, standing: Standing) -> Record | Refused:
        try:
            verdict = ingest(delivery, standing, self._terms)
        except Exception:  # part of the thread's loop: one message must not stop all sites for ever
            log.exception("a message nobody thought of", extra={"topic": delivery.topic})
            return unforeseen(delivery)
        if isinstance(verdict, FrameRecord) and not self._orders.expects_frame(
            verdict.site, verdict.command, verdict.sha256
        ):
            return _refused(verdict, Reason.NOT_WANTED, Channel.FRAME)
        return verdict

    def _write(self, judged: list[Record | Refused], batch: list[Letter], *, one_by_one: bool) -> _Answers:
        answers = _Answers()
        with self._archive.writing():
            for verdict, letter in zip(judged, batch, strict=True):
                if isinstance(verdict, Refused):
                    self._refuse(verdict, letter, answers)
                    continue
                try:
                    outcome = self._kept_alone(verdict) if one_by_one else self._archive.keep(verdict)
                except UNSTORABLE as error:
                    if not one_by_one:
                        raise
                    refused = _refused(verdict, Reason.UNSTORABLE, type(error).__name__)
                    self._refuse(refused, letter, answers)
                    continue
                self._note(verdict, outcome, letter, answers)
        return answers

    def _kept_alone(self, record: Record) -> Outcome:
        with self._archive.alone():
            return self._archive.keep(record)

    def _note(self, record: Record, outcome: Outcome, letter: Letter, answers: _Answers) -> None:
        if outcome is Outcome.FOREIGN:
            self._refuse(_refused(record, Reason.FOREIGN, ""), letter, answers)
            return
        if isinstance(record, HeartbeatRecord):
            self._skews[record.site] = record.skew_s
        elif isinstance(record, TestRecord):
            answers.tested.add(record.site)
        elif isinstance(record, ReplyRecord | FrameRecord):
            answers.replies.append(record)
        elif isinstance(record, EventRecord) and record.clock_suspect and outcome is not Outcome.REPEATED:
            detail = f"seen_at {record.event.seen_at.isoformat()}"
            self._archive.count(Refusal(record.site, record.received_at, Reason.CLOCK_SUSPECT, detail))
        if outcome is Outcome.NUMBER_TWICE:
            self._archive.count(Refusal(record.site, record.received_at, Reason.NUMBER_TWICE, ""))
            log.warning("a number twice", extra={"site": record.site})
        message_id = getattr(record, "message_id", None)
        if message_id is not None:
            answers.stored[record.site].append(message_id)

    def _refuse(self, refused: Refused, letter: Letter, answers: _Answers) -> None:
        received_at = letter.delivery.received_at
        self._archive.count(
            Refusal(refused.site, received_at, refused.reason, refused.detail, refused.number)
        )
        log.warning("refused", extra={"site": refused.site, "reason": refused.reason})
        if refused.site and refused.message_id is not None:
            answers.refused[refused.site][refused.message_id] = f"{refused.reason}: {refused.detail}"[:200]

    def _standing(self, site: str, vouched: Container[bytes]) -> Standing:
        now_s = self._clock.monotonic()
        # A miss is looked up at once: a site may have been enrolled a moment ago.
        if now_s - self._asked_s >= SITES_FRESH_S or site not in self._enrolled:
            self._enrolled, self._asked_s = self._register.enrolled_sites(), now_s
        keys = self._signers.of(site, now_s) if site in self._enrolled else ()
        return Standing(site in self._enrolled, self._skews.get(site), keys, vouched)


def _refused(record: Record, reason: Reason, detail: str) -> Refused:
    number = record.number if isinstance(record, PictureRecord | FrameRecord) else None
    if isinstance(record, _SEALED) and record.seal:
        number = record.seal.number
    return Refused(record.site, getattr(record, "message_id", None), reason, detail, number)
