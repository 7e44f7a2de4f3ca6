"""When did what change? Each change of a site's or a camera's state once, and the alarms it caused.

A database of its own, `liveness.db`: the watcher writes it, so that the committer stays the only
writer of the archive, and an alarm never waits for evidence nor evidence for an alarm.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from collector.archive.folder import StationFolder
from collector.archive.reading import reading

OUTAGE_US = 120 * 1_000_000  # who falls silent within so long of others may have their fault
NETWORK_OR_STATION = "network-or-station"  # causes of what is no single site's fault
TOGETHER = "fell-together"
SHARED = frozenset({NETWORK_OR_STATION, TOGETHER})

KEPT_DAYS = 3 * 365  # a flip is 60 bytes; ten a day from each of 3,000 sites are 0.7 GB in that time

LIVENESS_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE flips (
        site        TEXT NOT NULL,      -- '': the whole: the network or this station
        camera      TEXT NOT NULL,      -- '': the site itself
        at_us       INTEGER NOT NULL,   -- the collector's clock
        state       TEXT NOT NULL,      -- collector.archive.flips.State
        cause       TEXT NOT NULL,
        PRIMARY KEY (site, camera, at_us)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE watch (
        one         INTEGER PRIMARY KEY CHECK (one = 1),
        mark_us     INTEGER NOT NULL    -- until then somebody was listening
    ) STRICT;
    CREATE TABLE alarms (
        site        TEXT NOT NULL,      -- the first three: the flip it tells of
        camera      TEXT NOT NULL,
        at_us       INTEGER NOT NULL,
        target      TEXT NOT NULL,      -- whom it is for, as a hash: addresses hold passwords
        due_us      INTEGER NOT NULL,   -- not before
        tries       INTEGER NOT NULL DEFAULT 0,
        sent_us     INTEGER,
        PRIMARY KEY (site, camera, at_us, target)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alarms_waiting ON alarms (due_us) WHERE sent_us IS NULL;
    """,
    "CREATE INDEX flips_by_time ON flips (at_us)",  # who fell with whom is asked of minutes, not of years
)


class State(StrEnum):
    """How a site, a camera, or the whole is, in one word."""

    UP = "up"
    LATE = "late"
    SILENT = "silent"
    DEAD = "dead"
    UNSTABLE = "unstable"  # changes too often for each change to be told
    DEGRADED = "degraded"  # cameras only
    DOWN = "down"  # cameras only
    PAUSED = "paused"  # cameras only: somebody who may has asked for it
    OUTAGE = "outage"  # the whole only: many fell silent at once
    DEAF = "deaf"  # the whole only: this station did not listen


@dataclass(frozen=True, slots=True)
class Flip:
    """From `at_us` on, this subject is in this state."""

    site: str
    camera: str
    state: State
    cause: str
    at_us: int


Subject = tuple[str, str]
"""A site and a camera; an empty camera is the site itself, an empty site the whole."""

_COLUMNS = "site, camera, state, cause, at_us"
_WHOLE = f"SELECT {_COLUMNS} FROM flips WHERE site = '' AND camera = ''"  # noqa: S608 -- our own names
_EVER = 2**62


def latest(folder: StationFolder) -> dict[Subject, Flip]:
    """Return how everybody is, as last recorded."""
    with _read(folder) as connection:
        return newest_of(connection)


def newest_of(connection: sqlite3.Connection) -> dict[Subject, Flip]:
    query = f"SELECT {_COLUMNS}, max(at_us) FROM flips GROUP BY site, camera"  # noqa: S608 -- our own names
    return {(row[0], row[1]): flip_of(row[:5]) for row in connection.execute(query)}


def history(folder: StationFolder, site: str | None = None) -> list[Flip]:
    """Return all flips kept, of one site or of everybody, oldest first."""
    where, given = ("", ()) if site is None else (" WHERE site = ?", (site,))
    with _read(folder) as connection:
        query = f"SELECT {_COLUMNS} FROM flips{where} ORDER BY at_us, site, camera"  # noqa: S608 -- our own names
        return [flip_of(row) for row in connection.execute(query, given)]


def who_fell(folder: StationFolder, at_us: int) -> list[str]:
    """Return the sites of the outage that was told at that moment, or ended then."""
    with _read(folder) as connection:
        return members(connection, at_us)


def members(connection: sqlite3.Connection, at_us: int) -> list[str]:
    """As `who_fell`. Those who fell before an outage was one have another cause in the book."""
    told = [flip_of(row) for row in connection.execute(f"{_WHOLE} AND at_us <= ? ORDER BY at_us", (at_us,))]
    ended = told and told[-1].state is not State.OUTAGE
    run = list(takewhile(lambda one: one.state is State.OUTAGE, reversed(told[:-1] if ended else told)))
    if not run:
        return []
    until_us = told[-1].at_us if ended else _EVER
    fallen = connection.execute(
        "SELECT site, at_us, cause FROM flips WHERE site <> '' AND camera = '' AND at_us BETWEEN ? AND ?"
        " AND state IN ('silent', 'unstable')",
        (run[-1].at_us - OUTAGE_US, until_us),
    )
    return sorted(
        {
            site
            for site, fell_us, cause in fallen
            if cause in SHARED or any(0 <= one.at_us - fell_us <= OUTAGE_US for one in run)
        }
    )


def listened_until(folder: StationFolder) -> int | None:
    """Return when somebody last looked; None: nobody ever has."""
    with _read(folder) as connection:
        row = connection.execute("SELECT mark_us FROM watch").fetchone()
    return row[0] if row else None


def flip_of(row: tuple[str, str, str, str, int]) -> Flip:
    site, camera, state, cause, at_us = row
    return Flip(site, camera, State(state), cause, at_us)


def record(connection: sqlite3.Connection, flips: Iterable[Flip]) -> None:
    """Keep each flip once, however often it is told; of two at one moment the later word."""
    connection.executemany(
        f"INSERT OR REPLACE INTO flips ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 -- our own names
        [(one.site, one.camera, one.state, one.cause, one.at_us) for one in flips],
    )


@contextmanager
def _read(folder: StationFolder) -> Iterator[sqlite3.Connection]:
    """A station that never ran has no flips yet: then an empty database answers."""
    if folder.liveness_database.exists():
        with reading(folder.liveness_database) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] >= 1:
                yield connection
                return
    empty = sqlite3.connect(":memory:")
    try:
        empty.executescript(LIVENESS_MIGRATIONS[0])
        yield empty
    finally:
        empty.close()
