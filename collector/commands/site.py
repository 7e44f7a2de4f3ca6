"""Which houses belong to the station? Add one, give it a code, list them, shut one out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import segno
import typer
from rich.table import Table

from collector.archive.folder import StationFolder
from collector.archive.register import Register, Site, SiteStatus
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.intake.authority import Authority
from collector.intake.broker import write_access
from shared.clock import SystemClock
from shared.enrolment import Code
from shared.errors import NeedsFixing
from shared.identity import site_name
from shared.localtime import shown
from shared.terminal import out, say
from shared.texts import both, text

app = typer.Typer(help=both("help.collector.site"), no_args_is_help=True)
_SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))]


class SiteNameInvalid(NeedsFixing):
    key = "site-name-invalid"


@app.command(help=both("help.collector.site-add"))
def add(
    name: _SiteArgument,
    title: Annotated[str, typer.Option(help=both("help.collector.site-title"))] = "",
    hamlet: Annotated[str, typer.Option(help=both("help.collector.site-hamlet"))] = "",
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    try:
        site = Site(site_name(name), title or name, hamlet, SiteStatus.WAITING, now, None)
    except ValueError as error:
        raise SiteNameInvalid(site=name) from error
    register = Register(folder.open_station())
    register.add_site(site)
    _show_code(folder, name, *register.new_code(name, now), json=json)


@app.command(help=both("help.collector.site-code"))
def code(
    name: _SiteArgument,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder = StationFolder.existing(station)
    register = Register(folder.open_station())
    _show_code(folder, name, *register.new_code(name, SystemClock().now()), json=json)


@app.command("list", help=both("help.collector.site-list"))
def list_sites(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    sites = Register(StationFolder.existing(station).open_station()).sites()
    if json:
        out.print_json(data=[_as_json(site) for site in sites])
        return
    table = Table()
    for column in ("site", "title", "hamlet", "status", "tested"):
        table.add_column(text(f"station.column.{column}"))
    for site in sites:
        tested = shown(site.tested) if site.tested else ""
        table.add_row(site.site, site.title, site.hamlet, text(f"station.status.{site.status}"), tested)
    out.print(table)


@app.command(help=both("help.collector.site-revoke"))
def revoke(name: _SiteArgument, station: StationOption = DEFAULT_STATION) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    register = Register(folder.open_station())
    register.revoke(name, now)
    write_access(folder, register, Authority.load(folder.ca_certificate, folder.ca_key), now)
    say("station.revoked", site=name)


def _show_code(folder: StationFolder, site: str, code: Code, expires: datetime, *, json: bool) -> None:
    settings = folder.settings()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"https://{host}:{settings.enrolment_port}"
    if json:
        facts = {"site": site, "code": code.written(), "expires": expires.isoformat(), "url": url}
        out.print_json(data=facts)
        return
    say("station.code", site=site, code=code.written(), expires=shown(expires), url=url)
    if out.is_terminal:
        segno.make(f"ANE1:{url}#{code.written()}", error="m").terminal(compact=True)


def _as_json(site: Site) -> dict[str, Any]:
    return {
        "site": site.site,
        "title": site.title,
        "hamlet": site.hamlet,
        "status": site.status,
        "created": site.created.isoformat(),
        "tested": site.tested.isoformat() if site.tested else None,
    }
