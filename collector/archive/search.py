"""Which events were there? Pages of them, newest first, over indexes only; one with all its facts.

A question with several kinds or cameras is asked once per combination, each answered in order by an
index and read only as far as the page needs, so the work is bounded by the page whatever is mixed. One
`IN (…)` is as fast for what is common, but sorts or walks past everything else for what is not.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from collector.archive.folder import StationFolder
from collector.archive.gaps import Gaps, Hole
from collector.archive.media import PictureUnreadableError, ThumbnailPacks
from collector.archive.reading import reading
from shared.clock import microseconds, moment
from shared.messages import ClockQuality, Colour, DetectionEvent, Kind, Phase
from shared.topics import Channel

MAX_PAGE = 200  # cards; more is not looked at, and not paid for
COUNTED = 1000  # matches; beyond, "more than 1,000" says as much to a person
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "events.event_id, site, camera, kind, phase, revision, confidence, started_us, seen_us,"
    " events.received_us, camera_offset_s, clock_quality, clock_suspect,"
    " colour, thumbnail, pack, position, size,"
    " started_by_us, seen_by_us"
)
_FROM = (  # a picture belongs to an event only when its hash is the one the event announced
    "events LEFT JOIN thumbnails ON thumbnails.event_id = events.event_id AND sha256 = thumbnail"
)
_BETWEEN = "started_us >= ? AND started_us <= ? AND (started_us < ? OR events.event_id > ?)"
_BEFORE_ALL = UUID(int=0)

Place = tuple[str, str]
"""Site and camera: a camera's name says nothing without its site's."""
_Branch = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event of a page: the next one begins behind it, whatever has come in since."""

    started_us: int
    event_id: UUID

    @classmethod
    def parse(cls, written: str) -> Cursor:
        """Read what `written` wrote. Raises ValueError."""
        us, _, event_id = written.partition("-")
        return cls(int(us), UUID(hex=event_id))

    def written(self) -> str:
        return f"{self.started_us}-{self.event_id.hex}"


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for; empty means any. `cameras` holds names, or site/name for the one of a site."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: tuple[Kind, ...] = ()
    sites: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    before: Cursor | None = None
    limit: int = 50
    colours: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            message = f"a page holds 1 to {MAX_PAGE} events"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class ThumbnailRef:
    """Where a picture lies whose SHA-256 is the one its event announced."""

    sha256: str
    pack: str
    position: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event at its newest revision: `announced` is its picture's hash, `thumbnail` there once it came."""

    event_id: UUID
    site: str
    camera: str
    kind: Kind
    phase: Phase
    revision: int
    confidence: float
    started_at: datetime
    seen_at: datetime
    received_at: datetime
    camera_offset_s: float | None
    clock_quality: ClockQuality
    clock_suspect: bool
    announced: str | None
    thumbnail: ThumbnailRef | None
    colour: Colour | None = None  # None: not told
    started_by: timedelta | None = None  # what was added to the time the agent said; None: nothing
    seen_by: timedelta | None = None

    @property
    def said_started_at(self) -> datetime:
        return self.started_at - (self.started_by or timedelta())

    @property
    def said_seen_at(self) -> datetime:
        return self.seen_at - (self.seen_by or timedelta())

    @property
    def cursor(self) -> Cursor:
        return Cursor(microseconds(self.started_at), self.event_id)


@dataclass(frozen=True, slots=True)
class Page:
    events: list[StoredEvent]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Revision:
    """One message of an event as it was kept; `made_at` is its `seen_at`, corrected where it can be."""

    received_at: datetime
    message: DetectionEvent
    made_at: datetime
    is_signed: bool


