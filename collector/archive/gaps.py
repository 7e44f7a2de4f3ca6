"""What is known to be missing? Numbers that never came, and what the sites themselves say they lost.

A box says how far it has got: every number below is here, or lost. What is not here and lies in a range
the box reported has that report's reason; the rest is unexplained, and so is what a range misses beyond
the counts of its reports. Computed when asked, from runs of numbers: a box without a hole is one row.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.archive.numbering import CAME
from shared.clock import moment
from shared.messages import GapReason

UNEXPLAINED = "unexplained"
CLOSE = 20  # numbers that came between two holes: fewer, and they are one to a person
MOST_HOLES = 50  # unexplained ones told apart for one outbox, the newest; the older ones are one

Run = tuple[int, int]
"""From the first to the last number, both within."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A site's own word on what it lost; numbers 0 to 0: it does not know which, or they had none."""

    reason: str
    first: int
    last: int
    events: int
    thumbnails: int
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Messages that are not here: as the site told it, or as found by their numbers."""

    site: str
    instance: str
    reason: str  # a GapReason, or UNEXPLAINED
    events: int  # of both 0: nobody knows what the missing messages were
    thumbnails: int
    messages: int  # numbers that are missing; 0 where what was lost had none
    since: datetime
    until: datetime


def missing(came: Iterable[Run], below: int) -> list[Run]:
    """Return the runs of numbers from 1 on, less than `below`, that are in none of the sorted runs."""
    holes, following = [], 1
    for first, last in came:
        if first >= below:
            break
        if first > following:
            holes.append((following, first - 1))
        following = last + 1
    if following < below:
        holes.append((following, below - 1))
    return holes


def size(runs: Iterable[Run]) -> int:
    return sum(last - first + 1 for first, last in runs)


def within(runs: Iterable[Run], span: Run) -> list[Run]:
    """Return the parts of runs that lie in a span."""
    cut = ((max(first, span[0]), min(last, span[1])) for first, last in runs)
    return [(first, last) for first, last in cut if first <= last]


def outside(runs: Sequence[Run], spans: Iterable[Run]) -> list[Run]:
    """Return the parts of runs that lie in none of the spans."""
    for begins, ends in spans:
        runs = [
            part
            for first, last in runs
            for part in ((first, min(last, begins - 1)), (max(first, ends + 1), last))
            if part[0] <= part[1]
        ]
    return list(runs)


def unexplained(holes: Sequence[Run], losses: Sequence[Loss]) -> tuple[list[Run], list[tuple[Run, int]]]:
    """Return what no report covers, and of covered stretches those that miss more than was reported.

    A report names the first and the last number lost, and how many between them. When what a site says
    it lost is less than what is not here, the rest is nobody's.
    """
    if any(_is_vague(loss) and not loss.last for loss in losses):
        return [], []  # which numbers the broken file took is not known: any of them
    numbered = [loss for loss in losses if loss.last]
    spans = _joined((loss.first, loss.last) for loss in numbered)
    excess = []
    for span in spans:
        here = [one for one in numbered if span[0] <= one.first <= span[1]]
        said = sum(one.events + one.thumbnails for one in here)
        too_many = size(within(holes, span)) - said
        if too_many > 0 and not any(_is_vague(one) for one in here):
            excess.append((span, too_many))
    return outside(holes, spans), excess


def attributed(holes: Sequence[Run], losses: Sequence[Loss]) -> list[tuple[Loss, int]]:
    """Return how many of the missing numbers each report answers for; none counts for two of them.

    What ends first takes first, and what knows least takes what is left.
    """
    left, shared = list(holes), []
    for loss in sorted(losses, key=lambda one: (_is_vague(one), one.last)):
        if not loss.last and not _is_vague(loss):
            shared.append((loss, 0))  # had no numbers
            continue
        span = (loss.first, loss.last) if loss.last else (1, left[-1][1] if left else 0)
        here = within(left, span)
        count = size(here) if _is_vague(loss) else min(size(here), loss.events + loss.thumbnails)
        left = outside(left, _the_first(here, count))
        shared.append((loss, count))
    return shared


def _the_first(runs: Iterable[Run], count: int) -> list[Run]:
    found = []
    for first, last in runs:
        if count <= 0:
            break
        found.append((first, min(last, first + count - 1)))
        count -= last - first + 1
    return found


def _is_vague(loss: Loss) -> bool:
    """A broken file does not know what it held, only up to which number."""
    return loss.reason == GapReason.OUTBOX_DAMAGED


def grouped(holes: Sequence[Run]) -> list[tuple[Run, int]]:
    """Join holes that lie close together; return each stretch and how many numbers it misses."""
    groups: list[tuple[Run, int]] = []
    for first, last in holes:
        if groups and first - groups[-1][0][1] <= CLOSE:
            (begins, _), count = groups.pop()
            groups.append(((begins, last), count + last - first + 1))
        else:
            groups.append(((first, last), last - first + 1))
    if (older := len(groups) - MOST_HOLES + 1) > 1:
        oldest, groups = groups[:older], groups[older:]
        groups.insert(0, ((oldest[0][0][0], oldest[-1][0][1]), sum(count for _, count in oldest)))
    return groups


class Gaps:
    """Reads what is missing, over a connection of the caller's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, sites: Iterable[str] = ()) -> list[Hole]:
        """Return the holes of these sites, or of all, the newest first."""
        wanted = set(sites)
        came, losses, below = self._came(wanted), self._losses(wanted), self._below(wanted)
        found: list[Hole] = []
        for box in {*came, *losses}:
            lost_to = max((loss.last for loss in losses.get(box, ()) if _is_vague(loss)), default=0)
            runs = missing(came.get(box, ()), self._bound(box, below, came, lost_to))
            found += self._told(box, runs, losses.get(box, ()))
            found += self._found(box, runs, losses.get(box, ()))
        return sorted(found, key=lambda hole: (hole.until, hole.since), reverse=True)

    def _told(self, box: tuple[str, str], runs: list[Run], losses: Sequence[Loss]) -> Iterable[Hole]:
        for loss, lacking in attributed(runs, losses):
            if not lacking and (loss.last or not loss.events + loss.thumbnails):
                continue  # all of it came after all
            yield Hole(
                *box, loss.reason, loss.events, loss.thumbnails, lacking,
                moment(loss.since_us), moment(loss.until_us),
            )  # fmt: skip

    def _found(self, box: tuple[str, str], runs: list[Run], losses: Sequence[Loss]) -> Iterable[Hole]:
        uncovered, excess = unexplained(runs, losses)
        for (first, last), count in (*grouped(uncovered), *excess):
            since_us = self._made(box, "sequence < ?", first, "DESC")
            until_us = self._made(box, "sequence > ?", last, "ASC")
            times = [us for us in (since_us, until_us) if us is not None]
            if times:
                yield Hole(*box, UNEXPLAINED, 0, 0, count, moment(min(times)), moment(max(times)))

    def _made(self, box: tuple[str, str], where: str, number: int, order: str) -> int | None:
        """When was the nearest event on this side of a hole made?"""
        row = self._connection.execute(
            f"SELECT made_us FROM messages WHERE site = ? AND instance = ? AND {where}"  # noqa: S608 -- our own words only
            f" AND made_us NOTNULL ORDER BY sequence {order} LIMIT 1",
            (*box, number),
        ).fetchone()
        return row[0] if row else None

    def _came(self, sites: set[str]) -> dict[tuple[str, str], list[Run]]:
        rows = self._rows("numbers", "site, instance, first, last", sites, f"AND state = '{CAME}' ")
        return {
            box: [(first, last) for *_, first, last in runs]
            for box, runs in itertools.groupby(rows, key=lambda row: (row[0], row[1]))
        }

    def _losses(self, sites: set[str]) -> dict[tuple[str, str], list[Loss]]:
        columns = "site, instance, reason, first, last, events, thumbnails, since_us, until_us"
        found: dict[tuple[str, str], list[Loss]] = {}
        for site, instance, *facts in self._rows("losses", columns, sites):
            found.setdefault((site, instance), []).append(Loss(*facts))
        return found

    def _below(self, sites: set[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """Return by site and outbox how far it said it has got, and when it last spoke."""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for site, instance, waiting, heard_us in self._rows(
            "outboxes", "site, instance, waiting, heard_us", sites
        ):
            found.setdefault(site, {})[instance] = waiting, heard_us
        return found

    @staticmethod
    def _bound(
        box: tuple[str, str],
        below: dict[str, dict[str, tuple[int, int]]],
        came: dict[tuple[str, str], list[Run]],
        lost_to: int,
    ) -> int:
        """Return the number below which nothing is on its way: of an outbox that is gone, nothing is."""
        outboxes = below.get(box[0], {})
        gone = max(came[box][-1][1] + 1 if box in came else 0, lost_to + 1)
        if box[1] not in outboxes:
            return gone if lost_to else 0
        waiting, heard_us = outboxes[box[1]]
        is_newest = heard_us == max(heard for _, heard in outboxes.values())
        return waiting if is_newest else max(waiting, gone)

    def _rows(self, table: str, columns: str, sites: set[str], also: str = "") -> Iterable[tuple[Any, ...]]:
        marks = f"AND site IN ({', '.join('?' * len(sites))}) " if sites else ""
        order = "site, instance, first" if table != "outboxes" else "site, instance"
        return self._connection.execute(
            f"SELECT {columns} FROM {table} WHERE 1 {marks}{also}ORDER BY {order}",  # noqa: S608 -- our own words only
            tuple(sites),
        )


def _joined(spans: Iterable[Run]) -> list[Run]:
    joined: list[Run] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
