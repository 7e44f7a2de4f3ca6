"""How does an installer without a screen see it? A page on the LAN, served while `agent aim` runs.

Whoever knows the address may look and draw: it carries 128 random bits, stands in the terminal only, and
is gone with the command. The page loads nothing from anywhere else.
"""

from __future__ import annotations

import json
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from string import Template
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from agent.cameras.aim import Aim, NoPicture, jpeg
from agent.cameras.masks import CameraMasks
from shared.clock import Clock
from shared.errors import FileUnreadable
from shared.texts import Language, chosen_language, text

_BODY_LIMIT = 64 * 1024  # 32 masks of 64 points are 50 kB
_SOCKET_S = 15.0  # a telephone that walked out of the Wi-Fi holds a thread no longer
_WORDS = (
    "title", "live_alt", "drawing_label", "how", "close", "undo", "clear", "sharp", "save",
    "saved", "lost", "failed", "person", "fine", "waiting", "other_name",
)  # fmt: skip
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {"aim.js": "text/javascript; charset=utf-8", "aim.css": "text/css; charset=utf-8"}


class AimServer:
    """The page of one camera. Listens from `with` to its end; `saved` is set once the installer saved."""

    def __init__(self, aim: Aim, clock: Clock, host: str, port: int = 0) -> None:
        self.aim = aim
        self.saved = threading.Event()
        self._token = secrets.token_urlsafe(16)
        self._clock = clock
        self._asked_s = clock.monotonic()
        handler = type("Handler", (_Handler,), {"page": self})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="aim", daemon=True)

    def url(self, host: str) -> str:
        return f"http://{host}:{self._server.server_port}/{self._token}/"

    @property
    def idle_s(self) -> float:
        """Seconds since anybody who knows the address asked for anything."""
        return self._clock.monotonic() - self._asked_s

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def admits(self, path: str) -> str | None:
        """Return the part of the path behind the token, or None to a stranger."""
        token, _, rest = path.lstrip("/").partition("/")
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return None
        self._asked_s = self._clock.monotonic()
        return rest


class _Handler(BaseHTTPRequestHandler):
    """One connection, in its own thread."""

    page: AimServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "anninh", ""
    timeout = _SOCKET_S

    def do_GET(self) -> None:
        found = self.page.admits(urlsplit(self.path).path)
        try:
            match found:
                case "":
                    self._answer(self._page().encode(), "text/html; charset=utf-8")
                case "aim.js" | "aim.css":
                    self._answer(
                        files("agent.cameras").joinpath("aim_page", found).read_bytes(), _FILES[found]
                    )
                case "live.jpg":
                    self._answer(jpeg(self.page.aim.picture()), "image/jpeg")
                case "main.jpg":
                    self._answer(jpeg(self.page.aim.main_picture()), "image/jpeg")
                case "masks":
                    self._json(self.page.aim.masks().model_dump(mode="json")["polygons"])
                case "state":
                    self._json(self._state())
                case _:
                    self._refuse(HTTPStatus.NOT_FOUND)
        except NoPicture:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def do_POST(self) -> None:
        if self.page.admits(urlsplit(self.path).path) != "save":
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        drawn = self._drawn()
        if drawn is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            shown = self.page.aim.save(drawn)
        except NoPicture:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        except (OSError, FileUnreadable):
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._answer(jpeg(shown), "image/jpeg")
            self.page.saved.set()

    def _drawn(self) -> CameraMasks | None:
        """Read what was drawn. JSON only: another site's form cannot send that."""
        size = self.headers.get("Content-Length", "")
        is_json = self.headers.get_content_type() == "application/json"
        if not is_json or not size.isdecimal() or int(size) > _BODY_LIMIT:
            return None
        try:
            return CameraMasks.model_validate_json(self.rfile.read(int(size)))
        except ValidationError:
            return None

    def _language(self) -> Language:
        wanted = parse_qs(urlsplit(self.path).query).get("lang", [chosen_language()])[0]
        return Language(wanted) if wanted in set(Language) else Language.VI

    def _page(self) -> str:
        language = self._language()
        other = Language.EN if language is Language.VI else Language.VI
        words = {word: text(f"aim.page.{word}", language, camera=self.page.aim.name) for word in _WORDS}
        template = files("agent.cameras").joinpath("aim_page", "page.html").read_text(encoding="utf-8")
        return Template(template).substitute(words, language=language.value, other=other.value)

    def _state(self) -> dict[str, object]:
        language = self._language()
        try:
            hints = [text(f"aim.hint.{code}", language) for code in self.page.aim.hints()]
        except NoPicture as nothing:
            cause = f"problems.{nothing.facts['cause']}"
            hints = [text(f"{cause}.what", language, subject=self.page.aim.name)]
        return {"hints": hints}

    def _json(self, value: object) -> None:
        self._answer(json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body we did not read is not the next request
        self._answer(b"", "text/plain", status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        try:
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the telephone is gone; there is nobody to tell
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
        """Say nothing: the path is the key."""
