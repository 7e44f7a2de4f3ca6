"""May this box have a certificate? The rules of the code, each answer decided in one transaction.

A code opens once, within its 24 hours, for the one who proves to know its secret. Five wrong proofs
lock it. The same key may ask again within 10 minutes and gets the same certificate: answers are
lost on bad lines. A site never has two certificates in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from collector.archive.register import (
    ANSWER_LIFETIME,
    CertificateRow,
    CodeRow,
    Ended,
    KnownCertificate,
    Register,
)
from collector.intake.authority import (
    Authority,
    RequestRefusedError,
    fingerprint,
    public_key_of,
    request_key,
)
from shared.enrolment import (
    MAX_TRIES,
    RENEW_GRACE,
    CertificateAnswer,
    CertificateRequest,
    Hello,
    HelloAnswer,
    Petition,
    RenewalRequest,
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
    NO_CERTIFICATE = "no-certificate"  # a renewal without one of this authority's
    REVOKED = "revoked"  # its site was shut out
    SUPERSEDED = "superseded"  # another key was given this site: a second box, or a copied card
    OTHER_MACHINE = "other-machine"  # by its own word not the box that was enrolled
    TOO_LATE = "too-late"  # expired for longer than the grace


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
            return self._signed(row, asked, now)

    def renewal(
        self, asked: RenewalRequest, shown: bytes | None, now: datetime
    ) -> CertificateAnswer | Denied:
        """Put a new certificate in the place of the one `shown` (DER, verified by TLS but for its dates).

        The old one ends in the same step; from then on it may only ask for this answer again.
        """
        with self.register.writing():
            old = self._shown(shown)
            if isinstance(old, Denied):
                return old
            try:
                key = fingerprint(request_key(asked.request_pem))
                if old.ended is not None:
                    return self._again(old, key, now)
                if why := _why_not(old, asked, key, now):
                    return why
                row = self._issue(old.site, asked, now)
            except RequestRefusedError:
                return Denied.BAD_REQUEST
            self.register.issue(row, Ended.SUPERSEDED, now)
            return self._answer(old.site, row.pem, now)

    def petition(self, asked: Petition, site: str, now: datetime) -> str:
        """Certify what came on a stick, and return the certificate; the same petition gets the same one.

        Raises RequestRefusedError.
        """
        with self.register.writing():
            key = fingerprint(request_key(asked.request_pem))
            pem = self.register.certificate_in_force(site)
            if pem is not None and fingerprint(public_key_of(pem)) == key:
                return pem
            row = self._issue(site, asked, now)
            self.register.issue(row, Ended.REPLACED, now)
            return row.pem

    def _shown(self, shown: bytes | None) -> KnownCertificate | Denied:
        if shown is None:
            return Denied.NO_CERTIFICATE
        known = self.register.by_serial(f"{x509.load_der_x509_certificate(shown).serial_number:x}")
        if known is None:
            return Denied.NO_CERTIFICATE  # the station's own, or from before its backup
        return Denied.REVOKED if known.ended is Ended.REVOKED else known

    def _again(self, old: KnownCertificate, key: str, now: datetime) -> CertificateAnswer | Denied:
        new = (
            self.register.by_serial(old.successor)
            if old.ended is Ended.SUPERSEDED and old.successor
            else None
        )
        if new is None or new.ended is not None or fingerprint(public_key_of(new.pem)) != key:
            return Denied.SUPERSEDED
        return self._answer(new.site, new.pem, now)

    def _issue(
        self, site: str, asked: CertificateRequest | RenewalRequest | Petition, now: datetime
    ) -> CertificateRow:
        issued = self.authority.sign_request(asked.request_pem, site, now)
        return CertificateRow(issued.serial, site, issued.pem, issued.expires, asked.machine)

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

    def _signed(self, row: CodeRow, asked: CertificateRequest, now: datetime) -> CertificateAnswer | Denied:
        try:
            public_key = fingerprint(request_key(asked.request_pem))
            if row.used is not None:
                pem = self.register.certificate_in_force(row.site) if public_key == row.public_key else None
                return self._answer(row.site, pem, now) if pem else Denied.USED
            certificate = self._issue(row.site, asked, now)
        except RequestRefusedError:
            return Denied.BAD_REQUEST
        self.register.enrol(row.code.code_id, public_key, certificate, now)
        return self._answer(row.site, certificate.pem, now)

    def _answer(self, site: str, certificate_pem: str, now: datetime) -> CertificateAnswer:
        return CertificateAnswer(
            site=site,
            certificate_pem=certificate_pem,
            ca_pem=self.authority.pem,
            broker_port=self.broker_port,
            now=now,
        )


def _why_not(old: KnownCertificate, asked: RenewalRequest, key: str, now: datetime) -> Denied | None:
    """What speaks against renewing a certificate in force."""
    if old.machine and asked.machine and old.machine != asked.machine:
        return Denied.OTHER_MACHINE
    if now > old.expires + RENEW_GRACE:
        return Denied.TOO_LATE
    if key == fingerprint(public_key_of(old.pem)):
        return Denied.BAD_REQUEST  # a renewal that keeps the key renews nothing
    return None
