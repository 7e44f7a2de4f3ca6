"""What is the outbox's file made of, and what if it is broken? Set aside, saved what can be read, said.

A card that dies in a kitchen does so page by page. A file that fails SQLite's own check, or is older
than the mark beside it says it was, is renamed, never deleted: a new one begins a new life (`instance`),
takes over every row of the old one that is still whole, and remembers up to which number the rest is
lost, so that the station can be told.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from agent.uplink import losses
from agent.uplink.losses import Loss
from agent.uplink.mark import Mark
from agent.uplink.row import PICTURES, Row
from shared.messages import GapReason
from shared.signing import FIRST
from shared.topics import Channel

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    place     INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE,  -- the message's UUIDv7, 16 bytes
    channel   TEXT NOT NULL,         -- shared.topics.Channel
    priority  INTEGER NOT NULL,      -- smaller goes first
    evict     INTEGER,               -- smaller is given up first when the disk is full; NULL: never
    instance  TEXT NOT NULL,         -- the life of a file that numbered it
    sequence  INTEGER NOT NULL,      -- its number there; 0: not numbered
    event_id  BLOB,                  -- the event it speaks of
    sha256    TEXT,                  -- of the body
    signature TEXT,                  -- over the body, where it is signed
    made_us   INTEGER NOT NULL,      -- the agent's wall clock
    camera    TEXT,                  -- whose event or picture it is
    body      BLOB NOT NULL          -- exactly what is published
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (priority, place, made_us);
CREATE INDEX IF NOT EXISTS outbox_made ON outbox (made_us, priority, place);
CREATE INDEX IF NOT EXISTS outbox_evict ON outbox (evict, place) WHERE evict IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_number ON outbox (instance, sequence);
CREATE TABLE IF NOT EXISTS life (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    instance  TEXT NOT NULL,         -- 16 hexadecimal digits, made with the file
    next      INTEGER NOT NULL,      -- the next number; none is used twice
    head      TEXT NOT NULL,         -- hash of the newest signed body
    dropped   INTEGER NOT NULL DEFAULT 0 -- how many messages were given up so far
) STRICT;
CREATE TABLE IF NOT EXISTS refused (
    place     INTEGER PRIMARY KEY,
    id        BLOB NOT NULL,
    channel   TEXT NOT NULL,
    reason    TEXT NOT NULL          -- the collector's word
) STRICT;
CREATE TABLE IF NOT EXISTS lost (    -- what the station has not been told of yet
    reason    TEXT NOT NULL,         -- shared.messages.GapReason
    instance  TEXT NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    thumbnails INTEGER NOT NULL,
    since_us  INTEGER NOT NULL,
    until_us  INTEGER NOT NULL,
    PRIMARY KEY (reason, instance)
) STRICT;
CREATE TABLE IF NOT EXISTS held (    -- what is not given up, however full the disk is
    camera    TEXT NOT NULL,
    since_us  INTEGER NOT NULL,
    until_us  INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS boots (boot_id TEXT PRIMARY KEY) STRICT; -- whose true time was told
"""
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "wal_autocheckpoint=200",  # pages: a log of 0.8 MB fits into the reserve when the disk is full
    "journal_size_limit=1000000",
)
_COLUMNS = "id, channel, priority, evict, instance, sequence, event_id, sha256, signature, made_us, body"
# not the camera: files from before it had none, and its rows are few
_INSTANCE, _SEQUENCE, _DIGEST, _MADE, _BODY = 4, 5, 7, 9, 10  # their places in it
_DAMAGED_KEPT = 2  # for a technician to look at; more would fill a small card
_SIDE_FILES = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class _Remains:
    """What was still whole in a broken file."""

    rows: list[tuple[Any, ...]]
    broken: int  # rows that were there and could not be read whole
    life: tuple[str, int] | None  # its instance and next number
    lost: list[tuple[Any, ...]]  # what the station had not been told of

    def ends(self) -> dict[str, int]:
        """Return the next number of each life, as far as this file still tells."""
        ends = dict([self.life] if self.life else [])
        for row in self.rows:
            ends[row[_INSTANCE]] = max(ends.get(row[_INSTANCE], 0), row[_SEQUENCE] + 1)
        return ends


def open_file(path: Path, mark: Mark) -> tuple[sqlite3.Connection, dict[str, int]]:
    """Open or make the outbox's database; a broken or older one is set aside and what is whole taken over.

    Returns the connection, and the next numbers of earlier lives that may still have something to send.
    """
    db = _opened(path)
    if db is not None:
        instance, following = db.execute("SELECT instance, next FROM life").fetchone()
        if not mark.instance or (instance == mark.instance and following >= mark.following):
            return db, dict(mark.others)
        if instance == mark.instance:  # whole, and older than it was
            db.close()
            db = None
    # A new life that the mark does not know: whoever began it was stopped before it was taken over.
    aside = _set_aside(path) if db is None else next(reversed(_set_aside_before(path)), None)
    remains = _salvaged(aside) if aside else _Remains([], 0, None, [])
    log.error(
        "outbox damaged, set aside",
        extra={"file": aside and aside.name, "saved": len(remains.rows), "broken": remains.broken},
    )
    db = db or _opened(path)
    if db is None:
        raise sqlite3.DatabaseError("a new outbox cannot be made")
    ends = mark.ends()
    for instance, following in remains.ends().items():
        ends[instance] = max(ends.get(instance, 0), following)
    ends.pop("", None)  # of messages without a number
    _take_over(db, remains, ends)
    return db, ends


