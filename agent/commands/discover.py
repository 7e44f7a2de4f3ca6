"""`agent discover`: which cameras are on this network? Asks nobody for a password."""

from __future__ import annotations

import ipaddress
import json
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from agent.cameras import register
from agent.cameras.discover import WAIT_S, Candidate, sweep
from agent.cameras.discover import discover as ask_network
from agent.cameras.register import CameraEntry
from agent.settings import home
from shared.errors import NeedsFixing
from shared.terminal import out, say
from shared.texts import both, text

_MOST_HOSTS = 4096  # a /20: more is not a household


class NetworkInvalid(NeedsFixing):
    key = "network-invalid"


def discover(
    *,
    as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.2, max=60, help=both("help.cameras.wait"))
    ] = WAIT_S,
    network: Annotated[str, typer.Option("--network", help=both("help.cameras.network"))] = "",
) -> None:
    known = register.load(home())
    hosts = _hosts(network) if network else ()
    if as_json:
        found = sweep(hosts, wait_s) if hosts else ask_network(wait_s)
        out.print(json.dumps([_as_dict(candidate, known) for candidate in found], indent=2), markup=False)
        return
    table = _table()
    with Live(table, console=out, refresh_per_second=8) if out.is_terminal else nullcontext():
        if hosts:
            found = sweep(hosts, wait_s)
            for candidate in found:
                _add(table, candidate, known)
        else:
            found = ask_network(wait_s, found=lambda one: _add(table, one, known))
    if not out.is_terminal:
        out.print(table)
    say("discover.found" if found else "discover.none", cameras=len(found))


def _hosts(network: str) -> tuple[str, ...]:
    try:
        addresses = ipaddress.IPv4Network(network, strict=False)
    except ValueError as error:
        raise NetworkInvalid(network=network) from error
    if addresses.num_addresses > _MOST_HOSTS:
        raise NetworkInvalid(network=network)
    return tuple(str(address) for address in addresses.hosts())


def _table() -> Table:
    table = Table(box=None, padding=(0, 2))
    for column in ("address", "name", "model", "url", "state"):
        table.add_column(text(f"discover.{column}"), overflow="fold")
    return table


def _add(table: Table, candidate: Candidate, known: tuple[CameraEntry, ...]) -> None:
    name = _name_in(known, candidate)
    state = text("discover.added", None, name=name) if name else text("discover.new")
    table.add_row(candidate.sender, candidate.name, candidate.hardware, candidate.urls[0], state)


def _as_dict(candidate: Candidate, known: tuple[CameraEntry, ...]) -> dict[str, Any]:
    return {
        "address": candidate.sender,
        "endpoint": str(candidate.endpoint) if candidate.endpoint else None,
        "name": candidate.name,
        "hardware": candidate.hardware,
        "urls": list(candidate.urls),
        "added_as": _name_in(known, candidate) or None,
    }


def _name_in(known: tuple[CameraEntry, ...], candidate: Candidate) -> str:
    """What we call it already; by endpoint, or by the address of its device service."""
    for entry in known:
        if (entry.endpoint and entry.endpoint == candidate.endpoint) or entry.onvif_url == candidate.urls[0]:
            return entry.name
    return ""
