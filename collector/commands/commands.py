"""What was asked of the sites, and what did they answer? The newest first; or what they hold for us."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.archive.asking import Held, held
from collector.archive.folder import StationFolder
from collector.archive.orders import Order, Orders
from collector.commands import DEFAULT_STATION, FolderUnwritable, JsonOption, StationOption
from shared.clock import SystemClock
from shared.disk import write_atomically
from shared.localtime import shown
from shared.terminal import out, say
from shared.texts import both, catalogue

_LISTED = 50


def commands(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help=both("help.collector.site-name"))] = None,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
    pictures: Annotated[Path | None, typer.Option(help=both("help.collector.command-pictures"))] = None,
    holds: Annotated[bool, typer.Option("--holds", help=both("help.collector.command-holds"))] = False,  # noqa: FBT002 -- as above
) -> None:
    orders = Orders(StationFolder.existing(station).open_station())
    if holds:
        _show_holds(held(orders.about_footage(site)), is_json=json)
        return
    newest = orders.newest(site, _LISTED)
    if pictures:
        _write(orders, newest, pictures)
    _show(newest, is_json=json)


def in_words(order: Order, now: datetime) -> str:
    """Return what became of a command, Vietnamese and English."""
    outcome = order.outcome(now)
    if outcome is None:
        return both("command.outcome.sent" if order.sent else "command.outcome.waiting")
    words = both(f"command.outcome.{outcome}")
    why = order.reply.why if order.reply else ""
    if not why:
        return words
    return f"{words}: {both(f'reply.{why}') if f'reply.{why}' in catalogue() else why}"


def _show(newest: list[Order], *, is_json: bool) -> None:
    now = SystemClock().now()
    if is_json:
        out.print_json(data=[_as_json(order, now) for order in newest])
        return
    for order in newest:
        made, errand = shown(order.command.made_at), order.command.errand
        camera = getattr(errand, "camera", None) or ""
        words = " ".join(filter(None, (order.command.site, errand.verb, camera)))
        out.print(f"{made}  {words} ({order.by})  {in_words(order, now)}", markup=False)


def _as_json(order: Order, now: datetime) -> dict[str, Any]:
    return {
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


def _show_holds(found: list[Held], *, is_json: bool) -> None:
    if is_json:
        rows = [
            {
                "site": one.site,
                "asked_at": one.asked.isoformat(),
                "by": one.by,
                **one.footage.model_dump(mode="json", exclude={"verb"}),
            }
            for one in found
        ]
        out.print_json(data=rows)
        return
    if not found:
        say("command.no-holds")
    for one in found:
        footage = one.footage
        times = f"{shown(footage.since)} – {shown(footage.until)}"
        line = f"{one.site} {footage.camera}  {times}  {footage.case}  ({one.by}, {shown(one.asked)})"
        out.print(line, markup=False)


def _write(orders: Orders, newest: list[Order], folder: Path) -> None:
    """Write the pictures of test frames that are here, each by its command's id."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for order in newest:
            if jpeg := orders.frame(order):
                write_atomically(folder / f"{order.command.id}.jpg", jpeg)
    except OSError as error:
        raise FolderUnwritable(path=folder, reason=error.strerror or error) from error
