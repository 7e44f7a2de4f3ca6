"""What do commands share? Which station is meant (`--station`, ANNINH_STATION, or where systemd puts it)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.settings import DEFAULT_STATION
from shared.errors import NeedsFixing
from shared.texts import both

StationOption = Annotated[
    Path,
    typer.Option(
        "--station", envvar="ANNINH_STATION", help=both("help.collector.station"), show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help=both("help.collector.json"))]

__all__ = ["DEFAULT_STATION", "FolderUnwritable", "JsonOption", "StationOption"]


class FolderUnwritable(NeedsFixing):
    """Pictures were to be written where nothing can be."""

    key = "folder-unwritable"
