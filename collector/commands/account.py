"""Who may sign in to the console? Add an officer's account, list them, replace a forgotten password."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from collector.archive import accounts
from collector.archive.folder import StationFolder
from collector.commands import DEFAULT_STATION, JsonOption, StationOption
from shared.clock import SystemClock
from shared.localtime import shown
from shared.terminal import out, say
from shared.texts import both, text

app = typer.Typer(help=both("help.collector.account"), no_args_is_help=True)
_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=both("help.collector.account-name"))]


@app.command(help=both("help.collector.account-add"))
def add(
    name: _NameArgument,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    database = StationFolder.existing(station).open_station()
    _show(name, accounts.create(database, name, SystemClock().now()), json=json)


@app.command(help=both("help.collector.account-reset"))
def reset(
    name: _NameArgument,
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    database = StationFolder.existing(station).open_station()
    _show(name, accounts.reset(database, name), json=json)


@app.command("list", help=both("help.collector.account-list"))
def list_accounts(
    station: StationOption = DEFAULT_STATION,
    json: JsonOption = False,  # noqa: FBT002 -- a flag on the command line
) -> None:
    found = accounts.accounts(StationFolder.existing(station).open_station(), SystemClock().now())
    if json:
        out.print_json(
            data=[
                {
                    "account": account.name,
                    "must_change": account.must_change,
                    "locked_until": account.locked_until.isoformat() if account.locked_until else None,
                    "created": account.created.isoformat(),
                }
                for account in found
            ]
        )
        return
    table = Table()
    for column in ("account", "state", "created"):
        table.add_column(text(f"account.column.{column}"))
    for account in found:
        table.add_row(account.name, _state(account), shown(account.created))
    out.print(table)


def _state(account: accounts.Account) -> str:
    if account.locked_until:
        return text("account.state.locked", None, until=shown(account.locked_until))
    return text("account.state.one-time" if account.must_change else "account.state.active")


def _show(name: str, password: str, *, json: bool) -> None:
    if json:
        out.print_json(data={"account": name, "password": password})
        return
    say("account.one-time-password", account=name, password=password)
