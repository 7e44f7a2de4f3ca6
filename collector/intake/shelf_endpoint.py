"""How does a box get a version from the shelf? HTTPS with its certificate, any part of it, a few at a time.

The connection ends after half a minute like every connection to this port (`enrolment_endpoint`): boxes
fetch in parts and go on where they stopped, which a flaky line needs anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cryptography import x509
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from collector.archive.folder import StationFolder
from collector.archive.register import Register
from collector.intake.shelf import Shelf
from shared.clock import Clock
from shared.update_manifest import PACKAGE_PATH, SIGNED_PATH

log = logging.getLogger(__name__)

MAX_AT_ONCE = 32  # half of the port's connections: a wave of updates must not keep installers out
_COME_BACK_S = 60

Note = Callable[[str, str, str], None]  # reason, address, who: of a denial


class ShelfEndpoint:
    """Two routes; lives in the event loop of the enrolment endpoint."""

    def __init__(self, folder: StationFolder, clock: Clock, note: Note) -> None:
        self._folder, self._clock, self._note = folder, clock, note
        self._shelf = Shelf(folder.shelf)
        self.under_way = 0

    def routes(self) -> list[Route]:
        return [
            Route(PACKAGE_PATH, self._package, methods=["GET"]),
            Route(SIGNED_PATH, self._signed, methods=["GET"]),
        ]

    async def _package(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        if self.under_way >= MAX_AT_ONCE:
            return Response(status_code=503, headers={"Retry-After": str(_COME_BACK_S)})
        found = await run_in_threadpool(self._shelf.find, request.path_params["sha256"])
        return _Counted(self, found.package) if found else Response(status_code=404)

    async def _signed(self, request: Request) -> Response:
        if refusal := await self._refusal(request):
            return refusal
        found = await run_in_threadpool(self._shelf.find, request.path_params["sha256"])
        return FileResponse(found.signed) if found else Response(status_code=404)

    async def _refusal(self, request: Request) -> Response | None:
        shown: bytes | None = request.state.shown
        site = await run_in_threadpool(self._site, shown) if shown else ""
        if site:
            return None
        self._note("no-certificate", request.client.host if request.client else "", "")
        return Response(status_code=403)

    def _site(self, shown: bytes) -> str:
        """Return whose certificate this is, if it is in force: TLS has not looked at its dates."""
        database = self._folder.open_station()
        try:
            known = Register(database).by_serial(f"{x509.load_der_x509_certificate(shown).serial_number:x}")
        finally:
            database.close()
        is_in_force = known and known.ended is None and self._clock.now() <= known.expires
        return known.site if known and is_in_force else ""


class _Counted(FileResponse):
    """Counts while it is sent, however that ends."""

    def __init__(self, endpoint: ShelfEndpoint, path: object) -> None:
        super().__init__(str(path), media_type="application/vnd.debian.binary-package")
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._endpoint.under_way += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._endpoint.under_way -= 1
