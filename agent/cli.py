"""The command `agent`: a table of contents; each command lives in its own file of `commands/`."""

from __future__ import annotations

from typing import NoReturn

from shared.terminal import Command, run

COMMANDS = (
    Command("enroll", "agent.commands.enroll", "help.agent.enroll"),
    Command("discover", "agent.commands.discover", "help.agent.discover"),
    Command("cameras", "agent.commands.cameras", "help.agent.cameras"),
    Command("aim", "agent.commands.aim", "help.agent.aim"),
    Command("frigate", "agent.commands.frigate", "help.agent.frigate"),
    Command("model", "agent.commands.model", "help.agent.model"),
    Command("bench", "agent.commands.bench", "help.agent.bench"),
    Command("run", "agent.commands.run", "help.agent.run"),
    Command("pause", "agent.commands.pause", "help.agent.pause"),
    Command("resume", "agent.commands.resume", "help.agent.resume"),
    Command("doctor", "agent.commands.doctor", "help.agent.doctor"),
    Command("update", "agent.commands.update", "help.agent.update"),
    Command("replay", "agent.commands.replay", "help.agent.replay"),
)


def main() -> NoReturn:
    run("agent", COMMANDS)
