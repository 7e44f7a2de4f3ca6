"""How does a new box come to belong to a site? By one short code; `shared.enrolment` has the flow."""

from __future__ import annotations

import http.client
import secrets
import ssl
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ValidationError

from agent.uplink import machine
from agent.uplink.identity import Papers
from shared.enrolment import (
    CERTIFICATE_PATH,
    HELLO_PATH,
    CertificateAnswer,
    CertificateRequest,
    Code,
    Hello,
    HelloAnswer,
    client_proof,
    proof_matches,
    server_proof,
)
from shared.errors import NeedsFixing, TryLater

_TIMEOUT_S = 15.0  # a kitchen's 4G; the exchange itself takes 0.13 s (measured)
_MAX_ANSWER_BYTES = 64 * 1024  # two certificates are 2 kB; a stranger may send anything
_DEFAULT_PORT = 8443
Answer = TypeVar("Answer", bound=BaseModel)
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED


class AddressInvalid(NeedsFixing):
    key = "station-address-invalid"


class StationUnreachable(TryLater):
    key = "station-unreachable"


class CodeRefused(NeedsFixing):
    key = "code-refused"


class StationNotProven(NeedsFixing):
    """Whoever answered does not know the code's secret: a wrong code, or a man in the middle."""

    key = "station-not-proven"


class ClockWrong(NeedsFixing):
    key = "clock-wrong"


class AnswerNotUnderstood(TryLater):
    key = "station-answer-not-understood"


@dataclass(frozen=True, slots=True)
class StationAddress:
    """Where the enrolment endpoint listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> StationAddress:
        """Read `https://host[:port]` or plain `host[:port]`; raises AddressInvalid."""
        parts = urlsplit(url if "://" in url else f"https://{url}")
        try:
            port = parts.port or _DEFAULT_PORT
        except ValueError as error:
            raise AddressInvalid(url=url) from error
        if parts.scheme != "https" or not parts.hostname:
            raise AddressInvalid(url=url)
        return cls(parts.hostname, port)


def obtain_papers(station: StationAddress, code: Code) -> Papers:
    """Prove the station, then get a certificate for a key made here.

    Raises StationUnreachable, StationNotProven (nothing of worth was said yet, the code is still
    unused), CodeRefused, ClockWrong, AnswerNotUnderstood.
    """
    ca_pem = _prove(station, code)
    key = ec.generate_private_key(ec.SECP256R1())
    request_pem = request_for(key)
    body = CertificateRequest(
        code_id=code.code_id,
        request_pem=request_pem,
        proof=client_proof(code.secret, request_pem),
        machine=machine.first(machine.marks()),
    )
    verified = ssl.create_default_context(cadata=ca_pem)
    answer = ask(station, CERTIFICATE_PATH, body, verified, CertificateAnswer)
    check_certificate(answer.certificate_pem, answer.site, key)
    return Papers(
        site=answer.site,
        host=station.host,
        broker_port=answer.broker_port,
        key_pem=key_pem(key),
        certificate_pem=answer.certificate_pem,
        ca_pem=ca_pem,
        enrolment_port=station.port,
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _prove(station: StationAddress, code: Code) -> str:
    """Return the CA of a station that knows the code's secret, over a channel not trusted for more."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # the proof, not the channel, is what is believed
    nonce = secrets.token_hex(32)
    hello = Hello(code_id=code.code_id, nonce=nonce)
    answer = ask(station, HELLO_PATH, hello, unverified, HelloAnswer)
    if not proof_matches(server_proof(code.secret, nonce, answer.ca_pem), answer.proof):
        raise StationNotProven(host=station.host)
    return answer.ca_pem


def request_for(key: ec.EllipticCurvePrivateKey) -> str:
    """The name in it is of no account: the station names the site by the code."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anninh-agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def check_certificate(pem: str, site: str, key: ec.EllipticCurvePrivateKey) -> None:
    """The certificate must be for our key and in the site's name."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        public_key = certificate.public_key()
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise AnswerNotUnderstood(reason="certificate") from error
    if public_key != key.public_key() or names != [site]:
        raise AnswerNotUnderstood(reason="certificate")


def ask(
    station: StationAddress, path: str, body: BaseModel, tls: ssl.SSLContext, expected: type[Answer]
) -> Answer:
    status, content = _post(station, path, body.model_dump_json().encode(), tls)
    if status in (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.TOO_MANY_REQUESTS):
        raise CodeRefused(host=station.host)
    if status != http.HTTPStatus.OK:
        raise AnswerNotUnderstood(reason=f"HTTP {status}")
    try:
        return expected.model_validate_json(content)
    except ValidationError as error:
        raise AnswerNotUnderstood(reason=expected.__name__) from error


def _post(station: StationAddress, path: str, body: bytes, tls: ssl.SSLContext) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(station.host, station.port, timeout=_TIMEOUT_S, context=tls)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            raise ClockWrong from error
        raise StationNotProven(host=station.host) from error
    except (OSError, http.client.HTTPException) as error:
        raise StationUnreachable(host=station.host, port=station.port, reason=error) from error
    finally:
        connection.close()
