"""What stood in view, and which events had not ended, when the agent was last running?

One SQLite file, `standing.db`, beside the outbox. The last message of every living event is kept from
before it is told until after its end is told, so that `kill -9` leaves no event without an end. Places
are kept once a minute if one came or went, every quarter of an hour if only time has passed: what a
power cut costs is a minute of memory, and what the flash card is asked to write stays small.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
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
_THINGS = TypeAdapter(tuple[Remembered, ...])


class StillStore:
    """The file and its one connection; owned by the vision thread once that runs."""

    def __init__(self, home: Path) -> None:
        path = home / FILE
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._kept: dict[str, tuple[object, float]] = {}  # what was written of a camera, and when

    def living(self, camera: str) -> dict[UUID, DetectionEvent]:
        """The last message of each of this camera's events that never ended."""
        rows = self._db.execute("SELECT event_id, body FROM living WHERE camera = ?", (camera,)).fetchall()
        found = {}
        for event_id, body in rows:
            try:
                found[UUID(bytes=event_id)] = DetectionEvent.model_validate_json(body)
            except ValidationError:  # of another version; its end can no longer be told
                log.warning("living event not understood", extra={"event": str(UUID(bytes=event_id))})
                self._db.execute("DELETE FROM living WHERE event_id = ?", (event_id,))
        return found

    def about_to_tell(self, event: DetectionEvent) -> None:
        """Before it goes to the outbox: from now on somebody must tell its end."""
        if event.phase is not Phase.END:
            self._db.execute(
                "INSERT OR REPLACE INTO living VALUES (?, ?, ?)",
                (event.event_id.bytes, event.camera, event.model_dump_json(exclude_none=True).encode()),
            )

    def told(self, event: DetectionEvent) -> None:
        """It is in the outbox; after an end nothing is owed."""
        if event.phase is Phase.END:
            self._db.execute("DELETE FROM living WHERE event_id = ?", (event.event_id.bytes,))

    def things(self, camera: str, aim: str) -> tuple[Remembered, ...]:
        """What stood there; nothing when the camera has been given another aim since."""
        row = self._db.execute("SELECT aim, body FROM standing WHERE camera = ?", (camera,)).fetchone()
        if row is None or row[0] != aim:
            return ()
        try:
            return _THINGS.validate_json(row[1])
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
        self._db.execute(
            "INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", (camera, aim, _THINGS.dump_json(things))
        )
        self._kept[camera] = (what, now_s)
        return True

    def close(self) -> None:
        self._db.close()


def _coarse(thing: Remembered) -> tuple[float, ...]:
    """The place to a twentieth of the frame: a box that breathes is no news."""
    box = thing.place
    return tuple(round(20 * edge) / 20 for edge in (box.x, box.y, box.right, box.bottom))
