"""`agent run`: watch every camera that was added, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import fcntl
import signal
import threading
from pathlib import Path

from agent.service import Agent
from agent.settings import AgentSettings, home
from shared import logs
from shared.errors import NeedsFixing


class AlreadyRunning(NeedsFixing):
    """Two agents with one identity would throw each other off the broker."""

    key = "already-running"


def run() -> None:
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml")
    logs.set_up(settings.log_level)
    agent = Agent(folder, settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _only_one(folder):
        agent.run(stop)


class _only_one:  # noqa: N801 -- reads as a word in `with`
    """Hold a lock the kernel lets go of, however the program ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise AlreadyRunning from error

    def __exit__(self, *_: object) -> None:
        self._file.close()


def is_running(folder: Path) -> bool:
    """True while an `agent run` holds the lock of this folder."""
    try:
        with _only_one(folder):
            return False
    except AlreadyRunning:
        return True
    except OSError:
        return False
