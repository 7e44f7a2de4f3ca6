"""`agent frigate login`: the login of a Frigate that is already there; kept only if it is taken."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import SecretStr

from agent.cameras import credentials
from agent.cameras.credentials import Credential
from agent.cameras.frigate_api import FrigateApi
from agent.settings import AgentSettings, home
from shared.clock import SystemClock
from shared.errors import NeedsFixing
from shared.terminal import say
from shared.texts import both, text

app = typer.Typer(no_args_is_help=True)


class FrigateNotSet(NeedsFixing):
    key = "frigate-not-set"


@app.callback()
def _group() -> None:
    """So that the one command keeps its name."""


@app.command(help=both("help.frigate.login"))
def login(*, mqtt: Annotated[bool, typer.Option("--mqtt", help=both("help.frigate.mqtt"))] = False) -> None:
    """Over HTTP it is tried at once; the broker's is tried by `agent run`, once."""
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml").frigate
    if settings is None:
        raise FrigateNotSet(path=folder / "agent.toml")
    typed = _ask()
    if mqtt:
        credentials.save(folder, "frigate-mqtt", typed)
        say("frigate.kept")
        return
    sizes, _ = FrigateApi.at(settings.url, typed, SystemClock(), settings.certificate).sizes()
    credentials.save(folder, "frigate", typed)
    say("frigate.taken", cameras=", ".join(sorted(sizes)))


def _ask() -> Credential:
    """Prompt, or two lines of standard input: never argv."""
    if sys.stdin.isatty():
        username = typer.prompt(text("frigate.ask-user"), default="admin")
        password = typer.prompt(text("frigate.ask-password"), hide_input=True)
    else:
        username, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    return Credential(username, SecretStr(password))
