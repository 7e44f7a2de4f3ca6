"""The command `collector`: a table of contents; each command lives in its own file of `commands/`."""

from __future__ import annotations

from typing import NoReturn

import typer

from shared.errors import ExtraMissing
from shared.terminal import run as run_app
from shared.texts import both


def build() -> typer.Typer:
    """Put the commands together; raises ExtraMissing on a machine that has only the other half."""
    try:
        from collector.commands import account, agents, console, init, run, search, site
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra="collector", module=error.name) from error
    app = typer.Typer(help=both("help.collector.app"), no_args_is_help=True, add_completion=False)
    app.command(help=both("help.collector.init"))(init.init)
    app.command(help=both("help.collector.run"))(run.run)
    app.command(help=both("help.collector.console"))(console.console)
    app.add_typer(site.app, name="site", help=both("help.collector.site"))
    app.add_typer(account.app, name="account", help=both("help.collector.account"))
    app.command(help=both("help.collector.search"))(search.search)
    app.command(help=both("help.collector.agents"))(agents.agents)
    return app


def main() -> NoReturn:
    run_app(build)
