"""Programs that a rehearsal starts, and stops again: all of them, and nothing else."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

_PR_SET_PDEATHSIG = 1  # prctl(2): a child whose parent was killed gets a signal
_PATIENCE_S = 15.0  # a clean stop commits what it has; after that, no more asking
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Children:
    """Context manager: on the way out every child is asked to stop, last started first."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name, child in reversed(self._running):
            self._stop(name, child)

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own (Ctrl-C reaches us alone), output to `logs/<name>.log`."""
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 -- one prctl, no lock taken
            )
        self._running.append((name, child))
        return child

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def dead(self) -> list[str]:
        """Names of those that ended without being asked."""
        return [name for name, child in self._running if child.poll() is not None]

    def stop(self, name: str) -> None:
        """Ask the one of that name to stop, and wait until it has."""
        for other, child in list(self._running):
            if other == name:
                self.forget(child)
                self._stop(name, child)

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """Somebody else has ended this one, on purpose."""
        self._running = [pair for pair in self._running if pair[1] is not child]

    def _stop(self, name: str, child: subprocess.Popen[bytes]) -> None:
        if child.poll() is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            print(f"{name} did not stop when asked", file=sys.stderr)
            child.kill()
            child.wait()
