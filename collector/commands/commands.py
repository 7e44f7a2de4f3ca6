"""What was asked of the sites, and what did they answer? The newest first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.commands import DEFAULT_STATION, FolderUnwritable, JsonOption, StationOption
from collector.commands.command import in_words
from shared.clock import SystemClock
from shared.disk import write_atomically
from shared.localtime import shown
from shared.terminal import out
from shared.texts import both

_LISTED = 50


def commands(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))] = None,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
    pictures: Annotated[Path | None, typer.Option(help=both("help.collector.command-pictures"))] = None,
) -> None:
    now = SystemClock().now()
    orders = Orders(StationFolder.existing(station).open_station())
    newest = orders.newest(site, _LISTED)
    if pictures:
        _write(orders, newest, pictures)
    if json:
        rows = [
            {
                "id": str(order.command.id),
                "site": order.command.site,
                "errand": order.command.errand.model_dump(mode="json"),
                "made_at": order.command.made_at.isoformat(),
                "not_after": order.command.not_after.isoformat(),
                "by": order.by,
                "sent_at": order.sent.isoformat() if order.sent else None,
                "outcome": order.outcome(now),
                "why": order.reply.why if order.reply else None,
            }
            for order in newest
        ]
        out.print_json(data=rows)
        return
    for order in newest:
        made, errand = shown(order.command.made_at), order.command.errand
        camera = getattr(errand, "camera", None) or ""
        words = " ".join(filter(None, (order.command.site, errand.verb, camera)))
        out.print(f"{made}  {words} ({order.by})  {in_words(order, now)}", markup=False)


def _write(orders: Orders, newest: list[Order], folder: Path) -> None:
    """Write the pictures of test frames that are here, each by its command's id."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for order in newest:
            if jpeg := orders.frame(order):
                write_atomically(folder / f"{order.command.id}.jpg", jpeg)
    except OSError as error:
        raise FolderUnwritable(path=folder, reason=error.strerror or error) from error
