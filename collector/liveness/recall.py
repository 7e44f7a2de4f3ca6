"""What did we know before we were restarted? The judgement as the book's flips left it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from collector.archive import flips as book
from collector.archive.flips import OUTAGE_US, SHARED, Flip, State, Subject
from collector.liveness.judge import CameraStanding, Fleet, SiteStanding, Steady, deaf
from collector.liveness.outage import FALLEN, MEMORY_US, Outage, Together, Usual

STATION = "station"  # beside site '': this station itself
_GONE = (*FALLEN, State.DEAD)


def fleet(connection: sqlite3.Connection, heard: Mapping[str, int], mark_us: int | None) -> Fleet:
    """Return what is remembered of these sites; `heard` is when each was heard last."""
    known = book.newest_of(connection)
    sites = {
        site: SiteStanding(_steady(known[site, ""], State.UP), heard_us, heard_us)
        for site, heard_us in heard.items()
    }
    found = Fleet(sites, known=len(sites), together=_together(connection, known, mark_us or 0))
    for since_us, until_us in _deaf_spans(connection):
        found = deaf(found, since_us, until_us)
    return found


def cameras(connection: sqlite3.Connection) -> dict[Subject, CameraStanding]:
    return {
        subject: CameraStanding(_steady(flip, State.UP))
        for subject, flip in book.newest_of(connection).items()
        if subject[0] and subject[1]
    }


def _steady(flip: Flip, otherwise: State) -> Steady:
    """Who was unstable is believed an hour after that was said, as far as nothing else is known."""
    if flip.state is State.UNSTABLE:
        return Steady(otherwise, State.UNSTABLE, (flip.at_us,))
    return Steady(flip.state, flip.state)


def _together(connection: sqlite3.Connection, known: Mapping[Subject, Flip], mark_us: int) -> Together:
    rows = connection.execute(
        "SELECT site, at_us, cause FROM flips WHERE site <> '' AND camera = '' AND at_us > ?"
        " AND state IN ('silent', 'unstable') ORDER BY at_us",
        (mark_us - 3 * MEMORY_US,),  # what is older has faded to a twentieth
    ).fetchall()
    usual = Usual()
    for _, at_us, cause in rows:
        usual = usual if cause in SHARED else usual.after(at_us)
    recent = tuple((at_us, site) for site, at_us, _ in rows if at_us >= mark_us - OUTAGE_US)
    return Together(recent, usual, _outage(connection, known))


def _outage(connection: sqlite3.Connection, known: Mapping[Subject, Flip]) -> Outage | None:
    whole = known.get(("", ""))
    if whole is None or whole.state is not State.OUTAGE:
        return None
    everyone = frozenset(book.members(connection, whole.at_us))
    silent = {site for site in everyone if known[site, ""].state in _GONE}
    return Outage(whole.cause, everyone, frozenset(silent))


def _deaf_spans(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    rows = connection.execute(
        "SELECT at_us FROM flips WHERE site = '' AND camera = ? ORDER BY at_us", (STATION,)
    )
    moments = [row[0] for row in rows]
    return list(zip(moments[::2], moments[1::2], strict=False))
