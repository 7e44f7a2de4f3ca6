"""Who has asked that nobody looks, at which camera, until when? The household's word and the station's.

Two files in the agent's home: what the household says (`agent pause`) and what the station says. Neither
touches the other's, so that a station's resume can never lift a household's pause; while either pauses
a camera, it is not even connected to. Both outlive restarts and power cuts.

It fails shut: a household's file that turns unreadable, or is gone, leaves in force what was in force,
and one that is unreadable at the start pauses everything until somebody says again what is meant.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.disk import write_atomically
from shared.errors import FileUnreadable
from shared.identity import CameraName
from shared.messages import Utc

log = logging.getLogger(__name__)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Whose(StrEnum):
    """Whose word it is; the household's stands first."""

    HOUSEHOLD = "household"
    STATION = "station"

    @property
    def file(self) -> str:
        return f"pauses.{self}.json"

    @property
    def cause(self) -> str:
        """The code of `agent.health`."""
        return f"paused-{self}"


class Pause(BaseModel):
    """One camera is not looked at, or none is (`camera` None), until a moment or until further notice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: CameraName | None = None
    since: Utc
    until: Utc | None = None

    def holds(self, camera: str, now: datetime) -> bool:
        return self.camera in {None, camera} and (self.until is None or now < self.until)


class Pauses(BaseModel):
    """All that one of the two has paused; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pauses: tuple[Pause, ...] = ()

    def of(self, camera: str, now: datetime) -> Pause | None:
        """Return the pause that keeps us from this camera, the longest if there are several."""
        holding = [pause for pause in self.pauses if pause.holds(camera, now)]
        return max(holding, key=lambda pause: (pause.until is None, pause.until or _LONG_AGO), default=None)

    def now(self, now: datetime) -> tuple[Pause, ...]:
        """Return those that are not over."""
        return tuple(pause for pause in self.pauses if pause.until is None or now < pause.until)

    def wholly(self, now: datetime) -> bool:
        return any(pause.camera is None for pause in self.now(now))

    def paused(self, pause: Pause) -> Pauses:
        """Pause, in place of what was said of the same camera, or of all as such."""
        kept = (one for one in self.now(pause.since) if one.camera != pause.camera)
        return Pauses(pauses=(*kept, pause))

    def resumed(self, camera: str | None, everybody: Iterable[str], now: datetime) -> Pauses:
        """Look again at one camera, or at all. One out of all: the others stay paused, by their names."""
        if camera is None:
            return Pauses()
        kept: list[Pause] = []
        for pause in self.now(now):
            if pause.camera is None:
                others = (name for name in everybody if name != camera)
                kept += [pause.model_copy(update={"camera": name}) for name in others]
            elif pause.camera != camera:
                kept.append(pause)
        return Pauses(pauses=tuple(kept))


def load(home: Path, whose: Whose) -> Pauses:
    """Return what was said; nothing when there is no file. Raises FileUnreadable."""
    path = home / whose.file
    try:
        return Pauses.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Pauses()
    except (OSError, ValidationError) as error:
        raise FileUnreadable(path=path, reason=error) from error


def change(home: Path, whose: Whose, change_it: Callable[[Pauses], Pauses]) -> Pauses:
    """Say something new; on disk when this returns. A file nobody can read is begun anew.

    The file stays when all is resumed: a file that is gone resumes nothing. Each of the two has one
    writer: a person at a terminal, and the agent's thread `orders`.
    """
    try:
        before = load(home, whose)
    except FileUnreadable as error:
        log.warning("pauses begun anew", extra={"reason": error})
        before = Pauses()
    after = change_it(before)
    write_atomically(home / whose.file, after.model_dump_json(exclude_none=True).encode())
    return after


class LivePauses:
    """What is paused in a running agent; `look` takes up what the files say now."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stamps: dict[Whose, tuple[int, ...] | None] = {}
        self._in_force: dict[Whose, Pauses] = {}
        for whose in Whose:
            self._stamps[whose] = _stamp(home / whose.file)
            try:
                self._in_force[whose] = load(home, whose)
            except FileUnreadable as error:
                log.warning("everything paused", extra={"whose": whose.value, "reason": error})
                self._in_force[whose] = Pauses(pauses=(Pause(since=_LONG_AGO),))

    def look(self) -> None:
        """Once a second is enough. Costs two `stat`."""
        for whose in Whose:
            stamp = _stamp(self._home / whose.file)
            if stamp == self._stamps[whose]:
                continue
            self._stamps[whose] = stamp
            if stamp is None:
                log.warning("pauses gone; they stay in force", extra={"whose": whose.value})
                continue
            try:
                self._in_force[whose] = load(self._home, whose)
            except FileUnreadable as error:
                log.warning("pauses stay as they were", extra={"whose": whose.value, "reason": error})
            else:
                names = [pause.camera or "*" for pause in self._in_force[whose].pauses]
                log.info("pauses", extra={"whose": whose.value, "cameras": names})

    def said_by(self, whose: Whose) -> Pauses:
        return self._in_force[whose]

    def cause(self, camera: str, now: datetime) -> str:
        """Return why this camera is not looked at, as a code of `agent.health`, or an empty text."""
        return next((whose.cause for whose in Whose if self._in_force[whose].of(camera, now)), "")

    def by_household(self, now: datetime) -> bool:
        """Has the household paused the whole site?"""
        return self._in_force[Whose.HOUSEHOLD].wholly(now)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
