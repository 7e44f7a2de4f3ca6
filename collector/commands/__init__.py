"""Which station does a command speak of? `--station`, or ANNINH_STATION, or where systemd puts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.settings import DEFAULT_STATION
from shared.texts import both

StationOption = Annotated[
    Path,
    typer.Option(
        "--station", envvar="ANNINH_STATION", help=both("help.collector.station"), show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help=both("help.collector.json"))]

__all__ = ["DEFAULT_STATION", "JsonOption", "StationOption"]
