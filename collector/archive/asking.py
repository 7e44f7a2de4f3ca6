"""What may a person at the station ask of a site, and which command does that make?

One way for the command line and the console. Updates are not here: they go out in waves of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from collector.archive.orders import Order
from collector.archive.register import Register, SiteStatus, SiteUnknown
from shared import localtime
from shared.commands import Command, Errand, HoldFootage, Outcome, Pause, ReleaseFootage
from shared.errors import NeedsFixing
from shared.texts import both, catalogue

VALID = timedelta(hours=24)  # a house without power this long must not obey yesterday's word
_ERRAND: TypeAdapter[Errand] = TypeAdapter(Errand)


class Verb(StrEnum):
    """The closed list, as far as people give it."""

    RESTART_CAMERA = "restart-camera"
    TEST_FRAME = "test-frame"
    HOLD_FOOTAGE = "hold-footage"
    RELEASE_FOOTAGE = "release-footage"
    PAUSE = "pause"
    RESUME = "resume"


class SiteNotEnrolled(NeedsFixing):
    key = "site-not-enrolled"


class CommandIncomplete(NeedsFixing):
    """`where` is the word that is missing or wrong; its rule is `command.rule.<where>`."""

    key = "command-incomplete"


@dataclass(frozen=True, slots=True)
class Held:
    """Minutes that a household was asked to keep, and has not yet been told to let go."""

    site: str
    asked: datetime
    by: str
    footage: HoldFootage


def errand(verb: str, said: Mapping[str, object], now: datetime) -> Errand:
    """Return what is asked for; times may be typed. Raises CommandIncomplete."""
    if verb not in set(Verb):
        raise _incomplete(verb, "verb")
    times = {name: _moment(verb, name, said[name]) for name in ("since", "until") if said.get(name)}
    given = {name: value for name, value in said.items() if value}
    try:
        asked = _ERRAND.validate_python({"verb": verb, **given, **times})
    except ValidationError as error:
        place = error.errors()[0]["loc"]  # the verb, then the word; without one: times in the wrong order
        raise _incomplete(verb, str(place[-1]) if len(place) > 1 else "until") from error
    if isinstance(asked, Pause) and asked.until <= now:
        raise _incomplete(verb, "until")
    return asked


def command(site: str, asked: Errand, now: datetime, command_id: UUID) -> Command:
    return Command(id=command_id, site=site, made_at=now, not_after=now + VALID, errand=asked)


def check_site(register: Register, site: str) -> None:
    """Raises SiteUnknown, SiteNotEnrolled."""
    known = next((one for one in register.sites() if one.site == site), None)
    if known is None:
        raise SiteUnknown(site=site)
    if known.status is not SiteStatus.ENROLLED:
        raise SiteNotEnrolled(site=site)


def held(orders: Iterable[Order]) -> list[Held]:
    """Return what is still held, of these commands, the first asked first.

    A case is let go as a whole, and only where the box has said so.
    """
    found: dict[tuple[str, str, str], list[Held]] = {}
    for order in sorted(orders, key=lambda one: one.command.made_at):
        if order.reply is None or order.reply.outcome is not Outcome.DONE:
            continue
        asked, site = order.command.errand, order.command.site
        if isinstance(asked, HoldFootage):
            one = Held(site, order.command.made_at, order.by, asked)
            found.setdefault((site, asked.camera, asked.case), []).append(one)
        elif isinstance(asked, ReleaseFootage):
            found.pop((site, asked.camera, asked.case), None)
    return [one for several in found.values() for one in several]


def _moment(verb: str, name: str, typed: object) -> datetime:
    if isinstance(typed, datetime):
        return typed
    try:
        return localtime.read(str(typed))
    except ValueError as error:
        raise _incomplete(verb, name) from error


def _incomplete(verb: str, where: str) -> CommandIncomplete:
    rule = f"command.rule.{where}"
    return CommandIncomplete(verb=verb, where=where, reason=both(rule) if rule in catalogue() else "?")
