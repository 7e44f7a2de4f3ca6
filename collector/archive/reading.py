"""How is a database read by those who must not write it? Over a connection that cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from shared.errors import NeedsFixing

_BUSY_MS = 5000  # the committer's checkpoint may hold a reader up; never for long


class DatabaseUnreadable(NeedsFixing):
    key = "database-unreadable"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open one database for reading, everything within as of one moment. Raises DatabaseUnreadable."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise DatabaseUnreadable(path=path, reason=error) from error
    with closing(connection):
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        yield connection
