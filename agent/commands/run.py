"""`agent run`: watch every camera that was added, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.heaps import share_heaps
from agent.service import Agent
from agent.settings import AgentSettings, home
from shared import logs
from shared.disk import held
from shared.errors import NeedsFixing


class AlreadyRunning(NeedsFixing):
    """Two agents with one identity would throw each other off the broker."""

    key = "already-running"


def run() -> None:
    import cv2  # here: `is_running` is asked by commands that need no pictures

    share_heaps()
    cv2.setNumThreads(1)  # pictures this small are not worth a pool that is woken for each of them
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml")
    logs.set_up(settings.log_level)
    agent = Agent(folder, settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _only_one(folder):
        agent.run(stop)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    try:
        with held(folder / "run.lock"):
            yield
    except BlockingIOError as error:
        raise AlreadyRunning from error


def is_running(folder: Path) -> bool:
    """True while an `agent run` holds the lock of this folder."""
    try:
        with _only_one(folder):
            return False
    except AlreadyRunning:
        return True
    except OSError:
        return False
