"""Which versions may boxes fetch here? Packages by their hash, each with what its maker signed of it.

The station believes no package more than a box does: what is not signed by the maker's key is not taken.
A box checks all of it again; this keeps a wrong file from going out three thousand times.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from shared.disk import sync_folder, write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.update_manifest import LONGEST_BYTES, Manifest, UnreadableError, parse, split

KEYS = (
    Path("/etc/anninh-collector/update-key.pem"),  # the installer's choice comes first
    Path("/usr/lib/anninh-collector/update-key.pem"),  # of the package
)
_CHUNK_BYTES = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")


class UpdateKeyMissing(NeedsFixing):
    """Nobody's updates are believed here."""

    key = "update-key-missing"


class UpdateNotSigned(NeedsFixing):
    """No key of ours made this signature."""

    key = "update-not-signed"


class UpdateDamaged(NeedsFixing):
    """The package is not the one that was signed."""

    key = "update-damaged"


class UpdateNotShelved(NeedsFixing):
    key = "update-not-shelved"


@dataclass(frozen=True, slots=True)
class Shelved:
    """One version for one architecture, ready to be fetched."""

    manifest: Manifest
    package: Path
    signed: Path


class Shelf:
    """The folder `shelf` of a station; one command writes, the endpoint reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, package: Path, keys: Sequence[Path] = KEYS) -> Shelved:
        """Take in a package whose `.update` lies beside it.

        Raises UpdateKeyMissing, UpdateNotSigned, UpdateDamaged, FileUnreadable.
        """
        beside = package.with_name(f"{package.name}.update")
        try:
            content = beside.read_bytes()[: LONGEST_BYTES + 1]
            line, signature = split(content)
            _check_signature(line, signature, keys, beside)
            manifest = parse(line)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._copy(package, manifest)
            write_atomically(self._path(manifest.sha256, "update"), content)
        except (OSError, UnreadableError) as error:
            where = getattr(error, "filename", None) or beside
            raise FileUnreadable(path=where, reason=getattr(error, "strerror", None) or error) from error
        return self._shelved(manifest)

    def all(self) -> list[Shelved]:
        """Return what is here, the newest version first; what cannot be read is not here."""
        found = (self.find(path.stem) for path in self._folder.glob("*.update"))
        return sorted(
            (one for one in found if one), key=lambda one: _order(one.manifest.version), reverse=True
        )

    def find(self, sha256: str) -> Shelved | None:
        if not _NAME.fullmatch(sha256):
            return None
        try:
            line, _ = split(self._path(sha256, "update").read_bytes())
            found = self._shelved(parse(line))
        except (OSError, UnreadableError):
            return None
        return found if found.package.is_file() else None

    def remove(self, version: str) -> int:
        """Take a version off the shelf, for all architectures; return how many packages it was.

        A box in the middle of it starts to be told that there is none. Raises UpdateNotShelved.
        """
        found = [one for one in self.all() if one.manifest.version == version]
        if not found:
            raise UpdateNotShelved(version=version)
        for one in found:
            one.signed.unlink()
            one.package.unlink(missing_ok=True)
        sync_folder(self._folder)
        return len(found)

    def _path(self, sha256: str, kind: str) -> Path:
        return self._folder / f"{sha256}.{kind}"

    def _shelved(self, manifest: Manifest) -> Shelved:
        return Shelved(manifest, self._path(manifest.sha256, "deb"), self._path(manifest.sha256, "update"))

    def _copy(self, package: Path, manifest: Manifest) -> None:
        """Copy, hash what was copied, and only then give it its name."""
        digest, copied = hashlib.sha256(), 0
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".adding-")
        try:
            with os.fdopen(descriptor, "wb") as copy, package.open("rb") as source:
                while (chunk := source.read(_CHUNK_BYTES)) and copied <= manifest.size:
                    copied += len(chunk)
                    digest.update(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            if (copied, digest.hexdigest()) != (manifest.size, manifest.sha256):
                raise UpdateDamaged(path=package)
            Path(temporary).replace(self._path(manifest.sha256, "deb"))
        finally:
            Path(temporary).unlink(missing_ok=True)
        sync_folder(self._folder)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _check_signature(line: bytes, signature: bytes, keys: Sequence[Path], beside: Path) -> None:
    present = [key for key in keys if key.is_file()]
    if not present:
        raise UpdateKeyMissing(path=keys[0])
    if not any(_is_signed(line, signature, key) for key in present):
        raise UpdateNotSigned(path=beside)


def _is_signed(line: bytes, signature: bytes, path: Path) -> bool:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise FileUnreadable(path=path, reason="not an EC key")
    try:
        key.verify(signature, line, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
