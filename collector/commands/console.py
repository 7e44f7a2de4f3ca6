"""How is the console served? HTTPS with HTTP/2, in one worker process that is started anew if it dies."""

from __future__ import annotations

import os

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from collector.archive.folder import StationFolder
from collector.commands import DEFAULT_STATION, StationOption
from collector.intake.listening import listen
from shared import logs
from shared.terminal import say

_KILL_AFTER_S = 5  # a page takes milliseconds; what hangs longer is a dead browser
_HEADER_TIMEOUT_MS = 10_000


def console(station: StationOption = DEFAULT_STATION) -> None:
    folder = StationFolder.existing(station)
    settings = folder.settings()
    logs.set_up(settings.log_level)
    listen(settings.bind, settings.console_port, "console_port").close()  # says it in words if it is taken
    os.environ["ANNINH_STATION"] = str(folder.root)
    server = Granian(
        "collector.console.app:from_environment",
        factory=True,
        interface=Interfaces.ASGINL,
        address=settings.bind,
        port=settings.console_port,
        loop=Loops.asyncio,
        ssl_cert=folder.server_certificate,
        ssl_key=folder.server_key,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT_MS),
        websockets=False,
        log_level=LogLevels.warning,  # its start and stop are ours to tell
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
        respawn_failed_workers=True,
        workers_kill_timeout=_KILL_AFTER_S,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    say("console.serving", url=f"https://{host}:{settings.console_port}/")
    server.serve()
