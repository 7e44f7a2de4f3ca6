"""What becomes of the console's processes when one of them is ended hard."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.settings import StationSettings
from tests import seed
from tests.conftest import free_port
from tests.integration.console.browser import Browser

_PATIENCE_S = 60


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Browser]]:
    port = free_port()
    settings = StationSettings(host="localhost", bind="127.0.0.1", console_port=port)
    folder = seed.station(tmp_path / "station", datetime.now(UTC), settings)
    environment = os.environ | {"ANNINH_STATION": str(folder.root)}
    command = [str(Path(sys.executable).parent / "collector"), "console"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as child:
        browser = Browser(port, folder.ca_certificate)
        until(lambda: answers(browser))
        yield child, browser
        if child.poll() is None:
            child.terminate()


def until(asked: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not asked():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.1)


def answers(browser: Browser) -> bool:
    try:
        return browser.get("/login").status == 200
    except (OSError, http.client.HTTPException):
        return False


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in listed]


def test_a_worker_that_dies_is_replaced(started: tuple[subprocess.Popen[bytes], Browser]) -> None:
    child, browser = started
    (worker,) = children(child.pid)
    os.kill(worker, signal.SIGKILL)
    until(lambda: answers(browser) and worker not in children(child.pid))
    assert child.poll() is None


def test_no_worker_outlives_its_command(started: tuple[subprocess.Popen[bytes], Browser]) -> None:
    child, browser = started
    child.kill()
    child.wait(timeout=_PATIENCE_S)
    until(lambda: not answers(browser))


def test_a_second_console_says_that_the_port_is_taken(
    started: tuple[subprocess.Popen[bytes], Browser], tmp_path: Path
) -> None:
    assert started[0].poll() is None
    environment = os.environ | {"ANNINH_STATION": str(tmp_path / "station")}
    command = [str(Path(sys.executable).parent / "collector"), "console"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert str(started[1].port) in done.stderr
