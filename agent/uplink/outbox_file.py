"""What is the outbox's file made of, and what if it is broken? Set aside, saved what can be read, said.

A card that dies in a kitchen does so page by page. A file that fails SQLite's own check is renamed,
never deleted: a new one begins a new life (`instance`), takes over every row of the old one that is
still whole, and remembers that the rest is lost, so that the station can be told.
"""

from __future__ import annotations

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
from agent.uplink.row import PICTURES
from shared.disk import write_atomically
from shared.messages import GapReason
from shared.signing import FIRST

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
    sha256    TEXT,                  -- of a thumbnail's body
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
_INSTANCE, _SEQUENCE, _MADE = 4, 5, 9  # their places in it
_DAMAGED_KEPT = 2  # for a technician to look at; more would fill a small card
_SIDE_FILES = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class _Remains:
    """What was still whole in a broken file."""

    instance: str
    rows: list[tuple[Any, ...]]
    broken: int  # rows that were there and could not be read whole


def open_file(path: Path) -> sqlite3.Connection:
    """Open or make the outbox's database; a broken one is set aside and what is whole taken over."""
    db = _opened(path)
    if db is not None:
        return db
    aside = _set_aside(path)
    remains = _salvaged(aside, _side_note(path))
    log.error(
        "outbox damaged, set aside",
        extra={"file": aside.name, "saved": len(remains.rows), "broken": remains.broken},
    )
    db = _opened(path)
    if db is None:
        raise sqlite3.DatabaseError("a new outbox cannot be made")
    _take_over(db, remains)
    return db


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
        (instance,) = db.execute("SELECT instance FROM life").fetchone()
        _write_side_note(path, instance)
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
    taken = sorted(path.parent.glob(f"{path.name}.damaged-*[0-9]"))
    for old in taken[: max(0, len(taken) - _DAMAGED_KEPT + 1)]:
        for suffix in _SIDE_FILES:
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    number = max((int(old.name.rpartition("-")[2]) for old in taken), default=0) + 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for suffix in _SIDE_FILES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _salvaged(aside: Path, instance: str) -> _Remains:
    """Read from both ends, since a broken page stops whoever comes to it."""
    found: dict[bytes, tuple[Any, ...]] = {}
    broken = 0
    for direction in ("ASC", "DESC"):
        try:
            for row in _rows(aside, direction):
                if row[0] not in found and _is_whole(row):
                    found[row[0]] = row
                elif row[0] not in found:
                    broken += 1
        except sqlite3.DatabaseError:
            continue
    rows = sorted(found.values(), key=lambda row: row[_SEQUENCE])
    return _Remains(rows[-1][_INSTANCE] if rows else instance, rows, broken)


def _rows(aside: Path, direction: str) -> Iterator[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{aside}?mode=rw", uri=True)
    try:
        yield from db.execute(f"SELECT {_COLUMNS} FROM outbox ORDER BY place {direction}")  # noqa: S608 -- both parts are ours
    finally:
        db.close()


def _is_whole(row: tuple[Any, ...]) -> bool:
    """A picture proves itself by its hash; a message at least is JSON and names its own id."""
    message_id, channel, *_, digest, _signature, _made, body = row
    if not isinstance(message_id, bytes) or not isinstance(body, bytes):
        return False
    if channel in PICTURES:
        return bool(hashlib.sha256(body).hexdigest() == digest)
    try:
        return bool(UUID(json.loads(body)["id"]).bytes == message_id)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _take_over(db: sqlite3.Connection, remains: _Remains) -> None:
    marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
    db.execute("BEGIN IMMEDIATE")
    db.executemany(f"INSERT OR IGNORE INTO outbox ({_COLUMNS}) VALUES ({marks})", remains.rows)  # noqa: S608 -- column names of ours
    if remains.instance:
        made = [row[_MADE] for row in remains.rows]
        loss = Loss(
            GapReason.OUTBOX_DAMAGED,
            events=remains.broken,
            since_us=min(made, default=0),
            until_us=max(made, default=0),
        )  # numbers 0 to 0: we cannot know which; the station knows which it has not got
        losses.note(db, loss, remains.instance)
    db.execute("COMMIT")


def _write_side_note(path: Path, instance: str) -> None:
    """Whose life the file is, beside it: when the file is broken, its losses still have a name."""
    note = path.with_name(f"{path.name}.instance")
    if _side_note(path) != instance:
        write_atomically(note, instance.encode())


def _side_note(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.instance").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


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
