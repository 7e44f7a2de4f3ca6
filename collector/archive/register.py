"""Which sites may speak to this station, by which codes and certificates? The rows of `station.db`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlite_utils

from collector.archive.schema import microseconds, moment
from shared.enrolment import CODE_LIFETIME, MAX_TRIES, Code
from shared.errors import NeedsFixing

ANSWER_LIFETIME = timedelta(minutes=10)  # a lost answer may be asked for again this long


class SiteExists(NeedsFixing):
    key = "site-exists"


class SiteUnknown(NeedsFixing):
    key = "site-unknown"


class SiteStatus(StrEnum):
    """How far a site has come."""

    WAITING = "waiting"
    ENROLLED = "enrolled"
    REVOKED = "revoked"


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
            self._revoke_certificates(site, now)

    def revoked_certificates(self) -> list[tuple[str, datetime]]:
        """Return serial and moment of all that were revoked and could still be shown by somebody."""
        rows = self._database.execute("SELECT serial, revoked_us FROM certificates WHERE revoked_us NOTNULL")
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
        self._revoke_certificates(certificate.site, now)
        self._database.execute(
            "INSERT INTO certificates (serial, site, pem, issued_us, expires_us) VALUES (?, ?, ?, ?, ?)",
            (certificate.serial, certificate.site, certificate.pem, us, microseconds(certificate.expires)),
        )
        self._database.execute(
            "UPDATE sites SET status = ? WHERE site = ?", (SiteStatus.ENROLLED, certificate.site)
        )

    def certificate_in_force(self, site: str) -> str | None:
        row = self._database.execute(
            "SELECT pem FROM certificates WHERE site = ? AND revoked_us IS NULL", (site,)
        ).fetchone()
        return str(row[0]) if row else None

    def tested(self, site: str, now: datetime) -> None:
        """Note that a test message of this site was kept: the way is open from end to end."""
        self._database.execute(
            "UPDATE sites SET tested_us = ? WHERE site = ? AND tested_us IS NULL", (microseconds(now), site)
        )

    def _close_codes(self, site: str) -> None:
        self._database.execute("DELETE FROM codes WHERE site = ? AND used_us IS NULL", (site,))
        self._database.execute("UPDATE codes SET secret = '' WHERE site = ?", (site,))

    def _revoke_certificates(self, site: str, now: datetime) -> None:
        self._database.execute(
            "UPDATE certificates SET revoked_us = ? WHERE site = ? AND revoked_us IS NULL",
            (microseconds(now), site),
        )

    def _status(self, site: str) -> SiteStatus | None:
        row = self._database.execute("SELECT status FROM sites WHERE site = ?", (site,)).fetchone()
        return SiteStatus(row[0]) if row else None
