"""Does everything a box signed still hang together? Each message names the hash of the one before.

Whoever takes a message out, puts one in or changes one leaves a place where the hash named is not that
of the message before. Where a number is missing or was refused in between, nothing can be said.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from collector.archive.numbering import CAME, REFUSED

Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Link:
    """One signed message, as far as the chain goes: its number, its hash, and the one it names."""

    sequence: int
    sha256: bytes
    previous: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Between these two numbers everything came, and yet the second does not name the first."""

    site: str
    instance: str
    before: int
    after: int


def breaks(links: Iterable[Link], came: Sequence[Run], refused: Sequence[Run]) -> Iterator[tuple[int, int]]:
    """Return the numbers on both sides of every break; all three sorted by number.

    A number that is there twice is a break of itself: one of the two was not said by this outbox.
    """
    kept, spoilt = iter(came), iter(refused)
    run, doubt = next(kept, None), next(spoilt, None)
    for before, after in itertools.pairwise(links):
        while run and run[1] < after.sequence:
            run = next(kept, None)
        while doubt and doubt[1] < before.sequence:
            doubt = next(spoilt, None)
        is_whole = run is not None and run[0] <= before.sequence
        is_clear = doubt is None or doubt[0] > after.sequence
        if before.sequence == after.sequence or (is_whole and is_clear and after.previous != before.sha256):
            yield before.sequence, after.sequence


def broken(connection: sqlite3.Connection, site: str) -> list[Break]:
    """Follow every chain of a site from end to end."""
    instances = connection.execute(
        "SELECT DISTINCT instance FROM numbers WHERE site = ? ORDER BY instance", (site,)
    ).fetchall()
    return [
        Break(site, instance, *pair)
        for (instance,) in instances
        for pair in breaks(
            _links(connection, site, instance),
            _runs(connection, site, instance, CAME),
            _runs(connection, site, instance, REFUSED),
        )
    ]


def _links(connection: sqlite3.Connection, site: str, instance: str) -> Iterator[Link]:
    rows = connection.execute(
        "SELECT sequence, sha256, previous FROM messages"
        " WHERE site = ? AND instance = ? AND sequence NOTNULL AND sha256 NOTNULL ORDER BY sequence, id",
        (site, instance),
    )
    return (Link(*row) for row in rows)


def _runs(connection: sqlite3.Connection, site: str, instance: str, state: str) -> list[Run]:
    return connection.execute(
        "SELECT first, last FROM numbers WHERE site = ? AND instance = ? AND state = ? ORDER BY first",
        (site, instance, state),
    ).fetchall()
