"""What was lost here that the station has not been told of? Counted on disk, in the file of the rest.

One row per reason and per life of the file; `Outbox.report_losses` turns them into words for the
station. Called in the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from agent.uplink.row import PICTURES
from shared.clock import moment
from shared.messages import GapReason


@dataclass(frozen=True, slots=True)
class Loss:
    """Some messages that will never come. Numbers 0 to 0: they had none, or nobody knows which."""

    reason: GapReason
    first: int = 0
    last: int = 0
    events: int = 0
    thumbnails: int = 0
    since_us: int = 0  # 0: unknown
    until_us: int = 0


def note(db: sqlite3.Connection, loss: Loss, instance: str = "") -> None:
    """Add to what is known; without an instance this file's own is meant."""
    db.execute(
        "INSERT INTO lost VALUES (?, coalesce(nullif(?, ''), (SELECT instance FROM life)), ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (reason, instance) DO UPDATE SET first = min(first, excluded.first),"
        " last = max(last, excluded.last), events = events + excluded.events,"
        " thumbnails = thumbnails + excluded.thumbnails, since_us = min(since_us, excluded.since_us),"
        " until_us = max(until_us, excluded.until_us)",
        (loss.reason, instance, *astuple(loss)[1:]),
    )


def give_up(db: sqlite3.Connection, which: str, facts: tuple[int, ...], reason: GapReason) -> tuple[int, int]:
    """Delete these rows of the outbox and note them; return how many they were, and their bytes."""
    rows = db.execute(
        f"DELETE FROM outbox WHERE {which} RETURNING channel, instance, sequence, made_us, length(body)",  # noqa: S608 -- the caller's own words
        facts,
    ).fetchall()
    for channel, instance, sequence, made_us, _ in rows:
        is_picture = channel in PICTURES
        loss = Loss(reason, sequence, sequence, not is_picture, is_picture, made_us, made_us)
        note(db, loss, instance)
    return len(rows), sum(size_bytes for *_, size_bytes in rows)


def take(db: sqlite3.Connection, now: datetime) -> list[dict[str, Any]]:
    """Return what is known as the fields of a `GapReport`, and forget it."""
    columns = ("reason", "instance", "first", "last", "events", "thumbnails", "since_us", "until_us")
    rows = db.execute(f"DELETE FROM lost RETURNING {', '.join(columns)}").fetchall()  # noqa: S608 -- column names of ours
    return [_fields(dict(zip(columns, row, strict=True)), now) for row in rows]


def _fields(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    since_us, until_us = row.pop("since_us"), row.pop("until_us")
    return {
        **row,
        "since": moment(since_us) if since_us else now,
        "until": moment(until_us) if until_us else now,
    }
