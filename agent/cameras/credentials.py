"""With which login does a camera let us in? `credentials.toml`, readable by the agent alone (0600).

A password a camera has refused is never sent to it again: not by this run of the program, not by the
next. Cameras lock themselves after five wrong ones, for half an hour (Hikvision) or for good; only a
person who types it anew (`agent cameras login`) may try. A login belongs to a device: the eight channels
of a recorder share one, in this file and in memory, so that a changed password costs one wrong try.

Logins may also be handed over by systemd (`anninh_cameras`, the same form): then no password lies on the
disk. What a person typed on the box goes before them, and their refusals are kept in the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4
from weakref import WeakValueDictionary

import tomli_w
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from shared import credentials as handed
from shared.disk import write_atomically
from shared.errors import FileUnreadable

log = logging.getLogger(__name__)

FILE = "credentials.toml"
HANDED = "cameras"
_OWNER_ONLY = 0o600
_TAKEN_S = 10.0  # a login taken a moment ago may be said by several connections at once


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr
    refused: bool = False
    typed: str = ""  # a new mark each time a person types: the same password typed again is a new try


_Rows = TypeAdapter(dict[str, _Row])
_NOWHERE = SecretStr("")  # of a row that only says what became of a login that was handed over


@dataclass(slots=True, eq=False, weakref_slot=True)
class Credential:
    """A login as every connection to one device shares it."""

    username: str
    password: SecretStr
    refused: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    kept_in: tuple[Path, str] | None = field(default=None, repr=False)  # the agent's home, whose login
    typed: str = field(default="", repr=False)
    _taken_s: float = field(default=float("-inf"), repr=False)

    @contextmanager
    def trial(self, monotonic_s: float) -> Iterator[None]:
        """Say the password one connection at a time: two streams never spend two tries on a wrong one.

        Except just after the device has taken it: a recorder's sixteen streams must not queue for
        seconds each. Whoever enters looks at `refused` first, and tells with `refuse` or `took`.
        """
        sure = monotonic_s - self._taken_s < _TAKEN_S
        with nullcontext() if sure else self.turn:
            yield

    def took(self, monotonic_s: float) -> None:
        self._taken_s = monotonic_s

    def refuse(self) -> None:
        """Remember, also on disk, that the camera does not take this password."""
        self.refused = True
        self._taken_s = float("-inf")
        if self.kept_in is None:
            return
        home, name = self.kept_in
        try:
            with _locked(home):
                rows = _read(home)
                ours = rows.get(name)
                row = _in_force(ours, _handed().get(name))
                if row and row.typed == self.typed:
                    secret = (
                        row.password if row is ours else _NOWHERE
                    )  # what was handed over stays off the disk
                    rows[name] = row.model_copy(update={"refused": True, "password": secret})
                    _write(home, rows)
        except OSError as error:  # a full disk: this run of the program still knows
            log.error("refusal not written", extra={"camera": name, "reason": error})  # noqa: TRY400 -- no traceback for a full disk

    def renewed(self) -> Credential | None:
        """Return what a person has typed since, or None while it is still this one."""
        fresh = load(*self.kept_in) if self.kept_in else None
        return fresh if fresh and not fresh.refused else None


_shared: WeakValueDictionary[tuple[Path, str, str], Credential] = WeakValueDictionary()
_sharing = threading.Lock()


def load(home: Path, name: str) -> Credential | None:
    """Return this login, the same object to everybody; None when there is none. Raises FileUnreadable."""
    row = _in_force(_read(home).get(name), _handed().get(name))
    if row is None:
        return None
    with _sharing:
        credential = _shared.get((home, name, row.typed))
        if credential is None:
            credential = Credential(
                row.username, row.password, row.refused, kept_in=(home, name), typed=row.typed
            )
            _shared[home, name, row.typed] = credential
    credential.refused = credential.refused or row.refused
    return credential


def origins(home: Path) -> dict[str, str]:
    """Say of each login where it is read from."""
    ours, theirs = _read(home), _handed()
    places = {name: str(home / FILE) for name, row in ours.items() if row.password != _NOWHERE}
    return {name: str(handed.file(HANDED)) for name in theirs} | places


def _in_force(ours: _Row | None, theirs: _Row | None) -> _Row | None:
    """What a person typed here before what was handed over, as refused as the file says."""
    if ours is not None and ours.password != _NOWHERE:
        return ours
    if theirs is None or ours is None or ours.typed != theirs.typed:
        return theirs
    return theirs.model_copy(update={"refused": ours.refused})


def _handed() -> dict[str, _Row]:
    """Return the logins from systemd; their mark is what they are: another password is a new try."""
    path = handed.file(HANDED)
    if path is None:
        return {}
    rows = _rows(path)
    return {name: row.model_copy(update={"typed": _mark(row)}) for name, row in rows.items()}


def _mark(row: _Row) -> str:
    whole = f"{row.username}\0{row.password.get_secret_value()}"
    return hashlib.sha256(whole.encode()).hexdigest()


def save(home: Path, name: str, credential: Credential) -> None:
    """Keep a login a person typed and a camera took; a refusal before it is forgotten."""
    with _locked(home):
        rows = _read(home)
        rows[name] = _Row(username=credential.username, password=credential.password, typed=uuid4().hex)
        _write(home, rows)


def remove(home: Path, name: str) -> None:
    with _locked(home):
        rows = _read(home)
        if rows.pop(name, None):
            _write(home, rows)


def rename(home: Path, name: str, to: str) -> None:
    """Keep a login under another camera's name: the one it was kept under is leaving the recorder."""
    with _locked(home):
        rows = _read(home)
        if row := rows.pop(name, None):
            _write(home, rows | {to: row})


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """`agent run` and `agent cameras login` may write at the same time."""
    with (home / ".credentials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(home: Path) -> dict[str, _Row]:
    return _rows(home / FILE)


def _rows(path: Path) -> dict[str, _Row]:
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
        name: row.model_dump() | {"password": row.password.get_secret_value()} for name, row in rows.items()
    }
    write_atomically(home / FILE, tomli_w.dumps(plain).encode(), mode=_OWNER_ONLY)
