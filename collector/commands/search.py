"""Which events were there? The console's question, asked on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from collector.archive.fleet import titles
from collector.archive.folder import StationFolder
from collector.archive.gaps import Hole
from collector.archive.media import PictureUnreadableError
from collector.archive.period import period
from collector.archive.register import SiteUnknown
from collector.archive.search import MAX_PAGE, Page, Question, Search, StoredEvent
from collector.commands import DEFAULT_STATION, FolderUnwritable, JsonOption, StationOption
from collector.console.wording import gap, number
from shared.disk import write_atomically
from shared.localtime import shown
from shared.messages import Colour, Kind, Phase
from shared.terminal import err, out, say
from shared.texts import both, text

_TimeOption = Annotated[
    str, typer.Option(metavar="dd/MM/yyyy HH:mm", help=both("help.collector.search-time"))
]
_KINDS, _COLOURS = " ".join(Kind), " ".join(Colour)


def search(  # noqa: PLR0913, PLR0917 -- a command's options are its parameters
    since: _TimeOption = "",
    until: _TimeOption = "",
    kind: Annotated[
        list[Kind] | None, typer.Option(metavar=_KINDS, help=both("help.collector.search-kind"))
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option(metavar="SITE", help=both("help.collector.search-site"))
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="CAMERA", help=both("help.collector.search-camera"))
    ] = None,
    colour: Annotated[
        list[Colour] | None, typer.Option(metavar=_COLOURS, help=both("help.collector.search-colour"))
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_PAGE, help=both("help.collector.search-limit"))
    ] = 50,
    thumbnails: Annotated[
        Path | None, typer.Option(metavar="DIR", help=both("help.collector.search-thumbnails"))
    ] = None,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder = StationFolder.existing(station)
    begins, ends = period(since, until)
    known = titles(folder)
    for name in site or ():
        if name not in known:
            raise SiteUnknown(site=name)
    question = Question(begins, ends, tuple(kind or ()), tuple(site or ()), tuple(camera or ()), limit=limit)
    question = replace(question, colours=tuple(dict.fromkeys(colour or ())))
    with Search.of(folder) as archive:
        page = archive.page(question)
        holes = [hole for hole in archive.holes(question) if _is_on(page, hole)]
        if thumbnails is not None:
            _write_pictures(archive, page.events, thumbnails)
    if json:
        out.print_json(data=[_as_json(event) for event in page.events])
        return
    _show(page.events, holes, has_more=page.next is not None)


def _is_on(page: Page, hole: Hole) -> bool:
    return page.next is None or hole.until > page.events[-1].started_at


def _show(events: list[StoredEvent], holes: list[Hole], *, has_more: bool) -> None:
    for hole in holes:
        out.print(f"! {hole.site}: {gap(hole)}", markup=False, highlight=False)
    if not events:
        say("search.empty")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(text("search.column.time"), no_wrap=True)
    table.add_column(text("search.column.kind"), max_width=10)  # only the long word for a bus is folded
    table.add_column(text("search.column.confidence"), max_width=6)
    table.add_column(text("search.column.camera"), min_width=24, overflow="fold")
    table.add_column(text("search.column.remarks"))
    for event in events:
        table.add_row(
            shown(event.started_at),
            text(f"kind.{event.kind}"),
            f"{number(event.confidence * 100)} %",
            f"{event.site}/{event.camera}",  # as --camera takes it; names have no brackets to escape
            ", ".join(_remarks(event)),
        )
    out.print(table)
    say("search.unverified")
    if has_more:
        say("search.more", last=shown(events[-1].started_at))


def _remarks(event: StoredEvent) -> Iterator[str]:
    """Only what is out of the ordinary: 80 columns have no room for `ended` in every row."""
    if event.colour not in {None, Colour.UNKNOWN}:
        yield text(f"colour.{event.colour}")
    if event.phase is not Phase.END:
        yield text(f"phase.{event.phase}")
    if event.thumbnail is None:
        yield text("search.no-picture")
    if event.started_by is not None:
        yield text("console.time-corrected")


def _write_pictures(archive: Search, events: list[StoredEvent], into: Path) -> None:
    """Write each picture as kept, named by event and hash; one that is damaged is said and left out."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        for event in events:
            if event.thumbnail is None:
                continue
            try:
                jpeg = archive.picture(event.thumbnail)
            except PictureUnreadableError:
                err.print(text("search.picture-damaged", None, event=event.event_id), markup=False)
                continue
            write_atomically(into / f"{event.event_id}-{event.thumbnail.sha256}.jpg", jpeg)
    except OSError as error:
        raise FolderUnwritable(path=into, reason=error.strerror or error) from error


def _as_json(event: StoredEvent) -> dict[str, Any]:
    """Return an event for machines: times in UTC, the picture's hash once the picture is here."""
    return {
        "id": str(event.event_id),
        "started_at": event.started_at.isoformat(),
        "seen_at": event.seen_at.isoformat(),
        "received_at": event.received_at.isoformat(),
        "kind": event.kind,
        "colour": event.colour,
        "site": event.site,
        "camera": event.camera,
        "confidence": event.confidence,
        "phase": event.phase,
        "revision": event.revision,
        "camera_offset_s": event.camera_offset_s,
        "clock_quality": event.clock_quality,
        "said_started_at": event.said_started_at.isoformat(),
        "corrected_by_s": event.started_by.total_seconds() if event.started_by is not None else None,
        "clock_suspect": event.clock_suspect,
        "thumbnail": event.thumbnail.sha256 if event.thumbnail else None,
    }
