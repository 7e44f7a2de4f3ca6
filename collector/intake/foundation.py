"""What does a new station consist of? Its folder, built aside and put in place in one step."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from collector.archive.folder import StationFolder
from collector.archive.register import Register
from collector.intake.authority import Authority, Key, key_pem
from collector.intake.broker import write_access, write_configuration
from collector.settings import StationSettings
from shared import credentials
from shared.disk import sync_folder, write_atomically
from shared.errors import NeedsFixing

AUTHORITY_KEY = "authority_key"  # as a credential: what makes sites then lies outside the station's folder
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- compared, not bound
_RENEW_BEFORE = timedelta(days=90)  # a station that is started once a season never shows an old certificate


class StationExists(NeedsFixing):
    key = "station-exists"


class StationFolderUnwritable(NeedsFixing):
    key = "station-folder-unwritable"


class AuthorityKeyMissing(NeedsFixing):
    """The key lies neither in the folder nor among the credentials of this program."""

    key = "authority-key-missing"


class AuthorityKeyForeign(NeedsFixing):
    """A key, but not the one whose certificate every box of this station holds."""

    key = "authority-key-foreign"


def begin(root: Path) -> StationFolder:
    """Return an empty folder beside the one wanted, to be built in and then `finish`ed.

    What an interrupted `init` left there is removed: it never was a station. Raises StationExists
    when anything at all lies at the place wanted.
    """
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise StationExists(path=root)
    making = root.with_name(f".{root.name}.making")
    try:
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise StationFolderUnwritable(path=making, reason=error.strerror) from error
    return StationFolder(making)


def build(folder: StationFolder, settings: StationSettings, now: datetime) -> None:
    """Make keys, certificates, databases and configuration in a folder that `begin` returned."""
    for part in (folder.authority, folder.tls, folder.broker, folder.broker_data, folder.thumbnails):
        part.mkdir(mode=0o700)
    authority = Authority.create(settings.name, now)
    authority.save(folder.ca_certificate, folder.ca_key)
    renew_certificates(folder, authority, settings, now)
    folder.open_archive().close()
    station = folder.open_station()
    write_access(folder, Register(station), authority, now)
    station.close()
    write_atomically(
        folder.configuration, _commented(settings).encode(), mode=0o640
    )  # `alarms` holds passwords
    folder.settings()  # what cannot be read back stops here, while there is no station yet


def finish(making: StationFolder, root: Path) -> StationFolder:
    """Put the whole folder in its place; only now is there a station."""
    root = root.resolve()
    for path, _, _ in os.walk(making.root):
        sync_folder(Path(path))
    making.root.rename(root)  # over an empty folder, too: systemd makes one
    sync_folder(root.parent)
    return StationFolder(root)


def prepare(folder: StationFolder, settings: StationSettings, now: datetime) -> Authority:
    """Bring what is written to disk in line with settings and register, before the station starts."""
    authority = open_authority(folder)
    renew_certificates(folder, authority, settings, now)
    write_configuration(folder, settings)
    station = folder.open_station()
    register = Register(station)
    register.forget_secrets(now)
    write_access(folder, register, authority, now)
    station.close()
    return authority


def open_authority(folder: StationFolder) -> Authority:
    """Open the authority with the key that systemd handed over, else with the folder's own.

    Raises AuthorityKeyMissing, AuthorityKeyForeign, CredentialExposed.
    """
    key = credentials.file(AUTHORITY_KEY) or folder.ca_key
    if not key.exists():
        raise AuthorityKeyMissing(path=key, credential=credentials.PREFIX + AUTHORITY_KEY)
    try:
        authority = Authority.load(folder.ca_certificate, key)
    except (ValueError, TypeError) as error:
        raise AuthorityKeyForeign(path=key) from error
    if authority.certificate.public_key() != authority.key.public_key():
        raise AuthorityKeyForeign(path=key)
    return authority


def renew_certificates(
    folder: StationFolder, authority: Authority, settings: StationSettings, now: datetime
) -> None:
    """Make the station's own certificates where they are missing, soon out of date, or name another host."""
    hosts = [settings.host, *_LOCAL_HOSTS]
    if settings.bind not in _ANYWHERE:
        hosts.append(settings.bind)  # where the collector itself reaches its broker
    if _stale(folder.server_certificate, folder.server_key, hosts, now):
        server = authority.server(list(dict.fromkeys(hosts)), now)
        _save(*server, folder.server_certificate, folder.server_key)
    if _stale(folder.collector_certificate, folder.collector_key, [], now):
        _save(*authority.collector(now), folder.collector_certificate, folder.collector_key)


def _save(pem: str, key: Key, certificate_path: Path, key_path: Path) -> None:
    write_atomically(key_path, key_pem(key), mode=0o600)
    write_atomically(certificate_path, pem.encode())


def _stale(certificate_path: Path, key_path: Path, hosts: Sequence[str], now: datetime) -> bool:
    if not certificate_path.exists():
        return True
    certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    if certificate.public_key() != key.public_key():  # the power went between the two
        return True
    if certificate.not_valid_after_utc - now < _RENEW_BEFORE:
        return True
    if not hosts:
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return not set(hosts) <= {*names.get_values_for_type(x509.DNSName), *addresses}


def default_host() -> str:
    """Return the machine's own name, by which the boxes of a small network may well reach it."""
    return socket.gethostname() or "localhost"


def _commented(settings: StationSettings) -> str:
    """Write every setting with the sentence that explains it."""
    lines = []
    for name, field in StationSettings.model_fields.items():
        value = getattr(settings, name)
        written = _toml(value)
        lines.append(f"# {field.description}\n{name} = {written}\n")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, SecretStr):
        return _toml_string(value.get_secret_value())
    return str(value).lower() if isinstance(value, int | float) else _toml_string(str(value))


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
