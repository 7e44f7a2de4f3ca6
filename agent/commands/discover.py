"""`agent discover`: which cameras are on this network? Asks nobody for a password."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from agent.cameras import register
from agent.cameras.discover import WAIT_S
from agent.cameras.networks import may_be_searched
from agent.cameras.register import CameraEntry
from agent.cameras.search import Found, State, Watcher, search
from agent.settings import home
from shared.errors import NeedsFixing
from shared.terminal import out, say
from shared.texts import Language, both, text

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
    networks = (_network(network),) if network else None
    if as_json:
        found = search(wait_s, networks)
        out.print(json.dumps([_as_dict(one, known) for one in found], indent=2), markup=False)
        return
    found = _search_watched(wait_s, networks, known) if out.is_terminal else search(wait_s, networks)
    if found:
        out.print(_table(found, known))
    for one in found:
        if one.needs_a_switch:
            say("discover.switch", address=one.candidate.sender, hint=text(_hint_key(one)))
    ready = [one for one in found if one.state is State.ONVIF]
    if ready or not found:
        say("discover.found" if ready else "discover.none", cameras=len(ready))


def _search_watched(
    wait_s: float, networks: Sequence[IPv4Network] | None, known: tuple[CameraEntry, ...]
) -> tuple[Found, ...]:
    """Each camera appears when it is heard; the last word on all of them is printed afterwards."""
    seen: list[Found] = []
    bars = Progress(TextColumn("{task.description}"), BarColumn(), transient=True)
    asking = bars.add_task(text("discover.asking"), total=1)
    knocking = bars.add_task(text("discover.knocking"), total=1)
    with Live(bars, console=out, refresh_per_second=8, transient=True) as live:

        def show(one: Found) -> None:
            seen.append(one)
            live.update(Group(_table(seen, known), bars))

        watcher = Watcher(
            found=show,
            asking=lambda share: bars.update(asking, completed=share),
            knocking=lambda share: bars.update(knocking, completed=share),
        )
        return search(wait_s, networks, watcher)


def _network(typed: str) -> IPv4Network:
    try:
        network = IPv4Network(typed, strict=False)
    except ValueError as error:
        raise NetworkInvalid(network=typed) from error
    if network.num_addresses > _MOST_HOSTS or not (may_be_searched(network) or network.is_loopback):
        raise NetworkInvalid(network=typed)
    return network


def _table(found: Sequence[Found], known: tuple[CameraEntry, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("address", "name", "model", "mac", "state"):
        whole = column in {"address", "mac"}  # what is typed or compared is never folded
        table.add_column(text(f"discover.{column}"), no_wrap=whole, overflow="fold")
    for one in found:
        said, name = one.candidate, _name_in(known, one)
        state = text("discover.added", None, name=name) if name else text(f"discover.state-{one.state}")
        cells = (said.sender, said.name, said.hardware, one.mac or "", state)
        table.add_row(*(Text(cell) for cell in cells))  # Text: a camera's name is not markup
    return table


def _as_dict(one: Found, known: tuple[CameraEntry, ...]) -> dict[str, Any]:
    said = one.candidate
    return {
        "state": one.state,
        "address": said.sender,
        "mac": one.mac,
        "brand": one.brand,
        "endpoint": str(said.endpoint) if said.endpoint else None,
        "name": said.name,
        "hardware": said.hardware,
        "urls": list(said.urls),
        "rtsp_url": one.rtsp_url,
        "open_ports": list(one.ports),
        "hint": text(_hint_key(one), Language.EN) if one.needs_a_switch else None,
        "added_as": _name_in(known, one) or None,
    }


def _hint_key(one: Found) -> str:
    return f"discover.hint.{one.brand}"


def _name_in(known: tuple[CameraEntry, ...], one: Found) -> str:
    """What we call it already; by endpoint, or by the address of its device service."""
    said = one.candidate
    for entry in known:
        if (entry.endpoint and entry.endpoint == said.endpoint) or entry.onvif_url in said.urls[:1]:
            return entry.name
    return ""
