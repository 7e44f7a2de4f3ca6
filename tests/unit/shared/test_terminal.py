from __future__ import annotations

import sys

import pytest

from agent.cli import COMMANDS as AGENT
from collector.cli import COMMANDS as COLLECTOR
from shared.terminal import Command, _run
from shared.texts import catalogue


def outcome(
    half: str, commands: tuple[Command, ...], argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> int:
    monkeypatch.setattr(sys, "argv", [half, *argv])
    return _run(half, commands)


@pytest.mark.parametrize("command", [*AGENT, *COLLECTOR], ids=lambda command: command.module)
def test_every_command_explains_itself(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = command.module.split(".")[0]
    commands = AGENT if half == "agent" else COLLECTOR
    assert command.help_key in catalogue()
    assert outcome(half, commands, [command.name, "--help"], monkeypatch) == 0
    assert "·" in capsys.readouterr().out


@pytest.mark.parametrize("half", ["agent", "collector"])
def test_the_whole_half_lists_all_its_commands(
    half: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = AGENT if half == "agent" else COLLECTOR
    outcome(half, commands, ["--help"], monkeypatch)
    said = capsys.readouterr().out
    assert all(command.name in said for command in commands)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["enroll"], "url"),
        (["enroll", "--code", "x"], "--code"),
        (["frob"], "frob"),
        (["enroll", "ftp://station"], "ftp://station"),
    ],
)
def test_a_mistake_costs_two_lines_and_exit_code_2(
    argv: list[str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: object,
) -> None:
    monkeypatch.setenv("ANNINH_HOME", str(tmp_path))
    assert outcome("agent", AGENT, argv, monkeypatch) == 2
    said = capsys.readouterr()
    vietnamese, english = said.err.strip().splitlines()
    assert vietnamese.startswith("✗")
    assert "→" in vietnamese
    assert "→" in english
    assert reason in english
    assert "Traceback" not in said.err


def test_a_missing_half_says_which_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = (Command("frob", "no_such_package.frob", "help.agent.run"),)
    assert outcome("agent", gone, ["frob"], monkeypatch) == 2
    assert "anninh[agent]" in capsys.readouterr().err
