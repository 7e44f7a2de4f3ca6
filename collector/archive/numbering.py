"""Which numbers came? Kept as runs without a hole, so that a year of one box is a handful of rows.

In whatever order and however often numbers come, the runs are those of the set of them.
"""

from __future__ import annotations

import sqlite_utils

from collector.archive.records import Number

CAME, REFUSED = "came", "refused"  # what was refused came as well: it is not missing


class Numbering:
    """The writer's side; call inside the archive's transaction."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database

    def note(self, site: str, number: Number, state: str = CAME) -> bool:
        """Note a number; False when it had come before."""
        box, sequence = (site, number.instance, state), number.sequence
        below = self._database.execute(
            "SELECT first, last FROM numbers WHERE site = ? AND instance = ? AND state = ? AND first <= ?"
            " ORDER BY first DESC LIMIT 1",
            (*box, sequence),
        ).fetchone()
        if below and sequence <= below[1]:
            return False
        above = self._database.execute(
            "DELETE FROM numbers WHERE site = ? AND instance = ? AND state = ? AND first = ? RETURNING last",
            (*box, sequence + 1),
        ).fetchone()
        last = above[0] if above else sequence
        if below and below[1] == sequence - 1:
            self._database.execute(
                "UPDATE numbers SET last = ? WHERE site = ? AND instance = ? AND state = ? AND first = ?",
                (last, *box, below[0]),
            )
        else:
            self._database.execute("INSERT INTO numbers VALUES (?, ?, ?, ?, ?)", (*box, sequence, last))
        return True

    def heard(self, site: str, instance: str, waiting: int, heard_us: int) -> None:
        """Note how far an outbox says it has got: every number below `waiting` is here, or lost."""
        self._database.execute(
            "INSERT INTO outboxes VALUES (?, ?, ?, ?) ON CONFLICT (site, instance) DO UPDATE SET"
            " waiting = max(waiting, excluded.waiting), heard_us = excluded.heard_us",
            (site, instance, waiting, heard_us),
        )
