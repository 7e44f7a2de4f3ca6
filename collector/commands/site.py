"""Which houses belong to the station? Add one, give it a code, list them, shut one out."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import segno
import typer
from pydantic import ValidationError
from rich.table import Table

from collector.archive.folder import StationFolder
from collector.archive.register import Register, Site, SiteStatus
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.intake.admission import Admission
from collector.intake.authority import RequestRefusedError, request_key
from collector.intake.broker import write_access
from collector.intake.eviction import evict
from collector.intake.foundation import open_authority
from shared.clock import SystemClock
from shared.enrolment import (
    MAX_REQUEST_BYTES,
    Bundle,
    Code,
    Petition,
    SignedBundle,
    same_code,
    short_code,
)
from shared.errors import FileUnreadable, NeedsFixing
from shared.identity import site_name
from shared.localtime import shown
from shared.signing import canonical
from shared.terminal import out, say
from shared.texts import both, text

app = typer.Typer(help=both("help.collector.site"), no_args_is_help=True)
_MAX_PETITION_BYTES = 2 * MAX_REQUEST_BYTES  # a stick may hold anything under that name
_SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))]


class SiteNameInvalid(NeedsFixing):
    key = "site-name-invalid"


class PetitionNotOne(NeedsFixing):
    key = "petition-not-one"


class PetitionCodeWrong(NeedsFixing):
    """Another file than the one the box wrote, or a slip of the finger."""

    key = "petition-code-wrong"


class StickUnwritable(NeedsFixing):
    key = "stick-unwritable"


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


@app.command(help=both("help.collector.site-reenrol"))
def reenrol(
    name: _SiteArgument,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder = StationFolder.existing(station)
    register = Register(folder.open_station())
    has_box = register.has_certificate(name)
    code, expires = register.new_code(name, SystemClock().now())
    if has_box and not json:
        say("station.reenrol", site=name)
    _show_code(folder, name, code, expires, json=json)


@app.command(help=both("help.collector.site-sign"))
def sign(
    name: _SiteArgument,
    request: Annotated[Path, typer.Argument(metavar="FILE", help=both("help.collector.site-sign-file"))],
    out_file: Annotated[Path | None, typer.Option("--out", help=both("help.collector.site-sign-out"))] = None,
    station: StationOption = DEFAULT_STATION,
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    register = Register(folder.open_station())
    register.has_certificate(name)  # the site must be there, before anybody types a code
    petition = _petition(request)
    if not same_code(_typed("station.ask-petition-code"), short_code(petition)):
        raise PetitionCodeWrong(path=request)
    signed = _signed(folder, register, name, petition, now)
    target = out_file or request.with_name(f"anninh-{name}.bundle")
    try:
        target.write_text(signed.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise StickUnwritable(path=target, reason=error.strerror) from error
    say("station.bundle", site=name, path=target, code=short_code(signed.bundle))


@app.command(help=both("help.collector.site-denied"))
def denied(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    found = Register(StationFolder.existing(station).open_station()).denials()
    if json:
        out.print_json(data=[asdict(one) | {"last_at": one.last_at.isoformat()} for one in found])
        return
    if not found:
        say("station.denied-none")
        return
    table = Table()
    for column in ("reason", "count", "last", "address", "named"):
        table.add_column(text(f"station.column.{column}"))
    for one in found:
        reason = text(f"station.denied.{one.reason}")
        table.add_row(reason, str(one.count), shown(one.last_at), one.last_address, one.last_named)
    out.print(table)


@app.command(help=both("help.collector.site-revoke"))
def revoke(name: _SiteArgument, station: StationOption = DEFAULT_STATION) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    register = Register(folder.open_station())
    register.revoke(name, now)
    write_access(folder, register, open_authority(folder), now)
    say("station.revoked", site=name)


def _petition(path: Path) -> Petition:
    try:
        with path.open("rb") as file:
            petition = Petition.model_validate_json(file.read(_MAX_PETITION_BYTES))
        request_key(petition.request_pem)
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error
    except (ValidationError, RequestRefusedError) as error:
        raise PetitionNotOne(path=path) from error
    return petition


def _typed(key: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(text(key)))
    return sys.stdin.readline()


def _signed(
    folder: StationFolder, register: Register, site: str, petition: Petition, now: datetime
) -> SignedBundle:
    """Certify the petition; what was in force before ends, and its box's connection with it."""
    settings = folder.settings()
    authority = open_authority(folder)
    pem = Admission(register, authority, settings.broker_port).petition(petition, site, now)
    write_access(folder, register, authority, now)
    evict(folder, settings, authority, site, now)
    bundle = Bundle(
        site=site,
        host=settings.host,
        enrolment_port=settings.enrolment_port,
        broker_port=settings.broker_port,
        certificate_pem=pem,
        ca_pem=authority.pem,
        now=now,
    )
    return SignedBundle(bundle=bundle, signature=authority.sign(canonical(bundle)))


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