def _opened(path: Path) -> sqlite3.Connection | None:
    """None when what lies there is no whole database. A disk that refuses to write raises."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            db.close()
            return None
        _upgrade(db)
        db.executescript(_SCHEMA)
        if db.execute("SELECT 1 FROM life").fetchone() is None:
            instance = secrets.token_hex(8)
            db.execute("INSERT INTO life (one, instance, next, head) VALUES (1, ?, 1, ?)", (instance, FIRST))
    except sqlite3.OperationalError:
        db.close()
        raise
    except sqlite3.DatabaseError:
        db.close()
        return None
    return db


def _upgrade(db: sqlite3.Connection) -> None:
    """A file of before the signatures holds nothing that today's station would take."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(outbox)")}
    if columns and "signature" not in columns:
        for table in ("outbox", "refused", "dropped"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
    elif columns and "camera" not in columns:
        db.execute("ALTER TABLE outbox ADD COLUMN camera TEXT")


def _set_aside(path: Path) -> Path:
    taken = _set_aside_before(path)
    for old in taken[: max(0, len(taken) - _DAMAGED_KEPT + 1)]:
        for suffix in _SIDE_FILES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    number = max(map(_number_of, taken), default=0) + 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for suffix in _SIDE_FILES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _set_aside_before(path: Path) -> list[Path]:
    """Return the broken files kept so far, oldest first."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*[0-9]"), key=_number_of)


def _number_of(aside: Path) -> int:
    return int(aside.name.rpartition("-")[2])


def _salvaged(aside: Path) -> _Remains:
    """Read from both ends, since a broken page stops whoever comes to it."""
    found: dict[bytes, tuple[Any, ...]] = {}
    broken: set[bytes] = set()
    for direction in ("ASC", "DESC"):
        for row in _readable(aside, f"SELECT {_COLUMNS} FROM outbox ORDER BY place {direction}"):  # noqa: S608 -- both parts are ours
            if is_whole(row[0], row[1], row[_DIGEST], row[_BODY]):
                found[row[0]] = row
            else:
                broken.add(repr(row[0]).encode())
    rows = sorted(found.values(), key=lambda row: row[_SEQUENCE])
    life = [
        (instance, following)
        for instance, following in _readable(aside, "SELECT instance, next FROM life")
        if isinstance(following, int)
    ]
    lost = [row for row in _readable(aside, "SELECT * FROM lost") if row[0] in set(GapReason)]
    return _Remains(rows, len(broken), life[0] if life else None, lost)


def _readable(aside: Path, question: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows until a broken page ends it."""
    with contextlib.suppress(sqlite3.DatabaseError):
        db = sqlite3.connect(f"file:{aside}?mode=rw", uri=True)
        try:
            yield from db.execute(question)
        finally:
            db.close()


def is_whole(message_id: object, channel: object, digest: object, body: object) -> bool:
    """A row proves itself by its hash; a message of before there was one is JSON and names its own id."""
    if not isinstance(message_id, bytes) or not isinstance(body, bytes):
        return False
    if digest is not None and hashlib.sha256(body).hexdigest() != digest:
        return False
    if channel in PICTURES:
        return digest is not None
    try:
        return bool(UUID(json.loads(body)["id"]).bytes == message_id)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _take_over(db: sqlite3.Connection, remains: _Remains, ends: dict[str, int]) -> None:
    """Keep what is whole; of every life that may have lost something, say up to which number."""
    marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
    with transaction(db):
        db.executemany(f"INSERT OR IGNORE INTO outbox ({_COLUMNS}) VALUES ({marks})", remains.rows)  # noqa: S608 -- column names of ours
        for row in remains.lost:
            db.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        made = [row[_MADE] for row in remains.rows]
        newest = next(reversed(ends), "")
        for instance, following in ends.items():
            loss = Loss(
                GapReason.OUTBOX_DAMAGED,
                first=min(1, max(0, following - 1)),
                last=max(0, following - 1),  # which of these the station has not got, it knows itself
                events=remains.broken if instance == newest else 0,
                since_us=min(made, default=0),
                until_us=max(made, default=0),
            )
            losses.note(db, loss, instance)


def insert(
    db: sqlite3.Connection, row: Row, worth: tuple[int, int | None], made_us: int, camera: str | None
) -> None:
    """Keep a row; `worth`: when it goes, and when it is given up."""
    priority, evict = worth
    event_id = row.event_id.bytes if row.event_id else None
    db.execute(
        "INSERT INTO outbox (id, channel, priority, evict, instance, sequence, event_id, sha256,"
        " signature, made_us, camera, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row.id.bytes, row.channel, priority, evict, row.instance, row.sequence, event_id, row.sha256,
         row.signature, made_us, camera, row.body),
    )  # fmt: skip


def has_said_all(db: sqlite3.Connection) -> bool:
    """True when nothing waits, and no loss that the station was not told of."""
    return db.execute("SELECT 1 FROM lost UNION ALL SELECT 1 FROM outbox LIMIT 1").fetchone() is None


def row_at(db: sqlite3.Connection, place: tuple[int]) -> Row | None:
    """Read a row whole; None when the card has changed it.

    SQLite's check of a file does not see what happens within a body; the station would refuse it.
    """
    message_id, channel, event_id, *columns = db.execute(
        "SELECT id, channel, event_id, body, instance, sequence, sha256, signature FROM outbox"
        " WHERE place = ?",
        place,
    ).fetchone()
    body, instance, sequence, digest, signature = columns
    if not is_whole(message_id, channel, digest, body):
        return None
    subject = UUID(bytes=event_id) if event_id else None
    return Row(UUID(bytes=message_id), Channel(channel), body, instance, sequence, subject, digest, signature)


class transaction:  # noqa: N801 -- reads as a word in `with`
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK and the error goes on."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, failed: object, *_: object) -> None:
        if not failed:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # a full disk may have rolled back already
            self._db.execute("ROLLBACK")
