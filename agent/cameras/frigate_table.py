"""Which of a Frigate's events do we know? On disk, so that a restart tells none of them twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

_SCHEMA = """
CREATE TABLE IF NOT EXISTS known (
    key       TEXT PRIMARY KEY,   -- Frigate's id
    event_id  BLOB NOT NULL,      -- ours: UUIDv7, 16 bytes
    started_s REAL NOT NULL,      -- Frigate's clock
    state     TEXT NOT NULL,      -- `State`
    told      TEXT                -- JSON of what was told of it, if anything was
) STRICT;
CREATE INDEX IF NOT EXISTS known_started ON known (started_s);
CREATE TABLE IF NOT EXISTS since (started_s REAL NOT NULL) STRICT;  -- when we first met
"""
_KEPT_S = 30 * 86_400.0  # Frigate keeps its own for 10 days unless told otherwise


class State(StrEnum):
    NEW = "new"
    STARTED = "started"
    ENDED = "ended"
    REJECTED = "rejected"  # nobody could confirm it


@dataclass(frozen=True, slots=True)
class Known:
    event_id: UUID
    state: State
    told: str | None

    @property
    def is_over(self) -> bool:
        return self.state in {State.ENDED, State.REJECTED}


class FrigateTable:
    """Owned by the thread `frigate`."""

    def __init__(self, path: Path, new_id: Callable[[], UUID]) -> None:
        self._new_id = new_id
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)

    def met(self, key: str, started_s: float) -> Known:
        """Return what we know of this event, from now on at the least its id."""
        self._db.execute(
            "INSERT OR IGNORE INTO known VALUES (?, ?, ?, ?, NULL)",
            (key, self._new_id().bytes, started_s, State.NEW),
        )
        event_id, state, told = self._db.execute(
            "SELECT event_id, state, told FROM known WHERE key = ?", (key,)
        ).fetchone()
        return Known(UUID(bytes=event_id), State(state), told)

    def note(self, key: str, state: State, told: str | None) -> None:
        self._db.execute("UPDATE known SET state = ?, told = ? WHERE key = ?", (state, told, key))

    def open_keys(self) -> list[str]:
        """Those whose end we have not told."""
        rows = self._db.execute("SELECT key FROM known WHERE state IN (?, ?)", (State.NEW, State.STARTED))
        return [key for (key,) in rows]

    def newest_s(self, now_s: float) -> float:
        """When the newest event we know of began, or we first met; forgets what is long past."""
        self._db.execute("DELETE FROM known WHERE started_s < ?", (now_s - _KEPT_S,))
        if self._db.execute("SELECT count(*) FROM since").fetchone() == (0,):
            self._db.execute("INSERT INTO since VALUES (?)", (now_s,))
        (since_s,) = self._db.execute("SELECT min(started_s) FROM since").fetchone()
        (newest_s,) = self._db.execute("SELECT max(started_s) FROM known").fetchone()
        return float(max(since_s, newest_s or since_s))

    def since_s(self) -> float:
        (since_s,) = self._db.execute("SELECT coalesce(min(started_s), 0) FROM since").fetchone()
        return float(since_s)

    def close(self) -> None:
        self._db.close()
