"""A certificate says what the station says, whatever the box asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector.intake.authority import Authority, RequestRefusedError
from tests.station import request_for

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Công an xã", NOW)


def test_every_name_and_wish_in_a_request_is_ignored(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "_collector")] * 2
    names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Công an tỉnh"))
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("nha-ba-tu")]), critical=False)
        .sign(key, SHA256())
    )
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    issued = authority.sign_request(pem, "nha-ong-ba", NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=nha-ong-ba"
    assert certificate.public_key() == key.public_key()
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.SubjectAlternativeName)
    certificate.verify_directly_issued_by(authority.certificate)


def test_a_certificate_holds_for_90_days_and_for_a_box_that_lives_in_yesterday(authority: Authority) -> None:
    issued = authority.sign_request(request_for(ec.generate_private_key(ec.SECP256R1())), "nha-ong-ba", NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=48)
    assert certificate.not_valid_after_utc == issued.expires == NOW + timedelta(days=90)
    assert f"{certificate.serial_number:x}" == issued.serial


def _signed_by_another_key() -> str:
    """A request whose key is not its signer's: somebody else's key, stolen from his certificate."""
    mine, other = (
        x509.load_pem_x509_csr(request_for(ec.generate_private_key(ec.SECP256R1())).encode()) for _ in "12"
    )
    mixed = mine.public_bytes(serialization.Encoding.DER)
    key_of = lambda request: request.public_key().public_bytes(  # noqa: E731
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    mixed = mixed.replace(key_of(mine), key_of(other))
    return x509.load_der_x509_csr(mixed).public_bytes(serialization.Encoding.PEM).decode()


def _rsa_request() -> str:
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "request_pem",
    [
        "",
        "hello",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
        _signed_by_another_key(),
        _rsa_request(),
    ],
    ids=["empty", "words", "noise", "another's key", "rsa"],
)
def test_a_request_that_is_none_is_refused(authority: Authority, request_pem: str) -> None:
    with pytest.raises(RequestRefusedError):
        authority.sign_request(request_pem, "nha-ong-ba", NOW)


def test_a_revocation_list_names_the_revoked_and_stays_valid_for_years(authority: Authority) -> None:
    pem = authority.revocation_list([("abc123", NOW)], NOW)
    revoked = x509.load_pem_x509_crl(pem)
    assert [entry.serial_number for entry in revoked] == [0xABC123]
    assert revoked.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]
    assert revoked.next_update_utc is not None
    assert revoked.next_update_utc - NOW > timedelta(days=3000)


def test_the_server_certificate_names_every_way_to_the_station(authority: Authority) -> None:
    pem, _ = authority.server(["tram.local", "192.168.1.5", "::1"], NOW)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["tram.local"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.168.1.5", "::1"]
