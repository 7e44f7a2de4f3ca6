"""How does a page become HTML? Templates, the reader's language, and the facts every page shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import Any

import sqlite_utils
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from collector.archive import troubles
from collector.archive.folder import StationFolder
from collector.archive.sessions import Session
from collector.console import wording
from collector.console.security import LANGUAGE_COOKIE, form_token
from collector.settings import StationSettings
from shared.clock import Clock, moment
from shared.localtime import VIETNAM, shown
from shared.texts import Language, text

STATIC = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_WEEK_S = 7 * 86_400


def _static_content(name: str) -> bytes:
    return files("collector.console").joinpath("static", name).read_bytes()


@dataclass(frozen=True, slots=True)
class Console:
    """What every page needs: where the station is, what time it is, how pages are made."""

    folder: StationFolder
    settings: StationSettings
    clock: Clock
    templates: Environment

    @classmethod
    def of(cls, folder: StationFolder, settings: StationSettings, clock: Clock) -> Console:
        templates = Environment(
            loader=PackageLoader("collector.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.globals["static"] = {name: f"/static/{name}?v={_version(name)}" for name in STATIC}
        return cls(folder, settings, clock, templates)

    @contextmanager
    def station(self) -> Iterator[sqlite_utils.Database]:
        """Open the register for one request: SQLite connections belong to the thread that opened them."""
        database = self.folder.open_station()
        try:
            yield database
        finally:
            database.close()

    def show(self, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
        language, now = language_of(request), self.clock.now()
        session: Session | None = getattr(request.state, "session", None)
        page = self.templates.get_template(f"{template}.html").render(
            t=partial(_text, language),
            language=language,
            session=session,
            form_token=form_token(session.token) if session else "",
            station=self.settings.name,
            status=status,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            path=request.url.path,
            now=now,
            shown=shown,
            local=_local,
            weekday=partial(_weekday, language),
            ago=lambda then: wording.ago(then, now, language),
            duration_s=lambda seconds: wording.duration(timedelta(seconds=seconds), language),
            number=lambda value, decimals=0: wording.number(value, decimals, language),
            offset=lambda seconds: wording.offset(seconds, language),
            cause=lambda code: wording.cause(code, language),
            gap=lambda hole, dated=True: wording.gap(hole, language, dated=dated),
            reason=lambda code: wording.reason(code, language),
            reply=lambda code: wording.reply(code, language),
            why=lambda code: troubles.why(code, language),
            what_to_do=lambda code, camera="": troubles.what_to_do(code, camera, language),
            at=moment,
            **facts,
        )
        return HTMLResponse(page, status, headers={"Content-Language": language})


def language_of(request: Request) -> Language:
    """Return what the reader chose; Vietnamese until they do."""
    return Language.EN if request.cookies.get(LANGUAGE_COOKIE) == Language.EN else Language.VI


def static(request: Request) -> Response:
    """Send a stylesheet or icon; its address changes with its content, so it may be kept."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response("404", 404)
    return Response(
        _static_content(name),
        media_type=STATIC[name],
        headers={"Cache-Control": f"public, max-age={_WEEK_S}"},
    )


def _version(name: str) -> str:
    return hashlib.sha256(_static_content(name)).hexdigest()[:12]


def _text(language: Language, key: str, /, **facts: object) -> str:
    return text(key, language, **facts)


def _local(moment: datetime, pattern: str) -> str:
    return moment.astimezone(VIETNAM).strftime(pattern)


def _weekday(language: Language, moment: datetime) -> str:
    return text(f"weekday.{moment.astimezone(VIETNAM).isoweekday()}", language)
