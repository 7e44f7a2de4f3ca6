"""How does a station begin? `collector init` makes its folder once, whole or not at all."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.archive import accounts
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from collector.intake import foundation
from collector.settings import StationSettings
from shared.clock import SystemClock
from shared.terminal import out, say
from shared.texts import both

_PortOption = Annotated[int | None, typer.Option(min=1, max=65535, help=both("help.collector.port"))]


def init(  # noqa: PLR0913, PLR0917 -- a command's options are its parameters
    station: StationOption = DEFAULT_STATION,
    host: Annotated[str | None, typer.Option(help=both("help.collector.init-host"))] = None,
    name: Annotated[str | None, typer.Option(help=both("help.collector.init-name"))] = None,
    bind: Annotated[str | None, typer.Option(help=both("help.collector.init-bind"))] = None,
    broker_port: _PortOption = None,
    enrolment_port: _PortOption = None,
    console_port: _PortOption = None,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    given = {
        "host": host or foundation.default_host(),
        "name": name,
        "bind": bind,
        "broker_port": broker_port,
        "enrolment_port": enrolment_port,
        "console_port": console_port,
    }
    settings = StationSettings().model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    now = SystemClock().now()
    making = foundation.begin(station)
    foundation.build(making, settings, now)
    database = making.open_station()
    account, password = accounts.create_first(database, now)
    database.close()
    folder = foundation.finish(making, station)
    facts = {"station": str(folder.root), "host": settings.host, "account": account, "password": password}
    if json:
        out.print_json(data=facts)
        return
    say("station.made", **facts)
    say("station.first-account", **facts)
    say("station.next", **facts)
