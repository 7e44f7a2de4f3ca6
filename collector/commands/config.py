"""What should a site's agent do otherwise? Shows what is wished and what is obeyed, or makes a new wish."""

from __future__ import annotations

import getpass
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.archive.asking import check_site
from collector.archive.configurations import PLAIN, Configurations, ConfigurationWrong, Desired, changed
from collector.archive.fleet import agents
from collector.archive.folder import StationFolder
from collector.archive.register import Register
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from shared.clock import SystemClock
from shared.errors import FileUnreadable
from shared.localtime import shown
from shared.messages import ConfigurationReport
from shared.terminal import out
from shared.texts import both


def config(
    sites: Annotated[list[str], typer.Argument(metavar="SITE…", help=both("help.collector.config-sites"))],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=both("help.collector.config-set"))
    ] = None,
    zones: Annotated[Path | None, typer.Option(help=both("help.collector.config-zones"))] = None,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    folder = StationFolder.existing(station)
    database = folder.open_station()
    register, kept = Register(database), Configurations(database)
    for site in sites:
        check_site(register, site)
    changes = assigned(assignments or ()) | ({"zones": _tables(zones)} if zones else {})
    if changes:
        now = SystemClock().now()
        wishes = [changed(kept.newest(site), site, changes) for site in sites]  # all of them, or none
        for wish in wishes:
            kept.keep(wish, getpass.getuser(), now)
    reports = {one.site: one.heartbeat.configuration for one in agents(folder) if one.heartbeat}
    found = [(site, kept.newest(site), reports.get(site)) for site in sites]
    if json:
        out.print_json(data=[as_json(*one) for one in found])
        return
    for one in found:
        for line in in_words(*one):
            out.print(line, markup=False)


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Return what `name=value` texts say; an empty value: as the box has it. Raises ConfigurationWrong."""
    changes: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or name not in PLAIN:
            raise ConfigurationWrong(where=text, reason=f"{' | '.join(PLAIN)} = …")
        changes[name] = value or None
    return changes


def in_words(site: str, desired: Desired | None, report: ConfigurationReport | None) -> list[str]:
    """Return what is wished and what became of it, a line each."""
    if desired is None:
        return [both("config.none", site=site)]
    wish = desired.wish
    said = {name: value for name in PLAIN if (value := getattr(wish, name)) is not None}
    if wish.zones:
        said["zones"] = ", ".join(wish.zones)
    state = both(f"config.{desired.compared(report)}")
    lines = [
        both("config.wished", site=site, revision=wish.revision, time=shown(desired.made), by=desired.by)
    ]
    lines += [f"  {name} = {value}" for name, value in said.items()]
    return [*lines, f"  → {state}", *(f"    {error}" for error in _errors(desired, report))]


def as_json(site: str, desired: Desired | None, report: ConfigurationReport | None) -> dict[str, Any]:
    return {
        "site": site,
        "desired": desired.wish.model_dump(mode="json", exclude_none=True) if desired else None,
        "sha256": desired.wish.digest() if desired else None,
        "made_at": desired.made.isoformat() if desired else None,
        "by": desired.by if desired else None,
        "standing": desired.compared(report) if desired else None,
        "reported": report.model_dump(mode="json") if report else None,
    }


def _errors(desired: Desired, report: ConfigurationReport | None) -> tuple[str, ...]:
    return report.errors if report and report.revision == desired.wish.revision else ()


def _tables(path: Path) -> dict[str, Any]:
    """The agent judges what is in them, and says what is wrong; here they need only be TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileUnreadable(path=path, reason=error) from error
