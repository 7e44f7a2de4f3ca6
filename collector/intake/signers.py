"""Whose signature may a site's message bear? The keys of its certificates, read once and kept at hand."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive.register import Register

Keys = tuple[ec.EllipticCurvePublicKey, ...]

FRESH_S = 1.0  # how long a new certificate's key may still be unknown


@dataclass(slots=True)
class _Known:
    """A site's certificates as last read, and their keys."""

    pems: tuple[str, ...]
    keys: Keys
    asked_s: float


class Signers:
    """Owned by the committer's thread, as the register is."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._known: dict[str, _Known] = {}

    def of(self, site: str, now_s: float) -> Keys:
        """Return the keys of all certificates of a site that still vouch, the newest first."""
        known = self._known.get(site)
        if known is not None and now_s - known.asked_s < FRESH_S:
            return known.keys
        pems = self._register.signing_certificates(site)
        if known is None or known.pems != pems:
            known = _Known(pems, tuple(public_key(pem) for pem in pems), now_s)
        known.asked_s = now_s
        self._known[site] = known
        return known.keys


def public_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a certificate of this station's vouches for."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        message = "this station signs P-256 keys only"  # see authority.request_key
        raise TypeError(message)
    return key
