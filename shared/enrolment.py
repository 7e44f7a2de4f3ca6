"""How does a box that knows one short code come to trust a station, and the station it?

The code, `N9JM-W7MS-S9WA-8T1X-12P8` in Crockford's base 32, is 4 characters of public id and 16 of
secret (80 bits). It never crosses the wire. Both sides derive one key per direction from the secret
(HKDF-SHA256), and:

1. agent → station  hello {code_id, nonce}, over TLS not yet trusted;
2. station → agent  {ca, proof = HMAC(server key, nonce ‖ ca)}: only who knows the secret can make it,
   so the CA is pinned by the code, and a man in the middle with a CA of his own is found out before
   anything of worth is said;
3. agent → station  over new TLS, verified by that CA: {code_id, request (PKCS#10), proof =
   HMAC(client key, request)};
4. station → agent  {certificate, …}. The certificate's name is the site's, whatever the request said.

Renewal, from a third of its life before the end: agent → station, over mutual TLS with its present
certificate: {request} of a new key that is on the box's disk already. The station ends the old
certificate and issues the new one in one step: there are never two. The old one opens nothing any
more but this: it may ask for its successor again, with the same key, because answers are lost.

Without a network: `Petition` goes to the station and `Bundle` comes back on a USB stick. Whether the
right ones were carried is seen by two short codes, each shown on one screen and typed on the other.

Known weaknesses, openly: a code read over the installer's shoulder within its 24 hours enrols the
reader's box instead (the installer sees it fail, the station sees who came); 5 wrong proofs lock a
code, so somebody who knows the public id can make the station issue a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.identity import SiteName
from shared.messages import Utc
from shared.signing import canonical

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
_MISREAD = str.maketrans("ILO", "110")  # what tired eyes write for what they read
_ID_LENGTH, _SECRET_LENGTH = 4, 16

CODE_LIFETIME = timedelta(hours=24)  # kubeadm's token lives as long
MAX_TRIES = 5  # 80 bits need no more; typing errors do
HELLO_PATH, CERTIFICATE_PATH = "/enrol/v1/hello", "/enrol/v1/certificate"
RENEW_PATH = "/enrol/v1/renew"
RENEW_BEFORE = timedelta(days=30)  # of 90: two thirds of its life are over
RENEW_GRACE = timedelta(days=30)  # a house that was dark for a month needs no installer
MAX_REQUEST_BYTES = 8 * 1024  # a P-256 request is 0.5 kB


@dataclass(frozen=True, slots=True)
class Code:
    """A single-use enrolment code. Printing it shows the id only."""

    code_id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> Code:
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH + _SECRET_LENGTH))
        return cls(letters[:_ID_LENGTH], letters[_ID_LENGTH:])

    @classmethod
    def parse(cls, typed: str) -> Code:
        """Read what a person typed: any case, spaces or hyphens anywhere, I and L for 1, O for 0.

        Raises ValueError when it cannot be a code.
        """
        letters = re.sub(r"[\s-]", "", typed).upper().translate(_MISREAD)
        if len(letters) != _ID_LENGTH + _SECRET_LENGTH or set(letters) - set(_ALPHABET):
            message = "not an enrolment code"
            raise ValueError(message)
        return cls(letters[:_ID_LENGTH], letters[_ID_LENGTH:])

    def written(self) -> str:
        """Return the whole code in groups of four, for the one person it is meant for."""
        letters = self.code_id + self.secret
        return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def server_proof(secret: str, nonce: str, ca_pem: str) -> str:
    return _proof(secret, b"server", nonce.encode() + b"\0" + ca_pem.encode())


def client_proof(secret: str, request_pem: str) -> str:
    return _proof(secret, b"client", request_pem.encode())


def proof_matches(expected: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode())


def short_code(carried: BaseModel) -> str:
    """Return 60 bits of the hash of what a stick carries, in groups of four, to compare by eye."""
    number = int.from_bytes(hashlib.sha256(canonical(carried)).digest()[:8], "big") >> 4
    letters = "".join(_ALPHABET[number >> shift & 31] for shift in range(55, -1, -5))
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def same_code(typed: str, code: str) -> bool:
    """Forgive case, spaces, hyphens and the letters that eyes take for digits."""
    return re.sub(r"[\s-]", "", typed).upper().translate(_MISREAD) == code.replace("-", "")


def _proof(secret: str, direction: bytes, message: bytes) -> str:
    key = HKDF(SHA256(), length=32, salt=None, info=b"anninh enrolment v1 " + direction)
    return hmac.new(key.derive(secret.encode()), message, "sha256").hexdigest()


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_CodeId = Annotated[str, StringConstraints(pattern=f"^[{_ALPHABET}]{{{_ID_LENGTH}}}$")]
_Proof = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_Pem = Annotated[str, StringConstraints(max_length=MAX_REQUEST_BYTES)]
_Port = Annotated[int, Field(gt=0, lt=65536)]
_Machine = Annotated[str, StringConstraints(pattern="^[0-9a-f]{0,16}$")]  # agent.uplink.machine


class Hello(_Body):
    code_id: _CodeId
    nonce: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32,64}$")]


class HelloAnswer(_Body):
    ca_pem: _Pem
    proof: _Proof


class CertificateRequest(_Body):
    code_id: _CodeId
    request_pem: _Pem
    proof: _Proof
    machine: _Machine = ""


class CertificateAnswer(_Body):
    """What a box needs to live: who it is, whom to trust, where to send."""

    site: SiteName
    certificate_pem: _Pem
    ca_pem: _Pem
    broker_port: _Port
    now: Utc  # the station's clock, over a verified channel: a box without a battery starts from it


class RenewalRequest(_Body):
    """Who asks is told by the certificate of the connection."""

    request_pem: _Pem
    machine: _Machine = ""


class Petition(_Body):
    """What a box without a network asks for, on a stick."""

    v: Literal[1] = 1
    request_pem: _Pem
    machine: _Machine = ""


class Bundle(_Body):
    """What comes back on it. The code the officer reads out covers all of it, the CA included."""

    v: Literal[1] = 1
    site: SiteName
    host: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    enrolment_port: _Port
    broker_port: _Port
    certificate_pem: _Pem
    ca_pem: _Pem
    now: Utc


class SignedBundle(_Body):
    """And who made it: the signature is the authority's."""

    bundle: Bundle
    signature: Annotated[str, StringConstraints(max_length=100)]
