"""Who is this box? Key, certificate, the station's CA and where it listens, in `identity/`.

The key is made here and never leaves; the folder appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.disk import sync_folder, write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.identity import site_name
from shared.signing import sign

_FOLDER = "identity"


class NotEnrolled(NeedsFixing):
    key = "not-enrolled"


class AlreadyEnrolled(NeedsFixing):
    key = "already-enrolled"


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled box: its site's name and the way to its station."""

    site: str
    host: str
    broker_port: int
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.folder / "site.crt"

    @property
    def key(self) -> Path:
        return self.folder / "site.key"

    def tls(self) -> ssl.SSLContext:
        """Mutual TLS: only this station's CA is believed, and its name is checked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def signer(self) -> Callable[[bytes], str]:
        """Return what signs with this box's key. Raises FileUnreadable."""
        try:
            key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise FileUnreadable(path=self.key, reason=error) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FileUnreadable(path=self.key, reason="not an EC key")
        return lambda body: sign(body, key)


def load(home: Path) -> Identity:
    """Raises NotEnrolled when this box has no identity yet, FileUnreadable when it is damaged."""
    folder = home / _FOLDER
    try:
        facts = json.loads((folder / "station.json").read_text(encoding="utf-8"))
        return Identity(site_name(facts["site"]), facts["host"], int(facts["broker_port"]), folder)
    except FileNotFoundError as error:
        raise NotEnrolled(home=home) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileUnreadable(path=folder / "station.json", reason=error) from error


@dataclass(frozen=True, slots=True)
class Papers:
    """What enrolment brought home, before it is on disk."""

    site: str
    host: str
    broker_port: int
    key_pem: bytes
    certificate_pem: str
    ca_pem: str


def save(home: Path, papers: Papers) -> Identity:
    """Write the folder beside its place, then rename it: a power cut leaves no half an identity.

    Raises AlreadyEnrolled when there is one.
    """
    folder, unfinished = home / _FOLDER, home / f".{_FOLDER}.unfinished"
    if folder.exists():
        raise AlreadyEnrolled(site=load(home).site)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    write_atomically(unfinished / "site.key", papers.key_pem, mode=0o600)
    write_atomically(unfinished / "site.crt", papers.certificate_pem.encode())
    write_atomically(unfinished / "ca.crt", papers.ca_pem.encode())
    identity = Identity(papers.site, papers.host, papers.broker_port, folder)
    facts = {name: value for name, value in asdict(identity).items() if name != "folder"}
    write_atomically(unfinished / "station.json", json.dumps(facts, indent=2).encode())
    unfinished.rename(folder)
    sync_folder(home)
    return identity
