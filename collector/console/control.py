"""What may an officer do to a site from its page? Give one command of the closed list, or wish anew.

Every deed is kept with the account that did it (`collector.archive.orders`, `configurations`) and logged.
The household's pause and masks cannot be named here at all; a box answers for itself what it will not do.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid5

import uuid6
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from collector.archive import asking
from collector.archive.asking import CommandIncomplete, Verb
from collector.archive.configurations import PLAIN, ConfigurationChanged, Configurations, changed
from collector.archive.orders import Orders
from collector.archive.register import Register
from collector.archive.sessions import Session
from collector.console.box import PAUSES_MIN, Said, shown
from collector.console.view import Console
from shared.errors import AnninhError

log = logging.getLogger(__name__)

_SEE_OTHER, _BAD, _NOT_FOUND = 303, 400, 404


def give(console: Console, request: Request) -> Response:
    """Take the form of one command, and keep it for the running station to send."""
    site, form, session = _who(request)
    now = console.clock.now()
    try:
        with console.station() as database:
            asking.check_site(Register(database), site)
            errand = asking.errand(form.get("verb", ""), _words(console, form), now)
            command = asking.command(site, errand, now, _number(form))
            orders = Orders(database)
            orders.give(command, session.account)
            kept = orders.one(command.id)
    except AnninhError as error:
        return shown(console, request, _BAD, Said(error, form, "command"))
    if kept is not None and kept.command == command:
        facts = {"account": session.account, "site": site, "verb": errand.verb, "command": command.id}
        log.info("command given", extra=facts)
    return RedirectResponse(f"/agents/{site}?given={errand.verb}#commands", _SEE_OTHER)


def wish(console: Console, request: Request) -> Response:
    """Take the form of the configuration: what is empty is as the box has it."""
    site, form, session = _who(request)
    try:
        with console.station() as database:
            asking.check_site(Register(database), site)
            kept = Configurations(database)
            before = kept.newest(site)
            if form.get("revision") != str(before.wish.revision if before else 0):
                raise ConfigurationChanged(site=site)
            after = changed(before, site, _values(form))
            is_new = (
                before is None or after.model_copy(update={"revision": before.wish.revision}) != before.wish
            )
            if is_new:
                kept.keep(after, session.account, console.clock.now())
    except AnninhError as error:
        return shown(console, request, _BAD, Said(error, form, "configuration"))
    if is_new:
        facts = {"account": session.account, "site": site, "revision": after.revision}
        log.info("configuration wished", extra=facts)
    return RedirectResponse(f"/agents/{site}?wished={int(is_new)}#configuration", _SEE_OTHER)


def frame(console: Console, request: Request) -> Response:
    """Send the picture a box took when it was asked to, while it is kept."""
    site, command_id = request.path_params["site"], request.path_params["command"]
    with console.station() as database:
        orders = Orders(database)
        order = orders.one(command_id)
        jpeg = orders.frame(order) if order is not None and order.command.site == site else None
    if jpeg is None:
        raise HTTPException(_NOT_FOUND)
    return Response(jpeg, media_type="image/jpeg")


def _who(request: Request) -> tuple[str, dict[str, str], Session]:
    return request.path_params["site"], request.state.form, request.state.session


def _words(console: Console, form: dict[str, str]) -> dict[str, Any]:
    """What a pause lasts is chosen, not typed: a telephone has no dd/mm/yyyy."""
    said: dict[str, Any] = {name: form.get(name, "").strip() for name in ("camera", "since", "until", "case")}
    if form.get("verb") != Verb.PAUSE:
        return said
    length = form.get("minutes", "")
    if length not in map(str, PAUSES_MIN):
        raise CommandIncomplete(verb=Verb.PAUSE, where="until", reason=length)
    return said | {"until": console.clock.now() + timedelta(minutes=int(length))}


def _number(form: dict[str, str]) -> UUID:
    """The same form of the same page with the same words is one command, however often it is sent."""
    try:
        page = UUID(form.get("id", ""))
    except ValueError:
        return uuid6.uuid7()
    return uuid5(page, urlencode(sorted(form.items())))


def _values(form: dict[str, str]) -> dict[str, Any]:
    typed = {name: form.get(name, "").strip() for name in PLAIN}
    typed["detect_fps"] = typed["detect_fps"].replace(",", ".")  # as Vietnamese write it
    return {name: value or None for name, value in typed.items()}
