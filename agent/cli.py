"""The command `agent`: a table of contents; each command lives in its own file of `commands/`."""

from __future__ import annotations

from typing import NoReturn

import typer

from shared.errors import ExtraMissing
from shared.terminal import run as run_app
from shared.texts import both


def build() -> typer.Typer:
    """Put the commands together; raises ExtraMissing on a machine that has only the other half."""
    try:
        from agent.commands import cameras, discover, doctor, enroll, model, replay, run
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra="agent", module=error.name) from error
    app = typer.Typer(help=both("help.agent.app"), no_args_is_help=True, add_completion=False)
    app.command(help=both("help.agent.enroll"))(enroll.enroll)
    app.command(help=both("help.agent.discover"))(discover.discover)
    app.add_typer(cameras.app, name="cameras", help=both("help.agent.cameras"))
    app.add_typer(model.app, name="model", help=both("help.agent.model"))
    app.command(help=both("help.agent.run"))(run.run)
    app.command(help=both("help.agent.doctor"))(doctor.doctor)
    app.command(help=both("help.agent.replay"))(replay.replay)
    return app


def main() -> NoReturn:
    run_app(build)
