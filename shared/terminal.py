"""How does a command end? Its result, or two lines (what happened, what to do) and an exit code.

Vietnamese first, English second; 2 = fix it, 75 = try again later, 130 = stopped by the person.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import NoReturn

import click
import typer
from rich.console import Console

from shared.errors import AnninhError
from shared.logs import masked
from shared.texts import Language, text

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(key: str, /, **facts: object) -> None:
    """Print a text of the catalogue in the terminal's language."""
    out.print(text(key, None, **facts), markup=False)


def run(build: Callable[[], typer.Typer]) -> NoReturn:
    """Build and run a command line; a person never sees a traceback for what they can mend."""
    sys.exit(_run(build))


def _run(build: Callable[[], typer.Typer]) -> int:
    logging.getLogger().addHandler(logging.NullHandler())  # a command that wants logs sets them up
    try:
        result = build()(standalone_mode=False)
    except AnninhError as error:
        _show(
            f"✗ {error.what(Language.VI)} → {error.hint(Language.VI)}",
            f"  {error.what(Language.EN)} → {error.hint(Language.EN)}",
        )
        return error.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "--"
        _show(
            f"✗ {text('terminal.usage', Language.VI, reason=error.format_message(), command=path)}",
            f"  {text('terminal.usage', Language.EN, reason=error.format_message(), command=path)}",
        )
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _show(*lines: str) -> None:
    for line in lines:
        err.print(masked(line).replace("\n", " "), markup=False)
