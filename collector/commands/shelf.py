"""`collector shelf`: which versions do the boxes get from here, and who is told to take one?"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
import uuid6

from collector.archive import fleet
from collector.archive.asking import check_site
from collector.archive.folder import StationFolder
from collector.archive.orders import Orders
from collector.archive.register import Register
from collector.archive.rollout import Box, Tally, refusal, tally
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.intake.shelf import KEYS, Shelf, Shelved, UpdateNotShelved
from shared.clock import SystemClock
from shared.commands import Command, Update
from shared.errors import TryLater
from shared.terminal import out, say
from shared.texts import both, text

app = typer.Typer(help=both("help.collector.shelf"), no_args_is_help=True)

_VALID = timedelta(days=3)  # a house without power for a weekend still gets it
_VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help=both("help.collector.shelf-version"))
]


class WaveHalted(TryLater):
    """Too many of those told before did not come back, or still have time."""

    key = "wave-halted"


@app.command(help=both("help.collector.shelf-add"))
def add(
    package: Annotated[Path, typer.Argument(help=both("help.collector.shelf-package"))],
    key: Annotated[Path | None, typer.Option(help=both("help.collector.shelf-key"))] = None,
    station: StationOption = DEFAULT_STATION,
) -> None:
    shelf = Shelf(StationFolder.existing(station).shelf)
    say("shelf.added", **_facts(shelf.add(package, (key,) if key else KEYS)))


@app.command("list", help=both("help.collector.shelf-list"))
def list_versions(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    found = Shelf(StationFolder.existing(station).shelf).all()
    if json:
        out.print_json(data=[_facts(one) | {"sha256": one.manifest.sha256} for one in found])
        return
    for one in found:
        say("shelf.added", **_facts(one))
    if not found:
        say("shelf.empty")


@app.command(help=both("help.collector.shelf-remove"))
def remove(version: _VersionArgument, station: StationOption = DEFAULT_STATION) -> None:
    say(
        "shelf.removed",
        version=version,
        count=Shelf(StationFolder.existing(station).shelf).remove(version),
    )


@app.command(help=both("help.collector.shelf-send"))
def send(
    version: _VersionArgument,
    sites: Annotated[
        list[str] | None, typer.Argument(metavar="[SITE]...", help=both("help.collector.shelf-sites"))
    ] = None,
    station: StationOption = DEFAULT_STATION,
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    packages = _packages(Shelf(folder.shelf), version)
    database = folder.open_station()
    register, orders = Register(database), Orders(database)
    for site in sites or ():
        check_site(register, site)
    boxes = _boxes(folder)
    told = {order.command.site: order.command.made_at for order in orders.updates(version)}
    if not sites and (why := (counted := tally(version, told, boxes.values(), now)).why_not_wider()):
        raise _halted(version, why, counted)
    manifests = {architecture: one.manifest for architecture, one in packages.items()}
    given = []
    for site in sites or sorted(register.enrolled_sites()):
        why_not = refusal(site, boxes.get(site), manifests, told.get(site), now)
        if why_not is None:
            orders.give(_order(site, packages[boxes[site].architecture], now), getpass.getuser())
            given.append(site)
        elif sites:
            architecture = boxes[site].architecture if site in boxes else ""
            say(
                "shelf.not-sent", site=site, why=text(f"shelf.why.{why_not}", None, architecture=architecture)
            )
    database.close()
    say("shelf.sent", version=version, count=len(given), sites=", ".join(given) or "–")


def _packages(shelf: Shelf, version: str) -> Mapping[str, Shelved]:
    """Return the agent's packages of a version, by architecture. Raises UpdateNotShelved."""
    found = {
        one.manifest.architecture: one
        for one in shelf.all()
        if one.manifest.version == version and one.manifest.package == "anninh-agent"
    }
    if not found:
        raise UpdateNotShelved(version=version)
    return found


def _boxes(folder: StationFolder) -> dict[str, Box]:
    """Return what each box that was ever heard last said of itself."""
    return {
        one.site: Box(one.site, one.heartbeat.agent_version, one.heartbeat.architecture, one.heartbeat.causes)
        for one in fleet.agents(folder)
        if one.heartbeat
    }


def _order(site: str, shelved: Shelved, now: datetime) -> Command:
    said = shelved.manifest
    errand = Update(version=said.version, sha256=said.sha256, size_bytes=said.size)
    return Command(id=uuid6.uuid7(), site=site, made_at=now, not_after=now + _VALID, errand=errand)


def _halted(version: str, why: str, counted: Tally) -> WaveHalted:
    return WaveHalted(
        version=version,
        why=why,
        told=counted.told,
        proven=counted.proven,
        failed=counted.failed,
        waiting=counted.waiting,
    )


def _facts(shelved: Shelved) -> dict[str, object]:
    said = shelved.manifest
    return {
        "package": said.package,
        "version": said.version,
        "architecture": said.architecture,
        "size_mb": round(said.size / 1e6, 1),
        "wave": said.wave_percent,
    }
