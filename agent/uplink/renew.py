"""When does a box get its next certificate, and how does it lose nothing on the way?

From a third of its life before the end, over mutual TLS with the present one. The new key is on the
disk before the station hears of it: the station ends the old certificate as it issues the new one,
so whoever loses the answer must be able to ask for the same one again, also after a power cut.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.uplink import identity, machine
from agent.uplink.enroll import CodeRefused, StationAddress, ask, check_certificate, key_pem, request_for
from agent.uplink.identity import Identity, Papers, Signer
from shared.clock import Clock
from shared.disk import write_atomically
from shared.enrolment import RENEW_BEFORE, RENEW_PATH, CertificateAnswer, RenewalRequest
from shared.errors import AnninhError, FileUnreadable, NeedsFixing

log = logging.getLogger(__name__)

NOTE = "renewal.json"  # how the last attempt went, for `agent doctor`
_KEY = "renewal.key"
_SPREAD = timedelta(days=3)  # three thousand boxes enrolled in one week must not come in one hour
_LOOK_EVERY_S = 60.0
_RETRY_S = 3600.0  # a month is left: an hour is soon
_RETRY_SOON_S = 600.0  # nothing else can be sent until it works
_UNSETTLED_S = 5.0  # how often a first connection with the new certificate is looked for


class RenewalRefused(NeedsFixing):
    """The station knows another box by this site's name, or shut the site out."""

    key = "renewal-refused"


class Connection(Protocol):
    """What carries the messages; `proven` says that the station let this identity in."""

    proven: bool

    def take(self, ours: Identity) -> None: ...


def due_at(certificate: x509.Certificate) -> datetime:
    """Return when to ask: the same moment whenever this is asked, another one for every certificate."""
    share = random.Random(certificate.serial_number).random()  # noqa: S311 -- spreads load, hides nothing
    return certificate.not_valid_after_utc - RENEW_BEFORE + _SPREAD * share


def renew(home: Path, ours: Identity) -> Identity:
    """Get a certificate for a new key and put it in force on this disk.

    Raises RenewalRefused, StationUnreachable, StationNotProven, ClockWrong, AnswerNotUnderstood.
    """
    key = _next_key(home)
    body = RenewalRequest(request_pem=request_for(key), machine=machine.mark_here(ours.folder))
    station = StationAddress(ours.host, ours.enrolment_port)
    try:
        answer = ask(station, RENEW_PATH, body, ours.tls(), CertificateAnswer)
    except CodeRefused as error:
        raise RenewalRefused(site=ours.site) from error
    check_certificate(answer.certificate_pem, ours.site, key)
    papers = Papers(
        site=ours.site,
        host=ours.host,
        broker_port=answer.broker_port,
        key_pem=key_pem(key),
        certificate_pem=answer.certificate_pem,
        ca_pem=ours.ca.read_text(encoding="ascii"),  # a new authority is for an installer to bring
        enrolment_port=ours.enrolment_port,
        enrolled_at=ours.enrolled_at or identity.LONG_AGO,
    )
    renewed = identity.save(home, papers, replace=True)
    (home / _KEY).unlink(missing_ok=True)
    return renewed


def _next_key(home: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that was made for this renewal before, or make it."""
    path = home / _KEY
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise FileUnreadable(path=path, reason=error) from error
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomically(path, key_pem(key), mode=0o600)
    return key


class Renewal:
    """Owned by the thread `renewal`: looks at the calendar, and hands on what it brings home."""

    def __init__(
        self, home: Path, ours: Identity, clock: Clock, *, connection: Connection, signer: Signer
    ) -> None:
        self._home, self._ours, self._clock = home, ours, clock
        self._connection, self._signer = connection, signer
        self._settled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The exchange under way is left to itself: what it brings is on the disk or is asked for again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                pause_s = self._look()
            except AnninhError as error:
                log.warning("certificate not renewed", extra={"cause": error})
                self._note(error)
                pause_s = self._patience_s() * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads load
            except Exception:  # the thread's loop: the next look may go better
                log.exception("renewal failed")
                pause_s = _RETRY_S

    def _look(self) -> float:
        """Renew when it is time; return how long to wait before looking again."""
        if not self._settled and self._connection.proven:
            # Only now: let go of the old key, and sign with the new one, which the station surely knows.
            self._signer.take(self._ours)
            identity.forget_previous(self._home)
            self._settled = True
        if self._clock.now() >= due_at(self._certificate()):
            self._ours = renew(self._home, self._ours)
            self._settled = False
            log.info("certificate renewed", extra={"expires": self._certificate().not_valid_after_utc})
            self._note(None)
            self._connection.take(self._ours)
        return _LOOK_EVERY_S if self._settled else _UNSETTLED_S

    def _note(self, error: AnninhError | None) -> None:
        """For `agent doctor`; a full disk costs only the note."""
        facts = {name: str(value) for name, value in error.facts.items()} if error else {}
        why_not = error.key if error else ""
        said = {"at": self._clock.now().isoformat(), "why_not": why_not, "facts": facts}
        with contextlib.suppress(OSError):
            write_atomically(self._home / NOTE, json.dumps(said).encode())

    def _patience_s(self) -> float:
        left = self._certificate().not_valid_after_utc - self._clock.now()
        return _RETRY_S if left > timedelta(days=3) else _RETRY_SOON_S

    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._ours.certificate.read_bytes())