class Search:
    """Asks the archive over one read-only connection, as of the moment it was opened."""

    def __init__(self, connection: sqlite3.Connection, packs: ThumbnailPacks) -> None:
        self._connection = connection
        self._packs = packs

    @classmethod
    @contextmanager
    def of(cls, folder: StationFolder) -> Iterator[Search]:
        with reading(folder.archive_database) as connection:
            yield cls(connection, ThumbnailPacks(folder.thumbnails))

    def page(self, question: Question) -> Page:
        rows = heapq.merge(
            *(self._rows(*branch, question) for branch in self._branches(question)),
            key=lambda row: (-row[7], row[0]),  # started_us, event_id: the order of every index
        )
        events = [_stored_event(row) for row in itertools.islice(rows, question.limit + 1)]
        if len(events) <= question.limit:
            return Page(events, None)
        return Page(events[: question.limit], events[question.limit - 1].cursor)

    def count(self, question: Question, most: int = COUNTED) -> int:
        """Count matches on all pages, but not beyond `most` + 1."""
        total = 0
        for where, values in self._branches(question):
            sql = (
                f"SELECT count(*) FROM (SELECT 1 FROM events WHERE {where}"  # noqa: S608 -- our own words only
                " started_us >= ? AND started_us <= ? LIMIT ?)"
            )
            since, until = _bounds(question)
            total += self._connection.execute(sql, (*values, since, until, most + 1 - total)).fetchone()[0]
            if total > most:
                break
        return total

    def event(self, event_id: UUID) -> StoredEvent | None:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE events.event_id = ?",  # noqa: S608 -- our own words only
            (event_id.bytes,),
        ).fetchone()
        return _stored_event(row) if row else None

    def revisions(self, event_id: UUID) -> list[Revision]:
        """Return everything that was said of an event, in the order it was meant."""
        rows = self._connection.execute(
            "SELECT received_us, body, made_us, signature NOTNULL FROM messages"
            " WHERE event_id = ? AND channel = ?",
            (event_id.bytes, Channel.EVENT),
        )
        revisions = [
            _revision(moment(us), DetectionEvent.model_validate_json(body), made_us, is_signed=bool(signed))
            for us, body, made_us, signed in rows
        ]
        return sorted(revisions, key=lambda revision: revision.message.revision)

    def thumbnail(self, event_id: UUID) -> ThumbnailRef | None:
        found = self.event(event_id)
        return found.thumbnail if found else None

    def crop(self, event_id: UUID) -> ThumbnailRef | None:
        """Return the newest tight crop that was announced and has come."""
        for revision in reversed(self.revisions(event_id)):
            if revision.message.crop:
                row = self._connection.execute(
                    "SELECT sha256, pack, position, size FROM thumbnails WHERE event_id = ? AND sha256 = ?",
                    (event_id.bytes, revision.message.crop.sha256),
                ).fetchone()
                if row:
                    return ThumbnailRef(*row)
        return None

    def picture(self, ref: ThumbnailRef) -> bytes:
        """Return a picture exactly as kept. Raises PictureUnreadableError when it is not that any more."""
        jpeg = self._packs.read(ref.pack, ref.position, ref.size)
        if hashlib.sha256(jpeg).hexdigest() != ref.sha256:
            raise PictureUnreadableError(f"{ref.pack} at {ref.position} is not {ref.sha256}")
        return jpeg

    def holes(self, question: Question) -> list[Hole]:
        """Return what is known to be missing at the sites and in the time asked for, the newest first."""
        sites = {*question.sites, *(site for site, _, name in map(_halves, question.cameras) if name)}
        if any("/" not in camera for camera in question.cameras):
            sites = {*question.sites}
        since, until = question.since or _EARLIEST, question.until or _LATEST
        holes = Gaps(self._connection).of(sites)
        return [hole for hole in holes if hole.until >= since and hole.since <= until]

    def places(self, sites: Iterable[str] = ()) -> list[Place]:
        """Return every site and camera that has events; one step through the index for each.

        Site by site: for a row value, `(site, camera) > (?, ?)`, SQLite reads every event in between.
        """
        sites = sites or self._steps("SELECT site FROM events WHERE site > ? ORDER BY site LIMIT 1", ())
        next_camera = "SELECT camera FROM events WHERE site = ? AND camera > ? ORDER BY camera LIMIT 1"
        return [(site, camera) for site in sites for camera in self._steps(next_camera, (site,))]

    def _steps(self, sql: str, fixed: tuple[str, ...]) -> Iterator[str]:
        last = ""
        while row := self._connection.execute(sql, (*fixed, last)).fetchone():
            last = row[0]
            yield last

    def _branches(self, question: Question) -> list[_Branch]:
        """Return one condition per combination, each the beginning of an index, colours aside.

        A colour alone has an index of its own; within a kind or camera it is looked for along theirs.
        """
        branches = self._places_and_kinds(question)
        if not question.colours:
            return branches
        return [
            (f"{where} colour = ? AND", (*values, colour))
            for (where, values), colour in itertools.product(branches, question.colours)
        ]

    def _places_and_kinds(self, question: Question) -> list[_Branch]:
        kinds = question.kinds if len(set(question.kinds)) < len(Kind) else ()
        if question.sites or question.cameras:
            places = self._wanted(question)
            if not kinds:
                return [("site = ? AND camera = ? AND", place) for place in places]
            combinations = itertools.product(places, kinds)
            return [
                ("site = ? AND camera = ? AND kind = ? AND", (*place, kind)) for place, kind in combinations
            ]
        return [("kind = ? AND", (kind,)) for kind in kinds] or [("", ())]

    def _wanted(self, question: Question) -> list[Place]:
        """Return the cameras asked for. One of a named site is taken at its word and costs no step."""
        named = {
            (site, camera) for site, _, camera in (one.partition("/") for one in question.cameras) if camera
        }
        names = {one for one in question.cameras if "/" not in one}
        if question.cameras and not names:
            return sorted(place for place in named if not question.sites or place[0] in question.sites)
        return [
            place
            for place in self.places(dict.fromkeys(question.sites))
            if not question.cameras or place[1] in names or place in named
        ]

    def _rows(self, where: str, values: tuple[str, ...], question: Question) -> Iterator[tuple[Any, ...]]:
        since, until = _bounds(question)
        after = question.before or Cursor(until + 1, _BEFORE_ALL)
        sql = (
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE {where} {_BETWEEN}"  # noqa: S608 -- our own words only
            " ORDER BY started_us DESC, events.event_id LIMIT ?"
        )
        latest = min(until, after.started_us)
        bounds = (since, latest, after.started_us, after.event_id.bytes)
        return iter(self._connection.execute(sql, (*values, *bounds, question.limit + 1)))


