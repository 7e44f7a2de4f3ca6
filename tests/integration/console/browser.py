"""A browser of few words: cookies, forms and TLS checked against the station's own CA."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["location"] or ""


class Browser:
    def __init__(self, port: int, ca: Path) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self._context = ssl.create_default_context(cafile=str(ca))

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, b"", {})

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        given = {"Origin": f"https://localhost:{self.port}", **headers}
        given["Content-Type"] = "application/x-www-form-urlencoded"
        return self._ask("POST", path, urlencode(fields).encode(), given)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        return self._ask(method, path, body, headers)

    def submit(self, page: str, path: str, **fields: str) -> Answer:
        """Fill in a form of a page, with what it carries hidden, and send it."""
        return self.post(path, {**hidden_fields(self.get(page).text, path), **fields})

    def sign_in(self, account: str, password: str) -> Answer:
        return self.submit("/login", "/login", account=account, password=password)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPSConnection("localhost", self.port, context=self._context, timeout=20)
        try:
            cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            connection.request(method, path, body, {**({"Cookie": cookies} if cookies else {}), **headers})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for header in answer.headers.get_all("set-cookie") or ():
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
        return answer


def hidden_fields(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form with this action."""
    reader = _Forms(action)
    reader.feed(html)
    return reader.fields


class _Forms(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._action, self._within = action, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag == "form":
            self._within = facts.get("action") == self._action
        if self._within and tag == "input" and facts.get("type") == "hidden":
            self.fields[facts["name"] or ""] = facts.get("value") or ""
