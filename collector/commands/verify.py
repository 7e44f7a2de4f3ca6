"""Is all that the sites signed here as they signed it? Exit code 2: something was taken out or changed."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from collector.archive.chain import Break, broken
from collector.archive.folder import StationFolder
from collector.archive.reading import reading
from collector.archive.register import Register, SiteUnknown
from collector.archive.signatures import Signatures, signatures
from collector.commands import DEFAULT_STATION, StationOption
from collector.intake.signers import public_key
from shared.errors import NeedsFixing
from shared.terminal import out
from shared.texts import both

MOST_NAMED = 20  # numbers in one line


class ChainBroken(NeedsFixing):
    """Somebody changed the archive, or two boxes speak in one name."""

    key = "chain-broken"


def verify(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))] = None,
    station: StationOption = DEFAULT_STATION,
) -> None:
    folder = StationFolder.existing(station)
    found = 0
    with closing(folder.open_station()) as database:
        register = Register(database)
        known = [one.site for one in register.sites()]
        if site is not None and site not in known:
            raise SiteUnknown(site=site)
        for name in [site] if site is not None else known:
            keys = [public_key(pem) for pem in register.certificates_ever(name)]
            with reading(folder.archive_database) as archive:
                found += _told(name, broken(archive, name), signatures(archive, name, keys))
    if found:
        raise ChainBroken(count=found)


def _told(site: str, breaks: list[Break], signed: Signatures) -> int:
    """Say what was found at one site, and return at how many places something is wrong."""
    for one in breaks:
        out.print(both("verify.break", site=site, before=one.before, after=one.after), markup=False)
    for number in signed.wrong:
        out.print(both("verify.wrong", site=site, number=number), markup=False)
    if signed.not_as_signed:
        numbers = ", ".join(map(str, signed.not_as_signed[:MOST_NAMED]))
        count = len(signed.not_as_signed)
        out.print(both("verify.not-as-signed", site=site, count=count, numbers=numbers), markup=False)
    if not breaks and not signed.wrong:
        out.print(both("verify.whole", site=site, count=signed.checked), markup=False)
    return len(breaks) + len(signed.wrong)
