"""What does the maker say of an update? Two lines: JSON, and a signature over exactly that line."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime

LONGEST_BYTES = 4096  # of both lines; ours are 400
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_BYTES = 1_000_000_000  # ten times what a version takes today
# Where a station hands out what it has, by the package's own SHA-256: to its sites, over mutual TLS
PACKAGE_PATH, SIGNED_PATH = "/update/v1/{sha256}/package", "/update/v1/{sha256}/signed"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version for one architecture."""

    package: str
    architecture: str
    version: str
    sha256: str  # of the .deb
    size: int
    not_before: datetime
    wave_percent: int  # of all sites; the maker's word, so that no station can hurry


class UnreadableError(ValueError):
    """Not a manifest of ours; the text is a code."""


def numbers(version: str) -> tuple[int, int, int]:
    """Return what two versions are compared by. Raises UnreadableError."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise UnreadableError("version")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def split(content: bytes) -> tuple[bytes, bytes]:
    """Return the signed line and the signature; nothing is read of it before it is checked."""
    lines = content.split(b"\n")
    if len(content) > LONGEST_BYTES or len(lines) != 3 or lines[2]:  # noqa: PLR2004 -- both end with a newline
        raise UnreadableError("lines")
    try:
        return lines[0], base64.b64decode(lines[1], validate=True)
    except binascii.Error as error:
        raise UnreadableError("signature") from error


def parse(line: bytes) -> Manifest:
    """Read a line whose signature was checked. Raises UnreadableError."""
    try:
        facts = json.loads(line)
        manifest = Manifest(
            package=str(facts["package"]),
            architecture=str(facts["architecture"]),
            version=str(facts["version"]),
            sha256=str(facts["sha256"]),
            size=int(facts["size"]),
            not_before=datetime.fromisoformat(facts["not_before"]),
            wave_percent=int(facts["wave_percent"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UnreadableError("fields") from error
    numbers(manifest.version)
    if not _SHA256.fullmatch(manifest.sha256) or not 0 < manifest.size <= _LARGEST_BYTES:
        raise UnreadableError("file")
    if manifest.not_before.utcoffset() is None:
        raise UnreadableError("not_before")
    return manifest
