"""With which login does a camera let us in? `credentials.toml`, readable by the agent alone (0600).

A password a camera has refused is never sent to it again: not by this run of the program, not by the
next. Cameras lock themselves after five wrong ones, for half an hour (Hikvision) or for good; only a
person who types it anew (`agent cameras login`) may try.
"""

from __future__ import annotations

import fcntl
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from shared.disk import write_atomically
from shared.errors import FileUnreadable

FILE = "credentials.toml"
_OWNER_ONLY = 0o600


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr
    refused: bool = False


_Rows = TypeAdapter(dict[str, _Row])


@dataclass(slots=True, eq=False)
class Credential:
    """A login as every connection to one camera shares it.

    `turn` lets one connection at a time say the password, so that two streams of one camera never
    spend two tries on the same wrong one.
    """

    username: str
    password: SecretStr
    refused: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    kept_in: tuple[Path, str] | None = field(default=None, repr=False)  # the agent's home, the camera

    def refuse(self) -> None:
        """Remember, also on disk, that the camera does not take this password."""
        self.refused = True
        if self.kept_in is None:
            return
        home, name = self.kept_in
        with _locked(home):
            rows = _read(home)
            row = rows.get(name)
            if row and (row.username, row.password) == (self.username, self.password):
                rows[name] = row.model_copy(update={"refused": True})
                _write(home, rows)

    def renewed(self) -> Credential | None:
        """Return what a person has typed since, or None while it is still this one."""
        fresh = load(*self.kept_in) if self.kept_in else None
        return fresh if fresh and not fresh.refused else None


def load(home: Path, name: str) -> Credential | None:
    """Return the camera's login; None when it has none. Raises FileUnreadable."""
    row = _read(home).get(name)
    if row is None:
        return None
    return Credential(row.username, row.password, row.refused, kept_in=(home, name))


def save(home: Path, name: str, credential: Credential) -> None:
    """Keep a login a person typed and a camera took; a refusal before it is forgotten."""
    with _locked(home):
        rows = _read(home)
        rows[name] = _Row(username=credential.username, password=credential.password)
        _write(home, rows)


def remove(home: Path, name: str) -> None:
    with _locked(home):
        rows = _read(home)
        if rows.pop(name, None):
            _write(home, rows)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """`agent run` and `agent cameras login` may write at the same time."""
    with (home / ".credentials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(home: Path) -> dict[str, _Row]:
    path = home / FILE
    try:
        return _Rows.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    except ValidationError as error:  # its text would quote the password
        raise FileUnreadable(path=path, reason=error.errors()[0]["msg"]) from None


def _write(home: Path, rows: dict[str, _Row]) -> None:
    plain = {
        name: {"username": row.username, "password": row.password.get_secret_value(), "refused": row.refused}
        for name, row in rows.items()
    }
    write_atomically(home / FILE, tomli_w.dumps(plain).encode(), mode=_OWNER_ONLY)
