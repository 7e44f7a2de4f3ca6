"""What does the page of one site show? How it is and was, what was asked of it, what is wished of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import uuid6
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from collector.archive import flips
from collector.archive.asking import Held, Verb, held
from collector.archive.configurations import PLAIN, Configurations, Desired
from collector.archive.orders import Order, Orders
from collector.archive.standing import Standing, standings, whole
from collector.archive.uptime import DAYS
from collector.console.view import Console
from shared.errors import AnninhError
from shared.localtime import VIETNAM

_NOT_FOUND = 404
_CHANGES, _ASKED = 100, 20  # of one site, the newest
PAUSES_MIN = (30, 60, 240, 720, 1440)  # what a pause from the console may last; longer ones by command
_TYPED = "%d/%m/%Y %H:%M"


@dataclass(frozen=True, slots=True)
class Asked:
    """One command as the page lists it; the words are the template's."""

    order: Order
    state: str  # an Outcome, or "sent", or "waiting"
    has_picture: bool

    def said(self, word: str) -> Any:
        """Return what the errand says for this word; None where it has no such word."""
        return getattr(self.order.command.errand, word, None)

    @property
    def is_open(self) -> bool:
        return self.state in ("sent", "waiting")


@dataclass(frozen=True, slots=True)
class Said:
    """What an officer has just sent that was not taken, to be shown again with the reason."""

    error: AnninhError
    form: dict[str, str]
    about: str  # "command" or "configuration"


def box(console: Console, request: Request) -> Response:
    return shown(console, request)


def shown(console: Console, request: Request, status: int = 200, said: Said | None = None) -> Response:
    now, site = console.clock.now(), request.path_params["site"]
    one = next((one for one in standings(console.folder, now) if one.report.site == site), None)
    if one is None:
        raise HTTPException(_NOT_FOUND)
    changes = flips.history(console.folder, site)[-_CHANGES:]
    return console.show(
        request,
        "box",
        status,
        one=one,
        changes=changes[::-1],
        days=DAYS,
        whole=whole(console.folder, now),
        said=said,
        given=_given(request),
        just_wished={"0": "0", "1": "1"}.get(request.query_params.get("wished", "")),
        **_orders(console, one, now, said),
        **_wish(console, one, said),
    )


def _given(request: Request) -> Verb | None:
    """What was just given, by the address our own form led to."""
    try:
        return Verb(request.query_params.get("given", ""))
    except ValueError:
        return None


def _orders(console: Console, one: Standing, now: datetime, said: Said | None) -> dict[str, Any]:
    with console.station() as database:
        orders = Orders(database)
        asked = [_asked(orders, order, now) for order in orders.newest(one.report.site, _ASKED)]
        holds: list[Held] = held(orders.about_footage(one.report.site))
    hour_ago = (now - timedelta(hours=1)).astimezone(VIETNAM)
    fresh = {"since": hour_ago.strftime(_TYPED), "until": now.astimezone(VIETNAM).strftime(_TYPED)}
    return {
        "asked": asked,
        "holds": holds,
        "cameras": [camera.health for camera in one.cameras],
        "verbs": [verb for verb in Verb if verb is not Verb.RELEASE_FOOTAGE],  # offered beside what is held
        "pauses_min": PAUSES_MIN,
        "command_id": uuid6.uuid7(),
        "typed": fresh | (said.form if said and said.about == "command" else {}),
    }


def _asked(orders: Orders, order: Order, now: datetime) -> Asked:
    state = order.outcome(now) or ("sent" if order.sent else "waiting")
    return Asked(order, state, orders.frame(order) is not None)


def _wish(console: Console, one: Standing, said: Said | None) -> dict[str, Any]:
    with console.station() as database:
        desired = Configurations(database).newest(one.report.site)
    beat = one.report.heartbeat
    report = beat.configuration if beat else None
    typed = said.form if said and said.about == "configuration" else _plain(desired)
    return {
        "desired": desired,
        "reported": report,
        "wish_state": desired.compared(report) if desired else None,
        "plain": PLAIN,
        "wished": {name: typed.get(name, "") for name in PLAIN},
        "in_wish": _plain(desired),
    }


def _plain(desired: Desired | None) -> dict[str, str]:
    said = {name: getattr(desired.wish, name) for name in PLAIN} if desired else {}
    return {name: f"{value}" for name, value in said.items() if value is not None}
