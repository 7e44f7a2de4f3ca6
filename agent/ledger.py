"""Which commands has this agent obeyed, and what did it answer? Two hundred, on disk.

A command is noted before it is obeyed, so that a restart in the middle does not obey it twice.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.commands import Outcome
from shared.disk import write_atomically
from shared.messages import Thumbnail, Utc

log = logging.getLogger(__name__)

FILE = "commands.json"
KEPT = 200  # a station asks a few in a week, and only those that are not answered again


class Obeyed(BaseModel):
    """A command and the answer to it; without an outcome: it is under way, or was broken off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: UUID
    answered_at: Utc
    outcome: Outcome | None = None
    why: str = ""
    picture: Thumbnail | None = None
    message: UUID | None = None  # which the newest answer was


class _Obeyed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    commands: tuple[Obeyed, ...] = ()


class Ledger:
    """Owned by one thread at a time."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._known = {one.command: one for one in self._read()}

    def find(self, command: UUID) -> Obeyed | None:
        return self._known.get(command)

    def note(self, entry: Obeyed) -> None:
        """On disk when this returns. Raises OSError when the disk takes nothing."""
        kept = self._with(entry)
        write_atomically(self._path, _Obeyed(commands=tuple(kept)).model_dump_json().encode())
        self._known = {one.command: one for one in kept}

    def remember(self, entry: Obeyed) -> None:
        """What was done cannot be written down: at least this run knows it."""
        self._known = {one.command: one for one in self._with(entry)}

    def _with(self, entry: Obeyed) -> list[Obeyed]:
        others = (one for one in self._known.values() if one.command != entry.command)
        return [*others, entry][-KEPT:]

    def broken_off(self, now: datetime) -> list[Obeyed]:
        """What was under way when the agent last ended, to be answered as failed."""
        failed = {"outcome": Outcome.FAILED, "why": "interrupted", "answered_at": now}
        return [one.model_copy(update=failed) for one in self._known.values() if one.outcome is None]

    def _read(self) -> tuple[Obeyed, ...]:
        try:
            return _Obeyed.model_validate_json(self._path.read_bytes()).commands
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            log.warning("obeyed commands forgotten", extra={"reason": error})
            return ()
