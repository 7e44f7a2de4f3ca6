"""Which version does the station want here? One file: the newest wish, for whoever fetches it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

FILE = "update-wanted.json"


class Update(Protocol):
    """As `shared.commands.Update`, which root's updater cannot know."""

    @property
    def version(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version at the station, and how to know it when it has come."""

    version: str
    sha256: str
    size_bytes: int


def ask(home: Path, update: Update) -> None:
    """Write the wish down, in place of the one before; on disk when this returns. Raises OSError."""
    path, unfinished = home / FILE, home / f".{FILE}.unfinished"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(asdict(Wanted(update.version, update.sha256, update.size_bytes)), file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read(home: Path) -> Wanted | None:
    """Return what is wanted, or None."""
    try:
        return Wanted(**json.loads((home / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def forget(home: Path) -> None:
    """It was fetched, or can never be."""
    (home / FILE).unlink(missing_ok=True)
