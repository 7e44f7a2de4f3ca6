"""`agent pause [CAMERA]`: the household's own word that nobody looks; in force within two seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from agent import pauses
from agent.cameras import register
from agent.commands.cameras import entry_of
from agent.pauses import Pause, Whose
from agent.settings import AgentSettings, home
from shared import localtime
from shared.clock import SystemClock
from shared.errors import NeedsFixing
from shared.localtime import VIETNAM
from shared.terminal import say
from shared.texts import both

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class PauseLength(NeedsFixing):
    """Neither a length nor a moment to come."""

    key = "pause-length"


def pause(
    camera: Annotated[str, typer.Argument(help=both("help.pause.camera"))] = "",
    *,
    length: Annotated[str, typer.Option("--for", help=both("help.pause.for"))] = "",
    until: Annotated[str, typer.Option("--until", help=both("help.pause.until"))] = "",
) -> None:
    folder, now = home(), SystemClock().now()
    known(folder, camera)
    if length and until:
        raise PauseLength(typed=f"--for {length} --until {until}")
    end = moment_to_come(length, until, now)
    said = Pause(camera=camera or None, since=now, until=end)
    pauses.change(folder, Whose.HOUSEHOLD, lambda before: before.paused(said))
    which = "camera" if camera else "all"
    if end is None:
        say(f"pause.{which}-open", camera=camera)
    else:
        there = end.astimezone(VIETNAM)
        say(f"pause.{which}", camera=camera, time=f"{there:%H:%M}", date=f"{there:%d/%m/%Y}")


def names(folder: Path) -> list[str]:
    """Return all cameras' names, those that a Frigate watches too."""
    frigate = AgentSettings.load(folder / "agent.toml").frigate
    return [entry.name for entry in register.load(folder)] + list(frigate.cameras.values() if frigate else ())


def known(folder: Path, camera: str) -> None:
    """Raises CameraUnknown: a mistyped name must not look like a pause."""
    if camera and camera not in names(folder):
        entry_of(folder, camera)


def moment_to_come(length: str, until: str, now: datetime) -> datetime | None:
    """Understand `2h`, `06:00` (the next one) or `24/11/2026 06:00`; None when nothing was said.

    Raises PauseLength.
    """
    if length:
        found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", length.strip())
        if not found:
            raise PauseLength(typed=length)
        return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not until:
        return None
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", until.strip()):
            clock = datetime.strptime(until.strip(), "%H:%M").time()  # noqa: DTZ007 -- a time of day
            there = datetime.combine(now.astimezone(VIETNAM).date(), clock, VIETNAM)
            moment = (there if there > now else there + timedelta(days=1)).astimezone(UTC)
        else:
            moment = localtime.read(until)
    except ValueError as error:
        raise PauseLength(typed=until) from error
    if moment <= now:
        raise PauseLength(typed=until)
    return moment
