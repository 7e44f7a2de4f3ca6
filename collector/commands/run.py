"""How is a station started? `collector run` serves until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading

import typer

from collector.archive.folder import StationFolder
from collector.commands import DEFAULT_STATION, StationOption
from collector.service import Service, only_one
from shared import logs
from shared.clock import SystemClock

SERVICE_FAILED = 70  # EX_SOFTWARE: systemd starts it anew


def run(station: StationOption = DEFAULT_STATION) -> None:
    folder = StationFolder.existing(station)
    settings = folder.settings()
    logs.set_up(settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours to tell
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    with only_one(folder):
        if not Service(folder, settings, SystemClock()).run(stop):
            raise typer.Exit(SERVICE_FAILED)
