"""What does a box say of one object? Its start, perhaps with a picture; perhaps an update and an end too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from uuid6 import uuid7

from shared.messages import DetectionEvent, PathPoint, Phase
from tests.bench.fleet import pictures
from tests.station import a_picture, an_event, announced

BARE, PICTURED, WHOLE = 1, 2, 4  # messages
_LATER = ((Phase.UPDATE, 5.0), (Phase.END, 8.0))  # seconds after the start
_POINTS = {Phase.START: 2, Phase.UPDATE: 8, Phase.END: 16}

Said = tuple[DetectionEvent, bytes | None]
"""An event's message, and the picture that goes with it."""


def life(site: str, at: datetime, jpeg: bytes | None, *, is_whole: bool) -> Iterator[Said]:
    """Somebody is confirmed at that moment, and later gone."""
    seen = {"started_at": at - timedelta(seconds=1), "seen_at": at}
    start = an_event(site, thumbnail=announced(jpeg, 640, 480) if jpeg else None, **seen)
    yield start, jpeg
    if not is_whole:
        return
    for revision, (phase, after_s) in enumerate(_LATER, start=1):
        seen_at = at + timedelta(seconds=after_s)
        changed = {"id": uuid7(), "seen_at": seen_at, "path": path(_POINTS[phase]), "revision": revision}
        yield start.model_copy(update=changed | {"phase": phase, "thumbnail": None}), None


def lives(site: str, events: int, messages: int) -> Iterator[Said]:
    """So many objects, each of so many messages: BARE, PICTURED or WHOLE."""
    some = pictures.some() if messages > BARE else []
    for number in range(events):
        jpeg = a_picture(number, some[number % len(some)]) if some else None
        yield from life(site, datetime.now(UTC), jpeg, is_whole=messages == WHOLE)


def path(points: int) -> tuple[PathPoint, ...]:
    return tuple(
        PathPoint(t=0.25 * n, x=round(0.1 + 0.0371 * n, 4), y=round(0.9 - 0.0213 * n, 4))
        for n in range(points)
    )
