"""Who is this box? Key, certificate, the station's CA and where it listens, in `identity/`.

The key is made here and never leaves; the folder appears whole or not at all. A new identity is
written beside it (`identity.next`), takes its place, and the one before stays as `identity.previous`
until the new one has been let in.
"""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.uplink import machine
from shared.disk import sync_folder, write_atomically
from shared.errors import FileUnreadable, NeedsFixing
from shared.identity import site_name
from shared.signing import sign

_FOLDER = "identity"
LONG_AGO = "1970-01-01T00:00:00+00:00"  # enrolled before anybody wrote down when
BACKDATED = timedelta(hours=48)  # how far the station dates a certificate back (`collector.intake.authority`)
_INSTALLATION = timedelta(days=1)  # to put up and aim the cameras, and to come back next morning
_CLOCKS_APART = timedelta(hours=1)
_ENROLMENT_PORT = 8443  # what identities from before renewal, which do not say it, were enrolled by


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
    enrolment_port: int = _ENROLMENT_PORT
    enrolled_at: str = ""  # ISO 8601, by the station's clock; renewals leave it; empty: before it was kept

    def is_being_installed(self, now: datetime) -> bool:
        """Is it less than a day since somebody enrolled this box by hand?"""
        if not self.enrolled_at:
            return False
        since = now - datetime.fromisoformat(self.enrolled_at)
        return -_CLOCKS_APART <= since <= _INSTALLATION

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


class Signer:
    """Signs with the key in force; another thread may hand it a new one."""

    def __init__(self, identity: Identity) -> None:
        self._sign = identity.signer()

    def __call__(self, body: bytes) -> str:
        return self._sign(body)

    def take(self, identity: Identity) -> None:
        self._sign = identity.signer()


def load_here(home: Path) -> Identity:
    """Like `load`; raises OtherMachine as well, when it was made for another box."""
    ours = load(home)
    machine.check(ours.folder, ours.site)
    return ours


def load(home: Path) -> Identity:
    """Raises NotEnrolled when this box has no identity yet, FileUnreadable when it is damaged."""
    folder = home / _FOLDER
    _finish_replacing(home)
    try:
        facts = json.loads((folder / "station.json").read_text(encoding="utf-8"))
        port = int(facts.get("enrolment_port", _ENROLMENT_PORT))
        enrolled_at = str(facts.get("enrolled_at", ""))
        if enrolled_at:
            datetime.fromisoformat(enrolled_at)
        return Identity(
            site_name(facts["site"]), facts["host"], int(facts["broker_port"]), folder, port, enrolled_at
        )
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
    enrolment_port: int = _ENROLMENT_PORT
    enrolled_at: str = ""  # of the identity that is renewed; empty: this is the enrolment


def save(home: Path, papers: Papers, *, replace: bool = False) -> Identity:
    """Write the folder beside its place, then rename it: a power cut leaves no half an identity.

    Raises AlreadyEnrolled when there is one that is not to be replaced.
    """
    folder, unfinished = home / _FOLDER, home / f".{_FOLDER}.unfinished"
    if folder.exists() and not replace:
        raise AlreadyEnrolled(site=load(home).site)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    write_atomically(unfinished / "site.key", papers.key_pem, mode=0o600)
    write_atomically(unfinished / "site.crt", papers.certificate_pem.encode())
    write_atomically(unfinished / "ca.crt", papers.ca_pem.encode())
    write_atomically(unfinished / machine.FILE, json.dumps(machine.marks(), indent=2).encode())
    enrolled_at = papers.enrolled_at or _issued_at(papers.certificate_pem)
    identity = Identity(
        papers.site, papers.host, papers.broker_port, folder, papers.enrolment_port, enrolled_at
    )
    facts = {name: value for name, value in asdict(identity).items() if name != "folder"}
    write_atomically(unfinished / "station.json", json.dumps(facts, indent=2).encode())
    next_folder = home / f"{_FOLDER}.next"
    shutil.rmtree(next_folder, ignore_errors=True)
    unfinished.rename(next_folder)
    sync_folder(home)  # from here on the new one is the one, whenever the power goes
    _finish_replacing(home)
    return identity


def _issued_at(certificate_pem: str) -> str:
    """By the station's clock: a box that was never online may be in another year."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return (certificate.not_valid_before_utc + BACKDATED).isoformat()


def forget_previous(home: Path) -> None:
    """The new identity was let in: the old key has nothing more to open."""
    shutil.rmtree(home / f"{_FOLDER}.previous", ignore_errors=True)


def _finish_replacing(home: Path) -> None:
    folder, next_folder, previous = (home / f"{_FOLDER}{end}" for end in ("", ".next", ".previous"))
    if not next_folder.exists():
        return
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    next_folder.rename(folder)
    sync_folder(home)
