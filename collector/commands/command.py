"""What is to be done at a site? Gives one command of the closed list; the running station sends it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
import uuid6
from pydantic import TypeAdapter, ValidationError

from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.archive.register import Register, SiteStatus, SiteUnknown
from collector.commands import DEFAULT_STATION, StationOption
from shared import localtime
from shared.clock import SystemClock
from shared.commands import Command, Errand
from shared.errors import NeedsFixing, TryLater
from shared.terminal import out
from shared.texts import both, catalogue

_VALID = timedelta(hours=24)  # a house without power this long must not obey yesterday's word
_WAIT_S = 120.0  # a camera needs a minute to answer, an outbox its turn
_LOOK_S = 0.3
_ERRAND: TypeAdapter[Errand] = TypeAdapter(Errand)


class Verb(StrEnum):
    """What a technician may ask from here; updates go out in waves of their own."""

    RESTART_CAMERA = "restart-camera"
    TEST_FRAME = "test-frame"
    HOLD_FOOTAGE = "hold-footage"
    PAUSE = "pause"
    RESUME = "resume"


class SiteNotEnrolled(NeedsFixing):
    key = "site-not-enrolled"


class CommandIncomplete(NeedsFixing):
    key = "command-incomplete"


class NoAnswerYet(TryLater):
    key = "no-answer-yet"


_Time = Annotated[str | None, typer.Option(help=both("help.collector.command-time"))]


def command(  # noqa: PLR0913, PLR0917 -- the words of one command line
    site: Annotated[str, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))],
    verb: Annotated[Verb, typer.Argument(help=both("help.collector.command-verb"))],
    camera: Annotated[str | None, typer.Argument(help=both("help.collector.command-camera"))] = None,
    since: _Time = None,
    until: _Time = None,
    case: Annotated[str | None, typer.Option(help=both("help.collector.command-case"))] = None,
    wait: Annotated[bool, typer.Option("--wait", help=both("help.collector.command-wait"))] = False,  # noqa: FBT002 -- a flag
    station: StationOption = DEFAULT_STATION,
) -> None:
    folder, now = StationFolder.existing(station), SystemClock().now()
    given = {"camera": camera, "case": case}
    times = {name: _moment(verb, name, text) for name, text in (("since", since), ("until", until)) if text}
    said = {name: value for name, value in given.items() if value} | times
    database = folder.open_station()
    check_site(Register(database), site)
    order = Command(
        id=uuid6.uuid7(), site=site, made_at=now, not_after=now + _VALID, errand=errand(verb, said)
    )
    orders = Orders(database)
    orders.give(order, getpass.getuser())
    out.print(both("command.given", site=site, verb=verb, id=order.id), markup=False)
    if wait:
        out.print(in_words(_answered(orders, order.id, site), SystemClock().now()), markup=False)


def errand(verb: str, said: Mapping[str, object]) -> Errand:
    """Return what is asked for. Raises CommandIncomplete with the word that is missing or wrong."""
    try:
        return _ERRAND.validate_python({"verb": verb, **said})
    except ValidationError as error:
        fault = error.errors()[0]
        where = str(fault["loc"][-1]) if len(fault["loc"]) > 1 else verb
        raise CommandIncomplete(verb=verb, where=where, reason=fault["msg"]) from error


def _moment(verb: str, name: str, typed: str) -> datetime:
    try:
        return localtime.read(typed)
    except ValueError as error:
        raise CommandIncomplete(verb=verb, where=f"--{name}", reason=error) from error


def in_words(order: Order, now: datetime) -> str:
    """Return what became of a command, Vietnamese and English."""
    outcome = order.outcome(now)
    if outcome is None:
        return both("command.outcome.sent" if order.sent else "command.outcome.waiting")
    words = both(f"command.outcome.{outcome}")
    why = order.reply.why if order.reply else ""
    if not why:
        return words
    return f"{words}: {both(f'reply.{why}') if f'reply.{why}' in catalogue() else why}"


def check_site(register: Register, site: str) -> None:
    """Raises SiteUnknown, SiteNotEnrolled."""
    known = next((one for one in register.sites() if one.site == site), None)
    if known is None:
        raise SiteUnknown(site=site)
    if known.status is not SiteStatus.ENROLLED:
        raise SiteNotEnrolled(site=site)


def _answered(orders: Orders, command_id: UUID, site: str) -> Order:
    deadline_s = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline_s:
        order = orders.one(command_id)
        if order is not None and order.outcome(SystemClock().now()) is not None:
            return order
        time.sleep(_LOOK_S)
    raise NoAnswerYet(site=site)
