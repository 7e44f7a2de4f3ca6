"""Which cameras do we watch? `cameras.toml`: who each one is and where its streams are, never a login."""

from __future__ import annotations

import fcntl
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent.cameras.credentials import Credential
from agent.cameras.identity import Traits
from agent.cameras.stream import StreamAddress
from shared.disk import write_atomically
from shared.errors import FileUnreadable
from shared.identity import CameraName, site_name

FILE = "cameras.toml"
_LONGEST_NAME = 36  # leaves room for a number behind it in the 40 characters of a name


def _without_login(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        message = "an address in the register carries no login"
        raise ValueError(message)
    return url


Url = Annotated[str, AfterValidator(_without_login)]


class CameraEntry(BaseModel):
    """One camera, or one lens of a recorder; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: CameraName
    endpoint: UUID | None = None  # WS-Discovery's EndpointReference
    mac: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    source: str = ""  # ONVIF's VideoSource token: which lens
    login: CameraName | None = None  # the camera whose login is this one's too: channels of one recorder
    onvif_url: Url
    detect_url: Url
    picture_url: Url
    clock_offset_s: float | None = None  # the camera's clock minus ours, as last measured
    camera_events: Literal["auto", "on", "off"] = (
        "auto"  # listen to its own events; auto: unless it has one ear
    )

    @property
    def host(self) -> str:
        return urlsplit(self.onvif_url).hostname or ""

    def detect_address(self, credential: Credential | None) -> StreamAddress:
        return StreamAddress(self.detect_url, credential)

    def picture_address(self, credential: Credential | None) -> StreamAddress:
        return StreamAddress(self.picture_url, credential)

    @property
    def login_name(self) -> str:
        """Under which name its login is kept: a recorder's channels share one."""
        return self.login or self.name

    @property
    def traits(self) -> Traits:
        return Traits(self.mac, self.endpoint, self.serial, self.model)

    def is_same_device(self, other: CameraEntry) -> bool:
        return self.traits.is_same(other.traits) is True

    def is_same_camera(self, other: CameraEntry) -> bool:
        """The same lens of the same device."""
        return self.source == other.source and self.is_same_device(other)

    def moved_to(self, host: str) -> CameraEntry:
        """The same camera at another address: ports and paths stay as they were."""
        return self.model_copy(
            update={
                field: _at(getattr(self, field), host) for field in ("onvif_url", "detect_url", "picture_url")
            }
        )


def _at(url: str, host: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host))


Entries = tuple[CameraEntry, ...]
_Entries = TypeAdapter(dict[str, Entries])


def load(home: Path) -> Entries:
    """Return the cameras in the order they were added. Raises FileUnreadable."""
    path = home / FILE
    try:
        tables = _Entries.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FileUnreadable(path=path, reason=f"{where}: {first['msg']}") from error
    return tables.get("camera", ())


def save(home: Path, entries: Iterable[CameraEntry]) -> None:
    plain = [entry.model_dump(mode="json", exclude_none=True) for entry in entries]
    write_atomically(home / FILE, tomli_w.dumps({"camera": plain}).encode())


def change(home: Path, edit: Callable[[Entries], Entries]) -> Entries:
    """Read, edit and save in one: `agent run` and `agent cameras add` may both want to."""
    with (home / ".cameras.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = edit(load(home))
        save(home, entries)
        return entries


def merged(entries: Entries, new: CameraEntry) -> Entries:
    """Put a camera in; one we know already keeps its name and place, whatever its address is now."""
    for position, known in enumerate(entries):
        if known.is_same_camera(new):
            update = new.model_copy(update={"name": known.name})
            return (*entries[:position], update, *entries[position + 1 :])
    return (*entries, new)


def free_name(wish: str, taken: Iterable[str]) -> str:
    """Return a valid name nobody has: the wish if it can be one, else `cam-1`, `cam-2` …"""
    used = set(taken)
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in wish.lower())
    base = "-".join(words.split())[:_LONGEST_NAME].strip("-")
    if _is_name(base) and base not in used:
        return base
    stem = base if _is_name(base) else "cam"
    first = 2 if stem == base else 1
    return next(name for number in range(first, 1000) if (name := f"{stem}-{number}") not in used)


def _is_name(text: str) -> bool:
    try:
        site_name(text)
    except ValueError:
        return False
    return True
