"""Which alarms are still to be sent? On disk, one per flip and target, until each is out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from collector.archive.flips import OUTAGE_US, SHARED, Flip, State, Subject, flip_of, members

# So long an alarm waits for company: then it may be an outage of many, which a look every 10 s finds a little
# later, and which is still growing when it is found
SETTLE_US = OUTAGE_US + 30 * 1_000_000
_BACK_US = (
    600 * 1_000_000
)  # an outage's last ones may still be on their way back: heard three times in minutes
_RETRY_S = (30, 600)  # first and longest pause between tries
_AT_ONCE = 200  # alarms in one message; a mail of more lines is read by nobody
_KEPT_US = 90 * 86_400 * 1_000_000  # sent ones: the all-clear asks whether there was an alarm

_SETTLING = {State.SILENT, State.UNSTABLE, State.DOWN, State.OUTAGE}
_RAISED = {State.SILENT, State.DEAD, State.UNSTABLE, State.DOWN, State.OUTAGE, State.DEAF}


@dataclass(frozen=True, slots=True)
class Due:
    """What one target is to be told now."""

    flips: tuple[Flip, ...]
    tries: int


def queue(
    connection: sqlite3.Connection, flips: Iterable[Flip], before: dict[Subject, Flip], targets: Iterable[str]
) -> None:
    """Queue what these changes call for, in the transaction that records them. `before`: as it was."""
    known, targets = dict(before), tuple(targets)
    for flip in flips:
        subject = (flip.site, flip.camera)
        last, known[subject] = known.get(subject), flip
        if flip.state is State.OUTAGE:
            _forget_members(connection, flip)
            _raise(connection, flip, targets)
        elif flip.state in _RAISED and flip.cause not in SHARED:
            _raise(connection, flip, targets)
        elif flip.state not in _RAISED and last is not None and last.state is not State.DEAF:
            _all_clear(connection, flip, last, targets)
        if subject == ("", "") and flip.state is State.UP and last is not None:
            _raise_left_over(connection, known, flip, targets)


def due(connection: sqlite3.Connection, target: str, now_us: int) -> Due:
    rows = connection.execute(
        "SELECT site, camera, state, cause, at_us, tries FROM alarms JOIN flips USING (site, camera, at_us)"
        " WHERE target = ? AND sent_us IS NULL AND due_us <= ? ORDER BY at_us LIMIT ?",
        (target, now_us, _AT_ONCE),
    ).fetchall()
    return Due(tuple(flip_of(row[:5]) for row in rows), max((row[5] for row in rows), default=0))


def settle(connection: sqlite3.Connection, target: str, told: Due, now_us: int, *, is_sent: bool) -> None:
    """Note that a message is out, or when to try again."""
    first_s, longest_s = _RETRY_S
    again_us = now_us + min(first_s * 2 ** min(told.tries, 10), longest_s) * 1_000_000
    change, value = ("sent_us = ?", now_us) if is_sent else ("tries = tries + 1, due_us = ?", again_us)
    connection.executemany(
        f"UPDATE alarms SET {change} WHERE target = ? AND site = ? AND camera = ? AND at_us = ?",  # noqa: S608 -- one of the two above
        [(value, target, flip.site, flip.camera, flip.at_us) for flip in told.flips],
    )


def forget(connection: sqlite3.Connection, targets: Iterable[str], now_us: int) -> None:
    """Drop what is for targets nobody has any more, and what was sent long ago."""
    kept = tuple(targets)
    marks = ",".join("?" * len(kept))
    connection.execute(f"DELETE FROM alarms WHERE target NOT IN ({marks})", kept)  # noqa: S608 -- question marks
    connection.execute("DELETE FROM alarms WHERE sent_us < ?", (now_us - _KEPT_US,))


def _raise(
    connection: sqlite3.Connection, flip: Flip, targets: Iterable[str], not_before_us: int = 0
) -> None:
    due_us = max(not_before_us, flip.at_us + (SETTLE_US if flip.state in _SETTLING else 0))
    connection.executemany(
        "INSERT OR IGNORE INTO alarms (site, camera, at_us, target, due_us) VALUES (?, ?, ?, ?, ?)",
        [(flip.site, flip.camera, flip.at_us, target, due_us) for target in targets],
    )


def _all_clear(connection: sqlite3.Connection, flip: Flip, last: Flip, targets: Iterable[str]) -> None:
    """Well again: worth a word only to whom the alarm went."""
    key = (last.site, last.camera, last.at_us)
    mine = "site = ? AND camera = ? AND at_us = ?"
    connection.execute(f"DELETE FROM alarms WHERE {mine} AND sent_us IS NULL AND tries = 0", key)  # noqa: S608 -- the line above
    told = {row[0] for row in connection.execute(f"SELECT target FROM alarms WHERE {mine}", key)}  # noqa: S608 -- as above
    _raise(connection, flip, told.intersection(targets))


def _forget_members(connection: sqlite3.Connection, outage: Flip) -> None:
    """Who fell in it is told with it, and so is what was said of it before it grew."""
    connection.execute(
        "DELETE FROM alarms WHERE sent_us IS NULL AND tries = 0 AND at_us BETWEEN ? AND ? AND"
        " (site, camera, at_us) IN (SELECT site, camera, at_us FROM flips WHERE camera = ''"
        " AND state IN ('silent', 'unstable', 'outage'))",
        (outage.at_us - OUTAGE_US, outage.at_us),
    )


def _raise_left_over(
    connection: sqlite3.Connection, known: dict[Subject, Flip], back: Flip, targets: Iterable[str]
) -> None:
    """The outage is over: who is still gone a while later has a fault of its own."""
    fallen = set(members(connection, back.at_us))
    for (site, camera), flip in known.items():
        if site in fallen and not camera and flip.state in _RAISED:
            _raise(connection, flip, targets, back.at_us + _BACK_US)
