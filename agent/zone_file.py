"""Which zones are in force at which camera? `zones.toml` in the agent's home, written by a person.

    [cong-truoc]
    min_height = 0.05
    min_score = { motorcycle = 0.5 }

    [cong-truoc.must_enter]
    san = [[0.1, 0.6], [0.9, 0.6], [1.0, 1.0], [0.0, 1.0]]

    [cong-truoc.ignore]
    duong-lon = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.2], [0.0, 0.2]]

Read once, when the agent starts (and by `agent replay --zones`): a file with an error stops the start,
since an agent that watches other ground than was asked for is worse than one that says so.
"""

from __future__ import annotations

import difflib
import errno
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path

import tomli_w
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from agent.vision.zones import EVERYWHERE, CameraZones
from shared.disk import write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.identity import CameraName

FILE = "zones.toml"

_Tables = TypeAdapter(dict[CameraName, CameraZones])


class ZoneShape(NeedsFixing):
    """A polygon is none, or not within the picture."""

    key = "zone-shape"


class ZoneValue(NeedsFixing):
    """A number or a name is not what it can be."""

    key = "zone-value"


class ZoneRule(NeedsFixing):
    """A rule that does not exist: a slip of the pen would silently watch everything."""

    key = "zone-rule"


class ZonesOfWhom(NeedsFixing):
    """The file speaks of several cameras, or not of the one that was named."""

    key = "zones-of-whom"


def load(path: Path) -> dict[str, CameraZones]:
    """Return all tables of the file; none when there is no file.

    Raises FileUnreadable, ZoneShape, ZoneValue, ZoneRule.
    """
    try:
        return _Tables.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    except ValidationError as error:
        raise _explained(error.errors()[0], path) from error


def of(home: Path, camera: str) -> CameraZones:
    """Return one camera's zones. Raises what `load` raises."""
    return load(home / FILE).get(camera, EVERYWHERE)


def chosen(path: Path, camera: str | None) -> CameraZones:
    """Return that camera's zones, or those of the only one there, from a file that must be there.

    Raises ZonesOfWhom, and what `load` raises.
    """
    if not path.is_file():
        raise FileUnreadable(path=path, reason=os.strerror(errno.ENOENT))
    tables = load(path)
    name = next(iter(tables)) if camera is None and len(tables) == 1 else camera
    if name not in tables:
        raise ZonesOfWhom(path=path, cameras=", ".join(sorted(tables)) or "-", first=min(tables, default="…"))
    return tables[name]


def unknown(home: Path, cameras: Iterable[str]) -> list[str]:
    """Return the names in the file that are no camera's: mistyped, or of one that was removed."""
    return sorted(set(load(home / FILE)) - set(cameras))


def remove(home: Path, camera: str) -> None:
    """Forget a camera that is no longer here: the next of that name looks elsewhere."""
    tables = load(home / FILE)
    if tables.pop(camera, None):
        plain = {name: table.model_dump(mode="json", exclude_defaults=True) for name, table in tables.items()}
        write_atomically(home / FILE, tomli_w.dumps(plain).encode())


def _explained(error: ErrorDetails, path: Path) -> NeedsFixing:
    """Say it so that whoever wrote the file finds the place."""
    parts = [str(part) for part in error["loc"] if part != "[key]"]
    where = ".".join(parts)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(parts[-1], CameraZones.model_fields, n=1, cutoff=0.0)
        return ZoneRule(path=path, where=where, near=near[0])
    is_polygon = len(parts) > 2 and parts[1] in ("must_enter", "ignore") and "[key]" not in error["loc"]  # noqa: PLR2004 -- camera, rule, zone
    if is_polygon:
        return ZoneShape(path=path, where=".".join(parts[:3]))
    return ZoneValue(path=path, where=where)
