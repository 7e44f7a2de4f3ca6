"""What is a person asked by `agent cameras add`, and what do the cameras hear of it? At a real terminal."""

from __future__ import annotations

import os
import pty
import select
import termios
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.cameras import credentials, register
from shared.texts import Language, text
from tests.integration.cameras.conftest import PASSWORD, USER
from tests.lan import AGENT, Lan
from tests.virtual_camera import VirtualCamera, prepare
from tests.virtual_camera.state import Login

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]

PATIENCE_S = 90.0  # the slowest run seen takes a third of it


def converse(lan: Lan, home: Path, line: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Type the command, wait for each question in turn and answer it; return exit code and what was shown."""
    master, slave = pty.openpty()
    environment = os.environ | {"ANNINH_HOME": str(home), "ANNINH_LANGUAGE": "en", "TERM": "dumb"}
    child = lan.start_in(AGENT, ["agent", *line], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    said, read_to, waiting = "", 0, list(answers)
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if select.select([master], [], [], 0.1)[0]:
            try:
                said += os.read(master, 65536).decode(errors="replace")
            except OSError:  # EIO: the other end is closed
                break
        if waiting and (found := said.find(waiting[0][0], read_to)) >= 0:
            if waiting[0][0] == text("cameras.ask-password", Language.EN) and echoes(master):
                continue  # what is typed before the echo is off is thrown away
            read_to = found + len(waiting[0][0])
            os.write(master, f"{waiting.pop(0)[1]}\n".encode())
    os.close(master)
    assert not waiting, f"never asked: {waiting[0][0]}\n{said}"
    return child.wait(30), said


def echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_one_login_per_camera_and_a_mistyped_one_costs_one_try(street_clip: Path, tmp_path: Path) -> None:
    clip = prepare(street_clip)
    again, password = text("cameras.ask-again", Language.EN), text("cameras.ask-password", Language.EN)
    user, same = text("cameras.ask-user", Language.EN), text("cameras.ask-same", Language.EN, user=USER)
    with Lan(2) as lan, ExitStack() as cameras:
        running = []
        for name in lan.cameras:
            with lan.inside(name):
                camera = VirtualCamera(
                    clip,
                    name,
                    address=lan.address(name),
                    onvif_port=80,
                    rtsp_port=554,
                    login=Login(USER, PASSWORD),
                    discoverable=True,
                )
                running.append(cameras.enter_context(camera))
        code, said = converse(
            lan,
            tmp_path,
            ["cameras", "add"],
            [
                ("[Y/n]", ""),  # add the first
                (user, ""),  # admin is offered
                (password, "mistyped"),
                (again, "y"),
                (user, ""),
                (password, PASSWORD),
                ("[Y/n]", ""),  # add the second
                (same, ""),  # one key
            ],
        )
    assert code == 0, said
    assert said.count("✓") == 2
    entries = register.load(tmp_path)
    assert sorted(entry.name for entry in entries) == ["cam1", "cam2"]
    assert all(credentials.load(tmp_path, entry.login_name) for entry in entries)
    assert sorted(camera.counters.soap_wrong for camera in running) == [0, 1]
    assert sum(camera.counters.rtsp_wrong for camera in running) == 0
    assert PASSWORD not in said
    assert "mistyped" not in said
