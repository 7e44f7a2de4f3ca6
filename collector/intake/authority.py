"""Who says that a box is who it is? The station's own certificate authority, and nobody else.

The authority's key lies in the station's folder, mode 0600, without a passphrase: whoever owns the
station's disk owns the station, unless the key was sealed and is handed over by systemd
(systemd/README.md). An offline root with a passphrase is a later step.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.disk import write_atomically
from shared.identity import COLLECTOR, site_name
from shared.signing import sign

BACKDATED = timedelta(hours=48)  # a box without a clock battery may live in yesterday
AUTHORITY_LIFETIME = timedelta(days=3650)  # every box holds it: replacing it means visiting every house
STATION_LIFETIME = timedelta(days=825)  # the longest a browser accepts from a private authority
SITE_LIFETIME = timedelta(days=90)  # renewed by the box from day 60 on
STAND_IN_LIFETIME = timedelta(minutes=1)  # used at once, by the station itself; the key is in memory only
REVOCATIONS_LIFETIME = timedelta(days=3650)  # OpenSSL refuses everybody once a list is out of date
MAX_COMMON_NAME = 64  # X.520 upper bound

Key = ec.EllipticCurvePrivateKey


class RequestRefusedError(ValueError):
    """A certificate request that is none, is not signed by its own key, or has another kind of key."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, with what the register keeps of it."""

    pem: str
    serial: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """The key that signs, and the certificate that everybody verifies by."""

    certificate: x509.Certificate
    key: Key

    @classmethod
    def create(cls, station: str, now: datetime) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"An Ninh CA {station}"[:MAX_COMMON_NAME])
        builder = (
            _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(builder.sign(key, SHA256()), key)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Self:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            message = f"not an EC key: {key}"
            raise TypeError(message)
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)

    def save(self, certificate: Path, key: Path) -> None:
        write_atomically(key, key_pem(self.key), mode=0o600)
        write_atomically(certificate, self.pem.encode())

    @property
    def pem(self) -> str:
        return certificate_pem(self.certificate)

    def sign_request(self, request_pem: str, site: str, now: datetime) -> Issued:
        """Certify the key of a PKCS#10 request for this site, ignoring every name it asks for.

        Raises RequestRefusedError.
        """
        key = request_key(request_pem)
        builder = self._leaf(_name(site_name(site)), key, now, SITE_LIFETIME).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True
        )
        return _issued(builder.sign(self.key, SHA256()))

    def server(self, hosts: Sequence[str], now: datetime) -> tuple[str, Key]:
        """Make the key and certificate the station shows under these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._leaf(_name(hosts[0][:MAX_COMMON_NAME]), key.public_key(), now, STATION_LIFETIME)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
            )
        )
        return certificate_pem(builder.sign(self.key, SHA256())), key

    def collector(self, now: datetime) -> tuple[str, Key]:
        """Make the key and certificate by which the collector speaks to its own broker."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(_name(COLLECTOR), key.public_key(), now, STATION_LIFETIME).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True
        )
        return certificate_pem(builder.sign(self.key, SHA256())), key

    def stand_in(self, site: str, now: datetime) -> tuple[str, Key]:
        """Make a key and certificate that live for a minute, to take a shut-out box's connection away."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._leaf(_name(site_name(site)), key.public_key(), now, STAND_IN_LIFETIME).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True
        )
        return certificate_pem(builder.sign(self.key, SHA256())), key

    def sign(self, body: bytes) -> str:
        return sign(body, self.key)

    def revocation_list(
        self, revoked: Sequence[tuple[str, datetime]], now: datetime, *, before: bytes | None = None
    ) -> bytes:
        """List the serials (hexadecimal) that are no longer good, for the broker to read.

        The broker keeps every list it ever read and OpenSSL goes by the newest. Which of two with one
        date it takes is its own affair: the new one is always dated after the one `before`.
        """
        made = now - BACKDATED
        if before is not None:
            made = max(made, x509.load_pem_x509_crl(before).last_update_utc + timedelta(seconds=1))
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(made)
            .next_update(now + REVOCATIONS_LIFETIME)
        )
        for serial, since in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, SHA256()).public_bytes(serialization.Encoding.PEM)

    def _leaf(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            _builder(subject, self.certificate.subject, key, now, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(issuer_key, critical=False)
        )


def request_key(request_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a request that is signed by it. Raises RequestRefusedError."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature) as error:
        raise RequestRefusedError("not a PKCS#10 request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestRefusedError("not a P-256 key")
    if not signed:
        raise RequestRefusedError("not signed by its own key")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key (SubjectPublicKeyInfo), hexadecimal."""
    digest = Hash(SHA256())
    digest.update(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return digest.finalize().hex()


def public_key_of(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a certificate of this authority vouches for."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        message = "not an EC key"
        raise TypeError(message)
    return key


def common_name(der: bytes) -> str:
    """Return the site a certificate of this authority names."""
    names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _issued(certificate: x509.Certificate) -> Issued:
    return Issued(
        certificate_pem(certificate), f"{certificate.serial_number:x}", certificate.not_valid_after_utc
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
