"""Which minutes has the station asked this household not to delete? Kept and shown; holding is not giving."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.commands import HoldFootage
from shared.disk import write_atomically
from shared.errors import FileUnreadable

FILE = "holds.json"
_MOST = 200  # cases at one house; the oldest goes


class _Holds(BaseModel):
    model_config = ConfigDict(extra="forbid")

    holds: tuple[HoldFootage, ...] = Field(default=())


def load(home: Path) -> tuple[HoldFootage, ...]:
    """Raises FileUnreadable."""
    path = home / FILE
    try:
        return _Holds.model_validate_json(path.read_bytes()).holds
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise FileUnreadable(path=path, reason=error) from error


def add(home: Path, hold: HoldFootage) -> tuple[HoldFootage, ...]:
    """Keep it, on disk when this returns; the same twice is kept once. Raises FileUnreadable."""
    known = load(home)
    after = known if hold in known else (*known, hold)[-_MOST:]
    write_atomically(home / FILE, _Holds(holds=after).model_dump_json().encode())
    return after


def remove(home: Path, camera: str, case: str) -> tuple[HoldFootage, ...]:
    """Let go what this camera holds for this case; nothing is no fault. Raises FileUnreadable."""
    known = load(home)
    after = tuple(hold for hold in known if (hold.camera, hold.case) != (camera, case))
    if after != known:
        write_atomically(home / FILE, _Holds(holds=after).model_dump_json().encode())
    return after
