"""Do two boxes speak in one site's name? Seen by who comes back after another had taken its place.

A site has one connection: the newer takes it from the older. One box that starts anew never speaks
by its old session's name again, so a session that is born again after another was, runs beside it:
a copied card, which throws the first box off and is thrown off by it. No clock is asked, and one
takeover by a swapped box raises no alarm.
"""

from __future__ import annotations

import sqlite_utils

CARD_COPIED = "card-copied"  # the refusal it is counted as, though everything is kept
_REMEMBERED = 8  # sessions of a site; a copy comes back after one


class Births:
    """Over the archive's one writing connection, inside its transaction."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database

    def is_back(self, site: str, session: str) -> bool:
        """Note a birth; True when this session was born before and another one since."""
        born = dict(
            self._database.execute("SELECT session, turn FROM births WHERE site = ?", (site,)).fetchall()
        )
        newest = max(born.values(), default=0)
        if born.get(session) == newest:
            return False  # the same box after a broken line
        self._database.execute(
            "INSERT INTO births (site, session, turn) VALUES (?, ?, ?)"
            " ON CONFLICT (site, session) DO UPDATE SET turn = excluded.turn",
            (site, session, newest + 1),
        )
        self._database.execute(
            "DELETE FROM births WHERE site = ? AND turn <= ?", (site, newest + 1 - _REMEMBERED)
        )
        return session in born
