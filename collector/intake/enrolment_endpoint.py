"""Where does a box come with its code, or to renew? HTTPS; each answer from the rules in `admission`.

One thread runs the server; each request opens the register for itself, in a worker thread, because
a connection belongs to the thread that opened it. A certificate is asked of everybody and needed for
renewal only; TLS checks that this authority made it, but not its dates: a house that was dark when
it ran out may still renew, and the register knows which serials are good for what. Whoever has no
business here learns nothing: every refusal is the same empty 403.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from collector.archive.folder import StationFolder
from collector.archive.register import Denial, Register
from collector.intake.admission import Admission, Denied
from collector.intake.authority import Authority, common_name
from collector.intake.broker import write_access
from collector.intake.eviction import evict
from collector.intake.listening import listen
from collector.intake.shelf_endpoint import ShelfEndpoint
from collector.settings import StationSettings
from shared.clock import Clock
from shared.enrolment import (
    CERTIFICATE_PATH,
    HELLO_PATH,
    MAX_REQUEST_BYTES,
    RENEW_PATH,
    CertificateAnswer,
    CertificateRequest,
    Hello,
    HelloAnswer,
    RenewalRequest,
)

log = logging.getLogger(__name__)

MAX_BODY_BYTES = MAX_REQUEST_BYTES + 1024  # a request in JSON, its proof and its code's id
CONNECTION_S = 30  # a whole connection, handshake and slow lines included; measured: 0.1 s
BODY_S = 10.0  # a quarter of a minute for half a kilobyte is nobody's line
MAX_CONNECTIONS = 64  # enrolments at one time: one installer, one box
REQUESTS_PER_MINUTE = 60  # per address; one enrolment needs two
REMEMBERED_ADDRESSES = 10_000  # bounds the memory a flood of addresses can take
STOP_TIMEOUT_S = 10.0
WRITE_AFTER_S = 1.0  # what denials wait for company on their way to the disk
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME; Python has no name for it


class DenialBook:
    """What the door refused, on its way to the disk; any thread."""

    def __init__(self, folder: StationFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._waiting: dict[str, Denial] = {}

    def note(self, denial: Denial) -> bool:
        """Return whether nothing waited before: somebody must see to `write`."""
        with self._lock:
            is_first = not self._waiting
            before = self._waiting.get(denial.reason)
            count = denial.count + (before.count if before else 0)
            self._waiting[denial.reason] = replace(denial, count=count)
        return is_first

    def write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        database = self._folder.open_station()
        try:
            Register(database).deny(waiting.values())
        except sqlite3.Error as error:  # a full disk: the log has them, and enrolment goes on
            log.warning("denials not counted", extra={"cause": error, "reasons": ",".join(waiting)})
        finally:
            database.close()


class AddressLimit:
    """How often an address has asked in this minute; the oldest addresses are forgotten first."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allows(self, address: str) -> bool:
        now_s = self._monotonic()
        began_s, count = self._seen.pop(address, (now_s, 0))
        if now_s - began_s >= 60:  # noqa: PLR2004 -- a minute
            began_s, count = now_s, 0
        self._seen[address] = (began_s, count + 1)
        if len(self._seen) > REMEMBERED_ADDRESSES:
            self._seen.popitem(last=False)
        return count < REQUESTS_PER_MINUTE


