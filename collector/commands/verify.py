"""Does all that the sites signed still hang together? Exit code 2: something was taken out or changed."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.archive.chain import Break, broken
from collector.archive.folder import StationFolder
from collector.archive.reading import reading
from collector.archive.register import Register, SiteUnknown
from collector.commands import DEFAULT_STATION, StationOption
from shared.errors import NeedsFixing
from shared.terminal import out
from shared.texts import both


class ChainBroken(NeedsFixing):
    """Somebody changed the archive, or two boxes speak in one name."""

    key = "chain-broken"


def verify(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))] = None,
    station: StationOption = DEFAULT_STATION,
) -> None:
    folder = StationFolder.existing(station)
    database = folder.open_station()
    known = [one.site for one in Register(database).sites()]
    database.close()
    if site is not None and site not in known:
        raise SiteUnknown(site=site)
    found: list[Break] = []
    for name in [site] if site is not None else known:
        with reading(folder.archive_database) as archive:
            breaks = broken(archive, name)
        found += breaks
        for one in breaks:
            out.print(both("verify.break", site=name, before=one.before, after=one.after), markup=False)
        if not breaks:
            out.print(both("verify.whole", site=name), markup=False)
    if found:
        raise ChainBroken(count=len(found))
