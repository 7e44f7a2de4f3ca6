"""How does a version come home over a bad line? In parts, each going on where the one before broke.

Standard library only, like its folder. What arrives is checked here against the station's word, and by
root's updater against the maker's signature.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from agent.update import request
from agent.update.runner import BUNDLE, REQUEST
from agent.update.wish import Wanted
from shared.update_manifest import LONGEST_BYTES, PACKAGE_PATH, SIGNED_PATH, UnreadableError, split

MOST_BYTES_S = 125_000  # 1 Mbit/s: 150 MB in 20 minutes, and the household's film goes on
RESERVE_BYTES = 200_000_000  # stays free: events come before updates
_PART_S = 25.0  # the station ends every connection after 30
_TIMEOUT_S = 20.0
_CHUNK_BYTES = 16 * 1024


class FetchError(Exception):
    """Not yet, or never; the text is a code: `problems.update-<code>` in the catalogue."""


class LaterError(FetchError):
    """The same attempt may well succeed in an hour."""


class NeverError(FetchError):
    """What the station has is not what it said."""


@dataclass(frozen=True, slots=True)
class Source:
    """The station's port for its sites."""

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]  # made anew each time: certificates are renewed


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and how much stays free; a test is in more of a hurry."""

    most_bytes_s: float = MOST_BYTES_S
    reserve_bytes: int = RESERVE_BYTES
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], object] = time.sleep  # true when it was cut short: the agent stops


def bring_home(home: Path, wanted: Wanted, source: Source, pace: Pace) -> None:
    """Fetch the package and what its maker signed, and put both down for root's updater.

    Raises LaterError (what has come so far is kept), NeverError.
    """
    folder = home / "update"
    folder.mkdir(mode=0o700, exist_ok=True)
    if (folder / REQUEST).exists():
        raise LaterError("coming")  # the one before is with root's updater
    part = folder / f"{wanted.sha256}.part"
    for old in folder.glob("*.part"):
        if old != part:
            old.unlink()
    while (missing := wanted.size_bytes - _size(part)) > 0:
        if shutil.disk_usage(folder).free < missing + pace.reserve_bytes:
            raise LaterError("no-room")
        if _fetch_part(source, wanted, part, pace) == 0:
            raise LaterError("unreachable")
    if _sha256(part) != wanted.sha256:
        part.unlink()
        raise NeverError("damaged")
    signed = _fetch_signed(source, wanted)
    part.replace(folder / BUNDLE)
    request(home, folder / BUNDLE, signed)


def _fetch_part(source: Source, wanted: Wanted, part: Path, pace: Pace) -> int:
    """Return how many bytes more are on disk; whatever cuts the line, they stay."""
    have = _size(part)
    connection = _connection(source)
    try:
        path = PACKAGE_PATH.format(sha256=wanted.sha256)
        answer = _asked(connection, path, {"Range": f"bytes={have}-"})
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            _check_place(answer, have)
        elif have:
            raise LaterError("unreachable")  # a whole file cannot be put behind a part
        return _append(answer, part, wanted.size_bytes - have, pace)
    finally:
        connection.close()


def _connection(source: Source) -> http.client.HTTPSConnection:
    try:
        return http.client.HTTPSConnection(source.host, source.port, timeout=_TIMEOUT_S, context=source.tls())
    except OSError as error:  # the certificate is being renewed at this moment
        raise LaterError("unreachable") from error


def _asked(
    connection: http.client.HTTPSConnection, path: str, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """Return an answer that has a body of ours. Raises LaterError."""
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise LaterError("unreachable") from error
    if answer.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        raise LaterError("not-there")
    if answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise LaterError("unreachable")
    return answer


def _check_place(answer: http.client.HTTPResponse, have: int) -> None:
    if not answer.getheader("Content-Range", "").startswith(f"bytes {have}-"):
        raise LaterError("unreachable")


def _append(answer: http.client.HTTPResponse, part: Path, missing: int, pace: Pace) -> int:
    """Write what comes, no faster than allowed, until it is all, or the line or our time ends."""
    began_s, got = pace.monotonic(), 0
    with part.open("ab") as file:
        while got < missing and pace.monotonic() - began_s < _PART_S:
            chunk = _read(answer, min(_CHUNK_BYTES, missing - got))
            if not chunk:
                break
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise LaterError("no-room") from error
            got += len(chunk)
            early_s = got / pace.most_bytes_s - (pace.monotonic() - began_s)
            if early_s > 0 and pace.wait(early_s):
                raise LaterError("coming")
        with suppress(OSError):  # a hash over all of it is taken in the end
            os.fsync(file.fileno())
    return got


def _read(answer: http.client.HTTPResponse, most: int) -> bytes:
    """Return nothing where the line broke."""
    try:
        return answer.read1(most)
    except (OSError, http.client.HTTPException):
        return b""


def _fetch_signed(source: Source, wanted: Wanted) -> bytes:
    connection = _connection(source)
    try:
        signed = _asked(connection, SIGNED_PATH.format(sha256=wanted.sha256), {}).read(LONGEST_BYTES + 1)
        split(signed)
    except UnreadableError as error:
        raise NeverError("damaged") from error
    except (OSError, http.client.HTTPException) as error:
        raise LaterError("unreachable") from error
    finally:
        connection.close()
    return signed


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
