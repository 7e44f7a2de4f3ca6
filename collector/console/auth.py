"""Who is asking? Nothing but the login page answers without a session; every form is checked here."""

from __future__ import annotations

import logging
import threading

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from collector.archive import accounts, sessions
from collector.archive.sessions import Session
from collector.console.security import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    carries_token,
    local_path,
    read_form,
    sent_by_us,
)
from collector.console.view import Console
from shared.errors import AnninhError
from shared.texts import Language

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/login", "/language"})  # and /static/: the login page must look like one
BEFORE_CHANGE = frozenset({"/password", "/logout", "/language"})  # all a one-time password opens
_READING = frozenset({"GET", "HEAD"})
_SEE_OTHER = 303
_YEAR_S = 365 * 86_400
_hashing = threading.Semaphore(2)  # 64 MiB and a core each: a flood of logins must not fill the machine


class Guard(BaseHTTPMiddleware):
    """In front of every route, so that a new page is closed until somebody opens it here."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        super().__init__(app)
        self._console = console

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        session = await run_in_threadpool(self._session, request)
        request.state.session = session
        path = request.url.path
        if request.method not in _READING:
            refusal = await self._refusal(request, session)
            if refusal is not None:
                return refusal
        if path in OPEN_PATHS or path.startswith("/static/"):
            return await call_next(request)
        if session is None:
            return _to_login(request) if request.method in _READING else self._refuse(request, 403)
        if session.must_change and path not in BEFORE_CHANGE:
            return RedirectResponse("/password", _SEE_OTHER)
        return await call_next(request)

    def _session(self, request: Request) -> Session | None:
        token = request.cookies.get(SESSION_COOKIE)
        if not token:
            return None
        with self._console.station() as database:
            return sessions.find(database, token, self._console.clock.now())

    async def _refusal(self, request: Request, session: Session | None) -> Response | None:
        """Read the form into `request.state.form`, or return why it is not believed."""
        form = await read_form(request)
        if form is None:
            return self._refuse(request, 400)
        if not sent_by_us(request.headers) or (session and not carries_token(form, session.token)):
            log.warning("form refused", extra={"path": request.url.path, "peer": _peer(request)})
            return self._refuse(request, 403)
        request.state.form = form
        return None

    def _refuse(self, request: Request, status: int) -> Response:
        return self._console.show(request, "error", status)


def show_login(console: Console, request: Request) -> Response:
    return console.show(request, "login", next=local_path(request.query_params.get("next", "/")), error=None)


def login(console: Console, request: Request) -> Response:
    form: dict[str, str] = request.state.form
    account, onward = form.get("account", "").strip(), local_path(form.get("next", "/"))
    now = console.clock.now()
    with _hashing, console.station() as database:
        if not accounts.verify(database, account, form.get("password", ""), now):
            log.warning("sign-in refused", extra={"peer": _peer(request)})  # no name: it may be a password
            return console.show(request, "login", 403, next=onward, error=accounts.wrong())
        token = sessions.begin(database, account, now)
    log.info("signed in", extra={"account": account, "peer": _peer(request)})
    return _with_session(RedirectResponse(onward, _SEE_OTHER), token)


def logout(console: Console, request: Request) -> Response:
    session: Session | None = request.state.session
    if session is not None:
        with console.station() as database:
            sessions.end(database, session.token)
        log.info("signed out", extra={"account": session.account})
    response = RedirectResponse("/login", _SEE_OTHER)
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache"'  # the next officer's disk holds no pictures of ours
    return response


def show_password(console: Console, request: Request) -> Response:
    return console.show(request, "password", least=accounts.MIN_PASSWORD, error=None, mismatch=False)


def change_password(console: Console, request: Request) -> Response:
    form: dict[str, str] = request.state.form
    session: Session = request.state.session
    new, now = form.get("new", ""), console.clock.now()
    if new != form.get("again", ""):
        return console.show(request, "password", 400, least=accounts.MIN_PASSWORD, error=None, mismatch=True)
    try:
        with _hashing, console.station() as database:
            accounts.change_password(database, session.account, form.get("old", ""), new, now)
            token = sessions.begin(database, session.account, now)
    except AnninhError as error:
        return console.show(
            request, "password", 400, least=accounts.MIN_PASSWORD, error=error, mismatch=False
        )
    log.info("password changed", extra={"account": session.account})
    return _with_session(RedirectResponse("/", _SEE_OTHER), token)


def choose_language(console: Console, request: Request) -> Response:
    form: dict[str, str] = request.state.form
    del console
    chosen = Language.EN if form.get("language") == Language.EN else Language.VI
    response = RedirectResponse(local_path(form.get("next", "/")), _SEE_OTHER)
    response.set_cookie(LANGUAGE_COOKIE, chosen, _YEAR_S, secure=True, httponly=True, samesite="strict")
    return response


def _to_login(request: Request) -> Response:
    onward = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = URL("/login") if onward == "/" else URL("/login").include_query_params(next=onward)
    return RedirectResponse(str(address), _SEE_OTHER)


def _with_session(response: Response, token: str) -> Response:
    """Set the cookie without an end: it goes with the browser, and the server ends it sooner anyway."""
    response.set_cookie(SESSION_COOKIE, token, secure=True, httponly=True, samesite="strict")
    return response


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
