"""The command `collector`: a table of contents; each command lives in its own file of `commands/`."""

from __future__ import annotations

from typing import NoReturn

from shared.terminal import Command, run

COMMANDS = (
    Command("init", "collector.commands.init", "help.collector.init"),
    Command("run", "collector.commands.run", "help.collector.run"),
    Command("console", "collector.commands.console", "help.collector.console"),
    Command("site", "collector.commands.site", "help.collector.site"),
    Command("account", "collector.commands.account", "help.collector.account"),
    Command("search", "collector.commands.search", "help.collector.search"),
    Command("agents", "collector.commands.agents", "help.collector.agents"),
    Command("agent", "collector.commands.agent", "help.collector.agent"),
    Command("command", "collector.commands.command", "help.collector.command"),
    Command("commands", "collector.commands.commands", "help.collector.commands"),
    Command("config", "collector.commands.config", "help.collector.config"),
    Command("shelf", "collector.commands.shelf", "help.collector.shelf"),
    Command("verify", "collector.commands.verify", "help.collector.verify"),
    Command("alarm", "collector.commands.alarm", "help.collector.alarm"),
)


def main() -> NoReturn:
    run("collector", COMMANDS)
