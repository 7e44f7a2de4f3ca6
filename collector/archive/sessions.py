"""Who is at the screen? Sessions of the console: a random token, kept here only as its hash."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlite_utils

from shared.clock import microseconds

IDLE = timedelta(hours=12)  # a night shift in which nothing happened must not end at the login page
ABSOLUTE = timedelta(hours=24)  # a duty lasts a day and a night: who relieves it signs in as himself
_TOKEN_BYTES = 32  # 256 bits
_NOTED_EVERY = timedelta(minutes=1)  # one write a minute and session, not one per picture
_FUTURE = timedelta(minutes=5)  # later than that, the clock has been put back: the session's age is unknown


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody signed in. `token` is the cookie's value; it is never stored or logged."""

    token: str = field(repr=False)
    account: str
    must_change: bool


def begin(database: sqlite_utils.Database, account: str, now: datetime) -> str:
    """Open a session and return its token; clear away those that have ended."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    us = microseconds(now)
    with database.atomic():
        database.execute(
            "DELETE FROM sessions WHERE created_us <= ? OR seen_us <= ?",
            (microseconds(now - ABSOLUTE), microseconds(now - IDLE)),
        )
        database.execute(
            "INSERT INTO sessions (token, account, created_us, seen_us) VALUES (?, ?, ?, ?)",
            (_stored(token), account, us, us),
        )
    return token


def find(database: sqlite_utils.Database, token: str, now: datetime) -> Session | None:
    """Return the session of this token if it lives, and note that it was used."""
    row = database.execute(
        "SELECT account, must_change, sessions.created_us, seen_us"
        " FROM sessions JOIN accounts USING (account) WHERE token = ?",
        (_stored(token),),
    ).fetchone()
    if row is None:
        return None
    account, must_change, created, seen = row
    latest = microseconds(now + _FUTURE)
    if not microseconds(now - ABSOLUTE) < created < latest or not microseconds(now - IDLE) < seen < latest:
        return None
    if seen < microseconds(now - _NOTED_EVERY):
        database.execute(
            "UPDATE sessions SET seen_us = ? WHERE token = ?", (microseconds(now), _stored(token))
        )
    return Session(token, account, bool(must_change))


def end(database: sqlite_utils.Database, token: str) -> None:
    database.execute("DELETE FROM sessions WHERE token = ?", (_stored(token),))


def _stored(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
