"""Which sites may speak to this station, by which codes and certificates? The rows of `station.db`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlite_utils

from shared.clock import microseconds, moment
from shared.enrolment import CODE_LIFETIME, MAX_TRIES, Code
from shared.errors import NeedsFixing

ANSWER_LIFETIME = timedelta(minutes=10)  # a lost answer may be asked for again this long
LISTED_AFTER_EXPIRY = timedelta(days=31)  # the broker refuses the expired anyway; a clock may be set back


class SiteExists(NeedsFixing):
    key = "site-exists"


class SiteUnknown(NeedsFixing):
    key = "site-unknown"


class SiteStatus(StrEnum):
    """How far a site has come."""

    WAITING = "waiting"
    ENROLLED = "enrolled"
    REVOKED = "revoked"


class Ended(StrEnum):
    """Why a certificate is no longer in force."""

    SUPERSEDED = "superseded"  # the same box renewed it
    REPLACED = "replaced"  # the site enrolled again: a new card, another box
    REVOKED = "revoked"  # the site was shut out: what this key signs is not believed


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a box, as people and certificates name it."""

    site: str
    title: str
    hamlet: str
    status: SiteStatus
    created: datetime
    tested: datetime | None


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What is known of a code; the secret is empty once it must not open anything any more."""

    code: Code
    site: str
    expires: datetime
    tries: int
    used: datetime | None
    public_key: str | None


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One certificate to be kept: its serial is hexadecimal."""

    serial: str
    site: str
    pem: str
    expires: datetime
    machine: str = ""  # the box it was made for, in the box's own words: `shared.enrolment`


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """One certificate of a site as it stands; `ended` is None for the only one in force."""

    site: str
    serial: str
    pem: str
    issued: datetime
    expires: datetime
    ended: Ended | None
    successor: str | None
    machine: str


@dataclass(frozen=True, slots=True)
class Denial:
    """How often the door was closed to somebody for this reason, and to whom the last time."""

    reason: str
    count: int
    last_at: datetime
    last_address: str
    last_named: str