class _ShortConnection(H11Protocol):
    """A connection that ends by itself: half-spoken requests cannot hold the door."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        # uvicorn hands this dictionary to each request of the connection, as `request.state`.
        self.app_state = {**self.app_state, "shown": tls.getpeercert(binary_form=True) if tls else None}
        self.loop.call_later(CONNECTION_S, transport.abort)


class EnrolmentEndpoint:
    """The HTTPS server and its thread."""

    def __init__(
        self, folder: StationFolder, settings: StationSettings, authority: Authority, clock: Clock
    ) -> None:
        self._folder, self._settings, self._authority, self._clock = folder, settings, authority, clock
        self._limit = AddressLimit(clock.monotonic)
        self._shelf = ShelfEndpoint(folder, clock, self._note)
        self._server = uvicorn.Server(self._configuration())
        self._thread: threading.Thread | None = None
        self.denied = DenialBook(folder)

    def start(self) -> None:
        """Listen from now on. Raises PortTaken."""
        sockets = [listen(self._settings.bind, self._settings.enrolment_port, "enrolment_port")]
        self._thread = threading.Thread(
            target=self._server.run, args=(sockets,), name="enrolment", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self.denied.write()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _configuration(self) -> uvicorn.Config:
        configuration = uvicorn.Config(
            self._application(),
            http=_ShortConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            limit_concurrency=MAX_CONNECTIONS,
            ssl_certfile=self._folder.server_certificate,
            ssl_keyfile=self._folder.server_key,
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            ssl_cert_reqs=ssl.CERT_OPTIONAL,
            ssl_ca_certs=str(self._folder.ca_certificate),
        )
        configuration.load()
        if configuration.ssl is not None:  # it is: the files are given above
            configuration.ssl.verify_flags |= _NO_CHECK_TIME
        return configuration

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route(HELLO_PATH, self._hello, methods=["POST"]),
                Route(CERTIFICATE_PATH, self._certificate, methods=["POST"]),
                Route(RENEW_PATH, self._renewal, methods=["POST"]),
                *self._shelf.routes(),
            ]
        )

    async def _hello(self, request: Request) -> Response:
        return await self._answered(request, Hello, self._greet)

    async def _certificate(self, request: Request) -> Response:
        return await self._answered(request, CertificateRequest, self._admit)

    async def _renewal(self, request: Request) -> Response:
        shown: bytes | None = request.state.shown
        return await self._answered(request, RenewalRequest, partial(self._renew, shown))

    def _greet(self, admission: Admission, asked: Hello) -> HelloAnswer | Denied:
        return admission.hello(asked, self._clock.now())

    def _admit(self, admission: Admission, asked: CertificateRequest) -> CertificateAnswer | Denied:
        now = self._clock.now()
        answer = admission.certificate(asked, now)
        if isinstance(answer, CertificateAnswer):
            # Before the box hears of it: its older certificate ends, a revoked site is let in again,
            # and an older box that is connected now is not any more.
            write_access(self._folder, admission.register, self._authority, now)
            evict(self._folder, self._settings, self._authority, answer.site, now)
            log.info("site enrolled", extra={"site": answer.site})
        return answer

    def _renew(
        self, shown: bytes | None, admission: Admission, asked: RenewalRequest
    ) -> CertificateAnswer | Denied:
        now = self._clock.now()
        answer = admission.renewal(asked, shown, now)
        if isinstance(answer, CertificateAnswer):
            # The box keeps the connection it has until it comes back with the new certificate.
            write_access(self._folder, admission.register, self._authority, now)
            log.info("certificate renewed", extra={"site": answer.site})
        return answer

    async def _answered(
        self, request: Request, form: type[BaseModel], decide: Callable[[Admission, Any], BaseModel | Denied]
    ) -> Response:
        address = request.client.host if request.client else ""
        if not self._limit.allows(address):
            self._note("too-many-requests", address, "")
            return Response(status_code=429)
        try:
            async with asyncio.timeout(BODY_S):
                asked = form.model_validate_json(await _limited_body(request))
        except (ValidationError, TimeoutError, ClientDisconnect):
            self._note("malformed", address, "")
            return Response(status_code=400)
        except _TooLargeError:
            self._note("too-large", address, "")
            return Response(status_code=413)
        answer = await run_in_threadpool(self._decided, decide, asked)
        if isinstance(answer, Denied):
            self._note(answer, address, getattr(asked, "code_id", "") or _site_shown(request))
            return Response(status_code=403)
        return Response(answer.model_dump_json(), media_type="application/json")

    def _decided(
        self, decide: Callable[[Admission, Any], BaseModel | Denied], asked: BaseModel
    ) -> BaseModel | Denied:
        database = self._folder.open_station()
        try:
            return decide(Admission(Register(database), self._authority, self._settings.broker_port), asked)
        finally:
            database.close()

    def _note(self, reason: str, address: str, named: str) -> None:
        said = f"enrolment denied, {reason}"  # in the message: repeats are held back by message
        log.warning(said, extra={"address": address, "named": named})
        if self.denied.note(Denial(reason, 1, self._clock.now(), address, named)):
            # Together, a second later: a flood must not become a flood of disk writes.
            asyncio.get_running_loop().call_later(
                WRITE_AFTER_S,
                lambda loop: loop.run_in_executor(None, self.denied.write),
                asyncio.get_running_loop(),
            )


class _TooLargeError(Exception):
    """More was sent than any request needs."""


async def _limited_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _TooLargeError
    return bytes(body)


def _site_shown(request: Request) -> str:
    """Whose certificate was shown, for the station's own eyes; it was signed by the authority."""
    shown: bytes | None = request.state.shown
    return common_name(shown) if shown else ""
