"""May this box have a certificate? The rules of the code, each answer decided in one transaction.

A code opens once, within its 24 hours, for the one who proves to know its secret. Five wrong proofs
lock it. The same key may ask again within 10 minutes and gets the same certificate: answers are
lost on bad lines. A site never has two certificates in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.archive.register import ANSWER_LIFETIME, CertificateRow, CodeRow, Register
from collector.intake.authority import Authority, RequestRefusedError, fingerprint, request_key
from shared.enrolment import (
    MAX_TRIES,
    CertificateAnswer,
    CertificateRequest,
    Hello,
    HelloAnswer,
    client_proof,
    proof_matches,
    server_proof,
)


class Denied(StrEnum):
    """Why not. For the station's own eyes: outside, all of these look alike."""

    UNKNOWN_CODE = "unknown-code"
    EXPIRED = "expired"
    LOCKED = "locked"
    USED = "used"
    WRONG_PROOF = "wrong-proof"
    BAD_REQUEST = "bad-request"


@dataclass(frozen=True, slots=True)
class Admission:
    """The door's rules, over one open register; owned by the thread that opened it."""

    register: Register
    authority: Authority
    broker_port: int

    def hello(self, hello: Hello, now: datetime) -> HelloAnswer | Denied:
        """Prove to a box that this station knows its code."""
        self.register.forget_secrets(now)
        row = self._open_code(hello.code_id, now)
        if isinstance(row, Denied):
            return row
        ca_pem = self.authority.pem
        return HelloAnswer(ca_pem=ca_pem, proof=server_proof(row.code.secret, hello.nonce, ca_pem))

    def certificate(self, asked: CertificateRequest, now: datetime) -> CertificateAnswer | Denied:
        """Check the proof, then mark the code used, sign and note the certificate, all or nothing."""
        self.register.forget_secrets(now)
        with self.register.writing():
            row = self._open_code(asked.code_id, now)
            if isinstance(row, Denied):
                return row
            if not proof_matches(client_proof(row.code.secret, asked.request_pem), asked.proof):
                self.register.wrong_proof(asked.code_id)
                return Denied.WRONG_PROOF
            return self._signed(row, asked.request_pem, now)

    def _open_code(self, code_id: str, now: datetime) -> CodeRow | Denied:
        """Return the code if it still opens something, whatever the proof will be."""
        row = self.register.code(code_id)
        if row is None:
            return Denied.UNKNOWN_CODE
        if row.tries >= MAX_TRIES:
            return Denied.LOCKED
        if row.used is not None:
            return Denied.USED if now - row.used > ANSWER_LIFETIME or not row.code.secret else row
        return Denied.EXPIRED if now > row.expires or not row.code.secret else row

    def _signed(self, row: CodeRow, request_pem: str, now: datetime) -> CertificateAnswer | Denied:
        try:
            public_key = fingerprint(request_key(request_pem))
            if row.used is not None:
                pem = self.register.certificate_in_force(row.site) if public_key == row.public_key else None
                return self._answer(row.site, pem, now) if pem else Denied.USED
            issued = self.authority.sign_request(request_pem, row.site, now)
        except RequestRefusedError:
            return Denied.BAD_REQUEST
        certificate = CertificateRow(issued.serial, row.site, issued.pem, issued.expires)
        self.register.enrol(row.code.code_id, public_key, certificate, now)
        return self._answer(row.site, issued.pem, now)

    def _answer(self, site: str, certificate_pem: str, now: datetime) -> CertificateAnswer:
        return CertificateAnswer(
            site=site,
            certificate_pem=certificate_pem,
            ca_pem=self.authority.pem,
            broker_port=self.broker_port,
            now=now,
        )
