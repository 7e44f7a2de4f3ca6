"""How does a box without a network come to belong to a site? By two files carried on a USB stick.

The key stays here, in `petition.key`, until the answer comes. Whether the right files were carried
is seen by two short codes: the station asks for the one shown here, and we for the one shown there.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.uplink import machine
from agent.uplink.enroll import AnswerNotUnderstood, check_certificate, key_pem, request_for
from agent.uplink.identity import Papers
from shared.disk import write_atomically
from shared.enrolment import Bundle, Petition, SignedBundle, same_code, short_code
from shared.errors import FileUnreadable, NeedsFixing
from shared.signing import canonical, is_signed

_KEY = "petition.key"
_MAX_BUNDLE_BYTES = 64 * 1024  # two certificates are 2 kB; a stick may hold anything under that name


class StickUnwritable(NeedsFixing):
    key = "stick-unwritable"


class PetitionMissing(NeedsFixing):
    """A bundle without the key it was made for."""

    key = "petition-missing"


class BundleNotOurs(NeedsFixing):
    """No bundle, not signed by the authority it names, or for another key."""

    key = "bundle-not-ours"


class BundleCodeWrong(NeedsFixing):
    key = "bundle-code-wrong"


def write_petition(home: Path, target: Path) -> str:
    """Write what the station is to sign, and return the code to read out; again gives the same key."""
    key = _load_key(home)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomically(home / _KEY, key_pem(key), mode=0o600)
    petition = Petition(request_pem=request_for(key), machine=machine.first(machine.marks()))
    try:
        target.write_text(petition.model_dump_json(), encoding="utf-8")
    except OSError as error:
        raise StickUnwritable(path=target, reason=error.strerror) from error
    return short_code(petition)


def read_bundle(path: Path) -> Bundle:
    """Return what the authority named in it signed; whether it is the right one, its code tells."""
    try:
        with path.open("rb") as file:
            signed = SignedBundle.model_validate_json(file.read(_MAX_BUNDLE_BYTES))
        authority = x509.load_pem_x509_certificate(signed.bundle.ca_pem.encode())
        key = authority.public_key()
        certificate = x509.load_pem_x509_certificate(signed.bundle.certificate_pem.encode())
        certificate.verify_directly_issued_by(authority)
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature) as error:
        raise BundleNotOurs(path=path) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BundleNotOurs(path=path)
    if not is_signed(canonical(signed.bundle), signed.signature, key):
        raise BundleNotOurs(path=path)
    return signed.bundle


def accept(home: Path, bundle: Bundle, typed: str, path: Path) -> Papers:
    """Return the papers, when the code is the one the station showed and the key is ours."""
    if not same_code(typed, short_code(bundle)):
        raise BundleCodeWrong(path=path)
    key = _load_key(home)
    if key is None:
        raise PetitionMissing
    try:
        check_certificate(bundle.certificate_pem, bundle.site, key)
    except AnswerNotUnderstood as error:
        raise BundleNotOurs(path=path) from error
    return Papers(
        site=bundle.site,
        host=bundle.host,
        broker_port=bundle.broker_port,
        key_pem=key_pem(key),
        certificate_pem=bundle.certificate_pem,
        ca_pem=bundle.ca_pem,
        enrolment_port=bundle.enrolment_port,
    )


def forget_key(home: Path) -> None:
    """The identity has it now."""
    (home / _KEY).unlink(missing_ok=True)


def _load_key(home: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key((home / _KEY).read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileUnreadable(path=home / _KEY, reason=error) from error
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None
