"""What stood in view, and which events had not ended, when the agent was last running?

One SQLite file, `standing.db`, beside the outbox. The last message of every living event is kept from
before it is told until after its end is told, so that `kill -9` leaves no event without an end. Places
are kept once a minute if one came or went, every quarter of an hour if only time has passed: what a
power cut costs is a minute of memory. Asked of the flash card in a day (`write_bytes` of /proc/self/io):
15 MB for 300 events of three messages and an end, and 4 MB for a camera whose places change every ten
minutes.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from agent.vision.still import Remembered
from shared.messages import DetectionEvent, Phase

log = logging.getLogger(__name__)

FILE = "standing.db"
PERIOD_S = 60.0  # between two looks at what has changed
_UNCHANGED_S = 900.0  # between two writings when only "last seen" has: memory is counted in hours
_SCHEMA = """
CREATE TABLE IF NOT EXISTS living (
    event_id BLOB PRIMARY KEY,
    camera   TEXT NOT NULL,
    body     BLOB NOT NULL     -- the last message told of it
) STRICT;
CREATE TABLE IF NOT EXISTS standing (
    camera   TEXT PRIMARY KEY,
    aim      TEXT NOT NULL,    -- which reference view these places belong to
    body     BLOB NOT NULL     -- JSON of agent.vision.still.Remembered
) STRICT;
"""
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "wal_autocheckpoint=100",  # pages: what a nearly full disk must have room for
)
_UNWRITTEN_MOST = 200  # a kilobyte each; as many as the outbox holds in memory
_THINGS = TypeAdapter(tuple[Remembered, ...])


class StillStore:
    """The file and its one connection; owned by the vision thread once that runs.

    No trouble of the disk leaves it: what could not be written is tried again with the next event, and
    a file that cannot even be made is done without until the next start.
    """

    def __init__(self, home: Path) -> None:
        self._db = _opened(home / FILE)
        self._kept: dict[str, tuple[object, float]] = {}  # what was written of a camera, and when
        self._unwritten: dict[UUID, DetectionEvent | None] = {}  # None: nothing owed any more

    def cameras(self) -> frozenset[str]:
        """All of which anything is kept, also those that are no longer watched."""
        try:
            rows = self._db.execute("SELECT camera FROM living UNION SELECT camera FROM standing").fetchall()
        except sqlite3.DatabaseError as error:
            log.warning("standing.db cannot be read", extra={"cause": error})
            return frozenset()
        return frozenset(camera for (camera,) in rows)

    def forget(self, camera: str) -> None:
        """Nobody watches through it any more: no place of it is worth anything."""
        self._attempt("DELETE FROM standing WHERE camera = ?", camera)

    def living(self, camera: str) -> dict[UUID, DetectionEvent]:
        """The last message of each of this camera's events that never ended."""
        found = {}
        for event_id, body in self._rows("SELECT event_id, body FROM living WHERE camera = ?", camera):
            try:
                found[UUID(bytes=event_id)] = DetectionEvent.model_validate_json(body)
            except ValidationError:  # of another version; its end can no longer be told
                log.warning("living event not understood", extra={"event": str(UUID(bytes=event_id))})
                self._attempt("DELETE FROM living WHERE event_id = ?", event_id)
        return found

    def about_to_tell(self, event: DetectionEvent) -> None:
        """Before it goes to the outbox: from now on somebody must tell its end."""
        if event.phase is not Phase.END:
            self._write(event.event_id, event)

    def told(self, event: DetectionEvent) -> None:
        """It is in the outbox; after an end nothing is owed."""
        if event.phase is Phase.END:
            self._write(event.event_id, None)

    def _write(self, event_id: UUID, event: DetectionEvent | None) -> None:
        """This one, and before it what the disk did not take; the newest word of each event is enough."""
        self._unwritten.pop(event_id, None)
        self._unwritten[event_id] = event
        while self._unwritten:
            event_id, event = next(iter(self._unwritten.items()))
            if event is None:
                written = self._attempt("DELETE FROM living WHERE event_id = ?", event_id.bytes)
            else:
                body = event.model_dump_json(exclude_none=True).encode()
                written = self._attempt(
                    "INSERT OR REPLACE INTO living VALUES (?, ?, ?)", event_id.bytes, event.camera, body
                )
            if not written:
                break
            del self._unwritten[event_id]
        while len(self._unwritten) > _UNWRITTEN_MOST:
            del self._unwritten[next(iter(self._unwritten))]

    def _attempt(self, statement: str, *values: str | bytes) -> bool:
        try:
            self._db.execute(statement, values)
        except sqlite3.DatabaseError as error:  # a full disk; or a page gone bad since the start
            log.warning("standing.db cannot be written", extra={"cause": error})
            return False
        return True

    def _rows(self, question: str, camera: str) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(question, (camera,)).fetchall()
        except sqlite3.DatabaseError as error:
            log.warning("standing.db cannot be read", extra={"cause": error})
            return []

    def things(self, camera: str, aim: str) -> tuple[Remembered, ...]:
        """What stood there; nothing when the camera has been given another aim since."""
        rows = self._rows("SELECT aim, body FROM standing WHERE camera = ?", camera)
        if not rows or rows[0][0] != aim:
            return ()
        try:
            return _THINGS.validate_json(rows[0][1])
        except ValidationError:
            log.warning("standing things not understood", extra={"camera": camera})
            return ()

    def keep(
        self, camera: str, aim: str, things: tuple[Remembered, ...], now_s: float, *, last: bool = False
    ) -> bool:
        """Write what stands, if it is worth a write; `last`: we stop. Returns whether it was written."""
        what = (aim, frozenset((thing.kind, thing.event_id, _coarse(thing)) for thing in things))
        before, at_s = self._kept.get(camera, (None, 0.0))
        if what == before and not last and now_s - at_s < _UNCHANGED_S:
            return False
        body = _THINGS.dump_json(things)
        if not self._attempt("INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", camera, aim, body):
            return False
        self._kept[camera] = (what, now_s)
        return True

    def close(self) -> None:
        self._db.close()


def _opened(path: Path) -> sqlite3.Connection:
    """Open or make the file; a damaged one is set aside, and without any the agent still runs."""
    try:
        try:
            return _connected(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.error("standing.db damaged, set aside", extra={"cause": error})  # noqa: TRY400 -- the cause says it
            for suffix in ("-shm", "-wal", ""):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.replace(path.with_name(f"{path.name}.damaged{suffix}"))
            return _connected(path)
    except (sqlite3.Error, OSError) as error:
        log.error("standing.db cannot be opened, doing without", extra={"cause": error})  # noqa: TRY400 -- the cause says it
        return _prepared(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))


def _connected(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check")
        return _prepared(db)
    except sqlite3.Error:
        db.close()
        raise


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    db.executescript(_SCHEMA)
    return db


def _coarse(thing: Remembered) -> tuple[float, ...]:
    """The place to a twentieth of the frame: a box that breathes is no news."""
    box = thing.place
    return tuple(round(20 * edge) / 20 for edge in (box.x, box.y, box.right, box.bottom))