def _halves(camera: str) -> tuple[str, str, str]:
    return camera.partition("/")


def _revision(
    received_at: datetime, message: DetectionEvent, made_us: int | None, *, is_signed: bool
) -> Revision:
    made_at = message.seen_at if made_us is None else moment(made_us)  # None: kept before times were
    return Revision(received_at, message, made_at, is_signed)


def _by(us: int | None) -> timedelta | None:
    return None if us is None else timedelta(microseconds=us)


def _bounds(question: Question) -> tuple[int, int]:
    return microseconds(question.since or _EARLIEST), microseconds(question.until or _LATEST)


def _stored_event(row: tuple[Any, ...]) -> StoredEvent:
    event_id, site, camera, kind, phase, revision, confidence, started, seen, received = row[:10]
    offset_s, quality, suspect, colour, announced, pack, position, size, started_by, seen_by = row[10:]
    return StoredEvent(
        event_id=UUID(bytes=event_id),
        site=site,
        camera=camera,
        kind=Kind(kind),
        phase=Phase(phase),
        revision=revision,
        colour=Colour(colour) if colour else None,
        confidence=confidence,
        started_at=moment(started),
        seen_at=moment(seen),
        received_at=moment(received),
        camera_offset_s=offset_s,
        clock_quality=ClockQuality(quality),
        clock_suspect=bool(suspect) and started_by is None,  # corrected, it is no suspicion any more
        announced=announced,
        thumbnail=ThumbnailRef(announced, pack, position, size) if pack is not None else None,
        started_by=_by(started_by),
        seen_by=_by(seen_by),
    )
