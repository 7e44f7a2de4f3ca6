"""Which numbers came? Kept as runs without a hole, so that a year of one box is a handful of rows.

In whatever order and however often numbers come, the runs are those of the set of them. Most numbers
follow the one before: the run that grows is kept at hand, and its row is written once a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlite_utils

from collector.archive.records import Number

CAME, REFUSED = "came", "refused"  # what was refused came as well: it is not missing
MOST_AT_HAND = 16_384  # 3 MB; three thousand sites, and the outboxes they had before

_Box = tuple[str, str, str]  # site, instance, state


@dataclass(slots=True)
class _Run:
    """One that numbers are added to, and where the next one above it begins."""

    first: int
    last: int
    above: int | None


class Numbering:
    """The writer's side; call inside the archive's transaction, and `write` before its end."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database
        self._growing: dict[_Box, _Run] = {}
        self._unwritten: set[_Box] = set()

    def note(self, site: str, number: Number, state: str = CAME) -> bool:
        """Note a number; False when it had come before."""
        box, sequence = (site, number.instance, state), number.sequence
        run = self._growing.get(box)
        if run is not None and run.first <= sequence <= run.last:
            return False
        if run is None or sequence != run.last + 1 or sequence + 1 == run.above:
            return self._note_elsewhere(box, sequence)
        run.last = sequence
        self._unwritten.add(box)
        return True

    def write(self) -> None:
        """Bring the rows up to what is at hand."""
        for box in self._unwritten:
            self._set_last(box, self._growing[box].first, self._growing[box].last)
        self._unwritten.clear()
        if len(self._growing) > MOST_AT_HAND:
            self._growing.clear()

    def forget(self) -> None:
        """The transaction is undone, and what is at hand with it."""
        self._growing.clear()
        self._unwritten.clear()

    def heard(self, site: str, instance: str, waiting: int, heard_us: int) -> None:
        """Note how far an outbox says it has got: every number below `waiting` is here, or lost."""
        self._database.execute(
            "INSERT INTO outboxes VALUES (?, ?, ?, ?) ON CONFLICT (site, instance) DO UPDATE SET"
            " waiting = max(waiting, excluded.waiting), heard_us = excluded.heard_us",
            (site, instance, waiting, heard_us),
        )

    def _note_elsewhere(self, box: _Box, sequence: int) -> bool:
        """Note a number that does not follow what is at hand; take up the run it is in now."""
        if box in self._unwritten:
            self.write()
        below = self._database.execute(
            "SELECT first, last FROM numbers WHERE site = ? AND instance = ? AND state = ? AND first <= ?"
            " ORDER BY first DESC LIMIT 1",
            (*box, sequence),
        ).fetchone()
        if below and sequence <= below[1]:
            return False
        joined = self._database.execute(
            "DELETE FROM numbers WHERE site = ? AND instance = ? AND state = ? AND first = ? RETURNING last",
            (*box, sequence + 1),
        ).fetchone()
        last = joined[0] if joined else sequence
        first = sequence
        if below and below[1] == sequence - 1:
            first = below[0]
            self._set_last(box, first, last)
        else:
            self._database.execute("INSERT INTO numbers VALUES (?, ?, ?, ?, ?)", (*box, first, last))
        above = self._database.execute(
            "SELECT min(first) FROM numbers WHERE site = ? AND instance = ? AND state = ? AND first > ?",
            (*box, last),
        ).fetchone()
        self._growing[box] = _Run(first, last, above[0])
        return True

    def _set_last(self, box: _Box, first: int, last: int) -> None:
        self._database.execute(
            "UPDATE numbers SET last = ? WHERE site = ? AND instance = ? AND state = ? AND first = ?",
            (last, *box, first),
        )
