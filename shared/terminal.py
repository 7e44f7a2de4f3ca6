"""How does a command begin and end? With its result, or two lines (what happened, what to do).

Vietnamese first, English second; exit code 2 = fix it, 75 = try again later, 130 = stopped by the
person. Only the command that was asked for is imported: all of them together cost a Raspberry Pi
seconds that an installer spends on a ladder.
"""

from __future__ import annotations

import importlib
import logging
import sys
from dataclasses import dataclass
from typing import NoReturn

import typer
from rich.console import Console

from shared.errors import AnninhError, ExtraMissing
from shared.logs import masked
from shared.texts import Language, both, text

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Command:
    """A command's name, the module it lives in, and its help.

    The module holds `app` (a group of commands) or a function of the command's own name.
    """

    name: str
    module: str
    help_key: str

    def add_to(self, app: typer.Typer) -> None:
        module = importlib.import_module(self.module)
        if hasattr(module, "app"):
            app.add_typer(module.app, name=self.name, help=both(self.help_key))
        else:
            app.command(self.name, help=both(self.help_key))(getattr(module, self.name))


def say(key: str, /, **facts: object) -> None:
    """Print a text of the catalogue in the terminal's language."""
    out.print(text(key, None, **facts), markup=False)


def run(half: str, commands: tuple[Command, ...]) -> NoReturn:
    """Run the command line of one half; a person never sees a traceback for what they can mend."""
    logging.getLogger().addHandler(logging.NullHandler())  # a command that wants logs sets them up
    sys.exit(_run(half, commands))


def _run(half: str, commands: tuple[Command, ...]) -> int:
    try:
        result = _build(half, commands)(standalone_mode=False)
    except AnninhError as error:
        _show(
            f"✗ {error.what(Language.VI)} → {error.hint(Language.VI)}",
            f"  {error.what(Language.EN)} → {error.hint(Language.EN)}",
        )
        return error.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)  # a usage error knows how far the command was understood
        facts = {"reason": error.format_message(), "command": context.command_path if context else half}
        _show(
            f"✗ {text('terminal.usage', Language.VI, **facts)}",
            f"  {text('terminal.usage', Language.EN, **facts)}",
        )
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _build(half: str, commands: tuple[Command, ...]) -> typer.Typer:
    """Raises ExtraMissing on a machine that has only the other half's packages."""
    app = typer.Typer(name=half, help=both(f"help.{half}.app"), no_args_is_help=True, add_completion=False)
    app.callback()(lambda: None)  # keeps it a group when a single command is imported
    wanted = [command for command in commands if [command.name] == sys.argv[1:2]]
    try:
        for command in wanted or commands:
            command.add_to(app)
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra=half, module=error.name) from error
    return app


def _show(*lines: str) -> None:
    for line in lines:
        err.print(masked(line).replace("\n", " "), markup=False)
