"""What may a browser do with our pages, and whose forms do we believe? Strict headers; our own forms only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION_COOKIE = "__Host-anninh"  # the prefix: no other host and no plain http can set it
LANGUAGE_COOKIE = "__Host-language"
MAX_FORM_BYTES = 16 * 1024  # a login is 0.1 kB, a long search address 0.5 kB
FORM_TOKEN = "form_token"  # noqa: S105 -- the field's name

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make browsers send `Origin: null` with our forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # No Strict-Transport-Security: nothing listens on plain http, and on a computer that has not yet been
    # given the station's CA it would lock an officer out without a way back.
}


class SecurityHeaders:
    """Around everything: no response leaves without these, errors and pictures included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")  # a page shows people
            await send(message)

        await self._app(scope, receive, send_with_headers)


def sent_by_us(headers: Headers) -> bool:
    """Say whether a form came from a page of this origin; a browser that says nothing is not believed."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


def form_token(session_token: str) -> str:
    """Return what a form of this session must carry; the session cannot be computed back from it."""
    return hmac.new(session_token.encode(), b"form", hashlib.sha256).hexdigest()


def carries_token(form: Mapping[str, str], session_token: str) -> bool:
    return hmac.compare_digest(form.get(FORM_TOKEN, ""), form_token(session_token))


async def read_form(request: Request) -> dict[str, str] | None:
    """Return the fields of a small urlencoded form; None when it is anything else."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        return None
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                return None
    except ClientDisconnect:
        return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=20))
    except ValueError:
        return None


def local_path(path: str) -> str:
    """Return path if it leads somewhere on this site, else the first page: no open redirects."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() else "/"
