"""What answers at which address? Routes, guard and headers put together."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable
from functools import partial, update_wrapper

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from collector.archive.folder import StationFolder
from collector.console import auth, box, control, pages
from collector.console.security import SecurityHeaders
from collector.console.view import Console, static
from collector.settings import StationSettings, station_folder
from shared import logs
from shared.clock import Clock, SystemClock
from shared.errors import AnninhError

_Page = Callable[[Console, Request], Response]
_UNAVAILABLE = 503
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def routes(console: Console) -> list[Route]:
    """Return every address of the console. What is not in `auth.OPEN_PATHS` needs a session."""

    def page(function: _Page) -> Callable[[Request], Response]:
        return update_wrapper(partial(function, console), function)

    return [
        Route("/", page(pages.events)),
        Route("/events/{event_id:uuid}", page(pages.event)),
        Route("/events/{event_id:uuid}/thumbnail.jpg", page(pages.thumbnail)),
        Route("/events/{event_id:uuid}/crop.jpg", page(pages.crop)),
        Route("/agents", page(pages.fleet)),
        Route("/agents/{site}", page(box.box)),
        Route("/agents/{site}/commands", page(control.give), methods=["POST"]),
        Route("/agents/{site}/configuration", page(control.wish), methods=["POST"]),
        Route("/agents/{site}/frames/{command:uuid}.jpg", page(control.frame)),
        Route("/login", page(auth.show_login)),
        Route("/login", page(auth.login), methods=["POST"]),
        Route("/password", page(auth.show_password)),
        Route("/password", page(auth.change_password), methods=["POST"]),
        Route("/language", page(auth.choose_language), methods=["POST"]),
        Route("/logout", page(auth.logout), methods=["POST"]),
        Route("/static/{name}", static),
    ]


def build(folder: StationFolder, settings: StationSettings, clock: Clock) -> ASGIApp:
    console = Console.of(folder, settings, clock)

    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return console.show(request, "error", status)

    def broken(request: Request, error: Exception) -> Response:
        facts = {"error": error} if isinstance(error, AnninhError) else {}
        return console.show(request, "error", _UNAVAILABLE, **facts)

    app = Starlette(
        routes=routes(console),
        middleware=[Middleware(auth.Guard, console=console)],
        exception_handlers={HTTPException: refused, AnninhError: broken, Exception: refused},
    )
    return SecurityHeaders(app)


def from_environment() -> ASGIApp:
    """Build the console in the server's worker process; the command put the station's folder there."""
    _die_with_parent()
    folder = StationFolder.existing(station_folder())
    settings = folder.settings()
    logs.set_up(settings.log_level)
    return build(folder, settings, SystemClock())


def _die_with_parent() -> None:
    """Ask the kernel to end this worker when the command that started it is gone.

    Seen with kill -9: the orphan went on answering beside the next console, on the same port.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
