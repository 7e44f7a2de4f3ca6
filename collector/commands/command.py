"""What is to be done at a site? Gives one command of the closed list; the running station sends it."""

from __future__ import annotations

import getpass
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uuid6

from collector.archive import asking
from collector.archive.asking import Verb
from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.archive.register import Register
from collector.commands import DEFAULT_STATION, StationOption
from collector.commands.commands import in_words
from shared.clock import SystemClock
from shared.errors import TryLater
from shared.terminal import out
from shared.texts import both

_WAIT_S = 120.0  # a camera needs a minute to answer, an outbox its turn
_LOOK_S = 0.3

app = typer.Typer(help=both("help.collector.command"), no_args_is_help=True)


class NoAnswerYet(TryLater):
    key = "no-answer-yet"


@dataclass(frozen=True, slots=True)
class _Where:
    station: Path
    site: str


_Camera = Annotated[str, typer.Argument(metavar="CAMERA", help=both("help.collector.command-camera"))]
_MaybeCamera = Annotated[
    str | None, typer.Argument(metavar="[CAMERA]", help=both("help.collector.command-all-cameras"))
]
_Time = Annotated[str, typer.Option(metavar="dd/MM/yyyy HH:mm", help=both("help.collector.command-time"))]
_Case = Annotated[str, typer.Option(help=both("help.collector.command-case"))]
_Wait = Annotated[bool, typer.Option("--wait", help=both("help.collector.command-wait"))]


@app.callback()
def command(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))],
    station: StationOption = DEFAULT_STATION,
) -> None:
    context.obj = _Where(station, site)


@app.command(Verb.RESTART_CAMERA, help=both("help.collector.command-restart-camera"))
def restart_camera(context: typer.Context, camera: _Camera, wait: _Wait = False) -> None:  # noqa: FBT002 -- a flag
    _give(context, Verb.RESTART_CAMERA, wait=wait, camera=camera)


@app.command(Verb.TEST_FRAME, help=both("help.collector.command-test-frame"))
def frame(context: typer.Context, camera: _Camera, wait: _Wait = False) -> None:  # noqa: FBT002 -- a flag
    _give(context, Verb.TEST_FRAME, wait=wait, camera=camera)


@app.command(Verb.HOLD_FOOTAGE, help=both("help.collector.command-hold-footage"))
def hold_footage(
    context: typer.Context,
    camera: _Camera,
    since: _Time,
    until: _Time,
    case: _Case,
    wait: _Wait = False,  # noqa: FBT002 -- a flag
) -> None:
    _give(context, Verb.HOLD_FOOTAGE, wait=wait, camera=camera, since=since, until=until, case=case)


@app.command(Verb.RELEASE_FOOTAGE, help=both("help.collector.command-release-footage"))
def release_footage(context: typer.Context, camera: _Camera, case: _Case, wait: _Wait = False) -> None:  # noqa: FBT002 -- a flag
    _give(context, Verb.RELEASE_FOOTAGE, wait=wait, camera=camera, case=case)


@app.command(Verb.PAUSE, help=both("help.collector.command-pause"))
def pause(context: typer.Context, until: _Time, camera: _MaybeCamera = None, wait: _Wait = False) -> None:  # noqa: FBT002 -- a flag
    _give(context, Verb.PAUSE, wait=wait, camera=camera, until=until)


@app.command(Verb.RESUME, help=both("help.collector.command-resume"))
def resume(context: typer.Context, camera: _MaybeCamera = None, wait: _Wait = False) -> None:  # noqa: FBT002 -- a flag
    _give(context, Verb.RESUME, wait=wait, camera=camera)


def _give(context: typer.Context, verb: Verb, *, wait: bool, **said: str | None) -> None:
    where: _Where = context.obj
    now, database = SystemClock().now(), StationFolder.existing(where.station).open_station()
    asking.check_site(Register(database), where.site)
    order = asking.command(where.site, asking.errand(verb, said, now), now, uuid6.uuid7())
    orders = Orders(database)
    orders.give(order, getpass.getuser())
    out.print(both("command.given", site=where.site, verb=verb, id=order.id), markup=False)
    if wait:
        out.print(in_words(_answered(orders, order.id, where.site), SystemClock().now()), markup=False)


def _answered(orders: Orders, command_id: UUID, site: str) -> Order:
    deadline_s = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline_s:
        order = orders.one(command_id)
        if order is not None and order.outcome(SystemClock().now()) is not None:
            return order
        time.sleep(_LOOK_S)
    raise NoAnswerYet(site=site)