class Register:
    """Owned by the thread that opened the database. Reads and single statements stand alone."""

    def __init__(self, database: sqlite_utils.Database) -> None:
        self._database = database

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Read, decide and write as one step that no other process comes between.

        IMMEDIATE, because a deferred transaction that reads first may fail at once when it writes.
        """
        self._database.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.rollback()
            raise
        self._database.conn.execute("COMMIT")

    def add_site(self, site: Site) -> None:
        """Note a new site. Raises SiteExists."""
        with self.writing():
            if self._status(site.site) is not None:
                raise SiteExists(site=site.site)
            self._database.execute(
                "INSERT INTO sites (site, title, hamlet, status, created_us) VALUES (?, ?, ?, ?, ?)",
                (site.site, site.title, site.hamlet, site.status, microseconds(site.created)),
            )

    def new_code(self, site: str, now: datetime) -> tuple[Code, datetime]:
        """Make the one code that opens the way for this site; an older one stops working."""
        with self.writing():
            if self._status(site) is None:
                raise SiteUnknown(site=site)
            self._close_codes(site)
            code, expires = Code.new(), now + CODE_LIFETIME
            while self._database.execute("SELECT 1 FROM codes WHERE code_id = ?", (code.code_id,)).fetchone():
                code = Code.new()  # a million ids: two codes of the same name do happen
            self._database.execute(
                "INSERT INTO codes (code_id, secret, site, expires_us) VALUES (?, ?, ?, ?)",
                (code.code_id, code.secret, site, microseconds(expires)),
            )
        return code, expires

    def sites(self) -> list[Site]:
        rows = self._database.execute(
            "SELECT site, title, hamlet, status, created_us, tested_us FROM sites ORDER BY site"
        )
        return [
            Site(site, title, hamlet, SiteStatus(status), moment(created), moment(tested) if tested else None)
            for site, title, hamlet, status, created, tested in rows
        ]

    def enrolled_sites(self) -> frozenset[str]:
        """Return the names whose messages are kept."""
        rows = self._database.execute("SELECT site FROM sites WHERE status = ?", (SiteStatus.ENROLLED,))
        return frozenset(site for (site,) in rows)

    def revoked_sites(self) -> list[str]:
        rows = self._database.execute(
            "SELECT site FROM sites WHERE status = ? ORDER BY site", (SiteStatus.REVOKED,)
        )
        return [site for (site,) in rows]

    def revoke(self, site: str, now: datetime) -> None:
        """Shut a site out: its certificates, its codes, its messages. Raises SiteUnknown."""
        with self.writing():
            if self._status(site) is None:
                raise SiteUnknown(site=site)
            self._database.execute("UPDATE sites SET status = ? WHERE site = ?", (SiteStatus.REVOKED, site))
            self._close_codes(site)
            self._end_certificates(site, Ended.REVOKED, now)
            self._database.execute(
                "UPDATE certificates SET ended = ? WHERE site = ?", (Ended.REVOKED, site)
            )  # the earlier ones as well: who holds a stolen card holds its old keys

    def revoked_certificates(self, now: datetime) -> list[tuple[str, datetime]]:
        """Return serial and moment of all that were revoked and could still be shown by somebody."""
        rows = self._database.execute(
            "SELECT serial, revoked_us FROM certificates WHERE revoked_us NOTNULL AND expires_us > ?",
            (microseconds(now - LISTED_AFTER_EXPIRY),),
        )
        return [(serial, moment(since)) for serial, since in rows]

    def code(self, code_id: str) -> CodeRow | None:
        row = self._database.execute(
            "SELECT secret, site, expires_us, tries, used_us, public_key FROM codes WHERE code_id = ?",
            (code_id,),
        ).fetchone()
        if row is None:
            return None
        secret, site, expires, tries, used, public_key = row
        return CodeRow(
            Code(code_id, secret), site, moment(expires), tries, moment(used) if used else None, public_key
        )

    def wrong_proof(self, code_id: str) -> None:
        self._database.execute("UPDATE codes SET tries = tries + 1 WHERE code_id = ?", (code_id,))

    def forget_secrets(self, now: datetime) -> None:
        """Empty the secret of every code that can open nothing any more."""
        self._database.execute(
            "UPDATE codes SET secret = '' WHERE secret <> '' AND (tries >= ? OR used_us < ?"
            " OR (used_us IS NULL AND expires_us < ?))",
            (MAX_TRIES, microseconds(now - ANSWER_LIFETIME), microseconds(now)),
        )

    def enrol(self, code_id: str, public_key: str, certificate: CertificateRow, now: datetime) -> None:
        """Note the code as used and the certificate as the site's only one. Call inside `writing`."""
        us = microseconds(now)
        self._database.execute(
            "UPDATE codes SET used_us = ?, public_key = ? WHERE code_id = ?", (us, public_key, code_id)
        )
        self.issue(certificate, Ended.REPLACED, now)

    def issue(self, certificate: CertificateRow, instead: Ended, now: datetime) -> None:
        """Note the site's only certificate, ending the one before. Call inside `writing`."""
        self._end_certificates(certificate.site, instead, now, successor=certificate.serial)
        self._database.execute(
            "INSERT INTO certificates (serial, site, pem, issued_us, expires_us, machine)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                certificate.serial,
                certificate.site,
                certificate.pem,
                microseconds(now),
                microseconds(certificate.expires),
                certificate.machine,
            ),
        )
        self._database.execute(
            "UPDATE sites SET status = ? WHERE site = ?", (SiteStatus.ENROLLED, certificate.site)
        )

    def keys_of(self, site: str) -> tuple[str, ...]:
        """Return every certificate (PEM) whose signatures on this site's words are believed, newest first.

        The one in force, and earlier ones of boxes that were not shut out: what waited in an outbox
        was signed before the renewal.
        """
        rows = self._database.execute(
            "SELECT pem FROM certificates WHERE site = ? AND ended IS NOT ?"
            " ORDER BY issued_us DESC, rowid DESC",
            (site, Ended.REVOKED),
        )
        return tuple(pem for (pem,) in rows)

    def by_serial(self, serial: str) -> KnownCertificate | None:
        row = self._database.execute(_KNOWN + " WHERE serial = ?", (serial,)).fetchone()
        return _known(*row) if row else None

    def has_certificate(self, site: str) -> bool:
        """Return whether a box of this site may be connected now. Raises SiteUnknown."""
        if self._status(site) is None:
            raise SiteUnknown(site=site)
        return self.certificate_in_force(site) is not None

    def deny(self, denials: Iterable[Denial]) -> None:
        """Add to what was counted before."""
        with self.writing():
            for denial in denials:
                self._database.execute(
                    "INSERT INTO denials (reason, count, last_us, last_address, last_named)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (reason) DO UPDATE SET"
                    " count = count + excluded.count, last_us = excluded.last_us,"
                    " last_address = excluded.last_address, last_named = excluded.last_named",
                    (
                        denial.reason,
                        denial.count,
                        microseconds(denial.last_at),
                        denial.last_address,
                        denial.last_named,
                    ),
                )

    def denials(self) -> list[Denial]:
        rows = self._database.execute(
            "SELECT reason, count, last_us, last_address, last_named FROM denials ORDER BY last_us DESC"
        )
        return [
            Denial(reason, count, moment(last), address, named)
            for reason, count, last, address, named in rows
        ]

    def certificate_in_force(self, site: str) -> str | None:
        row = self._database.execute(
            "SELECT pem FROM certificates WHERE site = ? AND revoked_us IS NULL", (site,)
        ).fetchone()
        return str(row[0]) if row else None

    def signing_certificates(self, site: str) -> tuple[str, ...]:
        """Return the certificates whose keys may have signed what a site sends, the newest first.

        Earlier ones too: what waited in an outbox was signed with the key of its time. Not
        those revoked when a site was shut out: that box may be anybody's.
        """
        rows = self._database.execute(
            "SELECT pem FROM certificates WHERE site = ? AND ended IS NOT 'revoked'"
            " ORDER BY issued_us DESC, serial",
            (site,),
        )
        return tuple(pem for (pem,) in rows)

    def certificates_ever(self, site: str) -> tuple[str, ...]:
        """Return all, the revoked ones too: what was kept was signed before."""
        rows = self._database.execute("SELECT pem FROM certificates WHERE site = ?", (site,))
        return tuple(pem for (pem,) in rows)

    def tested(self, site: str, now: datetime) -> None:
        """Note that a test message of this site was kept: the way is open from end to end."""
        self._database.execute(
            "UPDATE sites SET tested_us = ? WHERE site = ? AND tested_us IS NULL", (microseconds(now), site)
        )

    def _close_codes(self, site: str) -> None:
        self._database.execute("DELETE FROM codes WHERE site = ? AND used_us IS NULL", (site,))
        self._database.execute("UPDATE codes SET secret = '' WHERE site = ?", (site,))

    def _end_certificates(
        self, site: str, why: Ended, now: datetime, *, successor: str | None = None
    ) -> None:
        self._database.execute(
            "UPDATE certificates SET revoked_us = ?, ended = ?, successor = ?"
            " WHERE site = ? AND revoked_us IS NULL",
            (microseconds(now), why, successor, site),
        )

    def _status(self, site: str) -> SiteStatus | None:
        row = self._database.execute("SELECT status FROM sites WHERE site = ?", (site,)).fetchone()
        return SiteStatus(row[0]) if row else None


_KNOWN = "SELECT site, serial, pem, issued_us, expires_us, ended, successor, machine FROM certificates"


def _known(*row: Any) -> KnownCertificate:
    site, serial, pem, issued, expires, ended, successor, machine = row
    return KnownCertificate(
        site,
        serial,
        pem,
        moment(issued),
        moment(expires),
        Ended(ended) if ended else None,
        successor,
        machine,
    )
