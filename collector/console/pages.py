"""What do officers see? The newest events, one event with all its facts, the boxes."""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from collector.archive.fleet import AgentReport, titles
from collector.archive.flips import State
from collector.archive.gaps import Hole
from collector.archive.media import PictureUnreadableError
from collector.archive.search import (
    COUNTED,
    Page,
    Place,
    Question,
    Revision,
    Search,
    StoredEvent,
    ThumbnailRef,
)
from collector.archive.standing import standings, whole
from collector.console.filters import Filter, quick_ranges
from collector.console.view import Console
from shared.errors import NeedsFixing
from shared.localtime import VIETNAM
from shared.messages import CameraState, Colour, Kind, Thumbnail

log = logging.getLogger(__name__)

SILENT_AFTER = timedelta(minutes=5)  # ten heartbeats: until liveness is judged, the least that is no lie
_KEPT = "private, max-age=43200, immutable"  # a shift; the address names the hash, so it never goes stale
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Hour:
    """Events of one clock hour, as a section of the page."""

    begins: datetime
    events: list[StoredEvent]
    holes: list[Hole]

    @property
    def ends(self) -> datetime:
        return self.begins + timedelta(hours=1)


def events(console: Console, request: Request) -> Response:
    chosen = Filter.read(request.query_params)
    facts: dict[str, Any] = {
        "filter": chosen,
        "kinds": list(Kind),
        "colours": list(Colour),
        "quick": quick_ranges(chosen, console.clock.now()),
        "titles": titles(console.folder),
        "first": replace(chosen, before="").query(),
        "most": COUNTED,
    }
    with Search.of(console.folder) as search:
        places = search.places()
        try:
            question = chosen.question()
        except NeedsFixing as error:
            return console.show(
                request, "events", 400, places=places, hours=[], next=None, count=0,
                error=error, **facts,
            )  # fmt: skip
        page = search.page(question)
        count = search.count(question)
        holes = _on_page(search.holes(question), question, page)
    return console.show(
        request,
        "events",
        places=_offered(places, chosen.site),
        hours=_by_hour(page.events, holes),
        next=chosen.then(page.next) if page.next else None,
        count=count,
        error=None,
        **facts,
    )


def event(console: Console, request: Request) -> Response:
    event_id: UUID = request.path_params["event_id"]
    with Search.of(console.folder) as search:
        found = search.event(event_id)
        if found is None:
            raise HTTPException(_NOT_FOUND)
        revisions = search.revisions(event_id)
        tight = search.crop(event_id)
    title, hamlet = titles(console.folder).get(found.site, ("", ""))
    return console.show(
        request,
        "event",
        event=found,
        revisions=revisions,
        camera_started=_by_camera(found),
        newest=revisions[-1].message if revisions else None,
        picture=_announced(found, revisions),
        crop=tight,
        title=title,
        hamlet=hamlet,
        back=Filter.read(request.query_params).query(),
    )


def _announced(event: StoredEvent, revisions: list[Revision]) -> Thumbnail | None:
    """What the agent said of the very picture that is shown."""
    said = (revision.message.thumbnail for revision in revisions)
    return next((picture for picture in said if picture and picture.sha256 == event.announced), None)


def thumbnail(console: Console, request: Request) -> Response:
    return _sent(console, request, Search.thumbnail)


def crop(console: Console, request: Request) -> Response:
    return _sent(console, request, Search.crop)


def _sent(
    console: Console, request: Request, which: Callable[[Search, UUID], ThumbnailRef | None]
) -> Response:
    """Send a picture exactly as kept, with its hash for whoever wants to check."""
    event_id: UUID = request.path_params["event_id"]
    with Search.of(console.folder) as search:
        ref = which(search, event_id)
        if ref is None:
            raise HTTPException(_NOT_FOUND)
        try:
            jpeg = search.picture(ref)
        except PictureUnreadableError as error:
            log.warning("picture unreadable", extra={"event_id": event_id, "reason": error})
            raise HTTPException(_NOT_FOUND) from error
    digest = base64.b64encode(bytes.fromhex(ref.sha256)).decode()
    is_named = request.query_params.get("sha256") == ref.sha256
    headers = {
        "Cache-Control": _KEPT if is_named else "private, no-cache",
        "ETag": f'"{ref.sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def fleet(console: Console, request: Request) -> Response:
    now = console.clock.now()
    judged = standings(console.folder, now)
    reports = [(one.report, condition(one.report, now, one.state)) for one in judged]
    in_force = [state for report, state in reports if report.status and state != "revoked"]
    beats = [report.heartbeat for report, _ in reports if report.heartbeat]
    return console.show(
        request,
        "agents",
        reports=reports,
        well=in_force.count("ok"),
        sites=len(in_force),
        cameras_ok=sum(report.cameras_ok for report, _ in reports),
        cameras=sum(len(beat.cameras) for beat in beats),
        waiting=sum(beat.outbox_waiting for beat in beats),
        refused=sum(refusal.count for report, _ in reports for refusal in report.refusals),
        CameraState=CameraState,
        standing={one.report.site: one for one in judged},
        whole=whole(console.folder, now),
    )


def condition(report: AgentReport, now: datetime, state: str = "") -> str:
    """Return one word for how a box is; `state` as judged, where it was."""
    if report.status == "revoked":
        return "revoked"
    if report.heard_at is None or report.heartbeat is None:
        return "never"
    if state in (State.SILENT, State.DEAD, State.UNSTABLE):
        return state
    if not state and (report.online is False or now - report.heard_at > SILENT_AFTER):
        return "silent"
    if report.cameras_at_fault:
        return "camera"
    return "ok"


def _by_camera(found: StoredEvent) -> datetime | None:
    """Return what the camera's own clock showed when the event began, as far as its offset was measured."""
    if found.camera_offset_s is None:
        return None
    try:
        return found.started_at + timedelta(seconds=found.camera_offset_s)
    except OverflowError:
        return None


def _on_page(holes: list[Hole], question: Question, page: Page) -> list[tuple[datetime, Hole]]:
    """Return each hole of this page with the moment it stands at, where what is missing ends."""
    latest = page.events[0].started_at if question.before and page.events else None
    earliest = page.events[-1].started_at if page.next else None
    standing = [(min(hole.until, question.until) if question.until else hole.until, hole) for hole in holes]
    return [
        (at, hole)
        for at, hole in standing
        if (latest is None or at <= latest) and (earliest is None or at > earliest)
    ]


def _by_hour(found: list[StoredEvent], holes: list[tuple[datetime, Hole]]) -> list[Hour]:
    hours = {
        begins: Hour(begins, list(within), [])
        for begins, within in itertools.groupby(found, key=lambda event: _hour(event.started_at))
    }
    for at, hole in holes:
        begins = _hour(at)
        hours.setdefault(begins, Hour(begins, [], [])).holes.append(hole)
    return [hours[begins] for begins in sorted(hours, reverse=True)]


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(VIETNAM).replace(minute=0, second=0, microsecond=0)


def _offered(places: list[Place], site: str) -> list[Place]:
    return [place for place in places if not site or place[0] == site]
