"""Who are three thousand boxes? Sites with papers of the real authority, without going to each door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive.folder import StationFolder
from collector.archive.register import CertificateRow, Ended, Register, Site, SiteStatus
from collector.intake.authority import Authority
from tests.station import Papers, request_for


def issue(station: Path, sites: Sequence[str], folder: Path) -> list[Papers]:
    """Enrol all of them in a station that does not run yet; nothing is asked over HTTP."""
    place, now = StationFolder(station), datetime.now(UTC)
    authority = Authority.load(place.ca_certificate, place.ca_key)
    database = place.open_station()
    database.execute("PRAGMA synchronous=OFF")  # a bench need not survive a power cut
    register = Register(database)
    folder.mkdir(parents=True, exist_ok=True)
    papers = []
    for name in sites:
        key = ec.generate_private_key(ec.SECP256R1())
        issued = authority.sign_request(request_for(key, name), name, now)
        register.add_site(Site(name, name, "", SiteStatus.WAITING, now, None))
        with register.writing():
            register.issue(
                CertificateRow(issued.serial, name, issued.pem, issued.expires), Ended.REPLACED, now
            )
        papers.append(_kept(name, key, issued.pem, folder, place.ca_certificate))
    database.close()
    return papers


def _kept(site: str, key: ec.EllipticCurvePrivateKey, pem: str, folder: Path, ca: Path) -> Papers:
    papers = Papers(site, folder / f"{site}.crt", folder / f"{site}.key", ca)
    papers.certificate.write_text(pem)
    papers.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return papers
