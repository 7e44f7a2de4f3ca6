"""Who has to be running? Whatever was killed is started again, as systemd would, until it is held back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from collector.archive.folder import StationFolder
from collector.intake.broker import running_broker
from tests.station import COLLECTOR, Station

_LOOK_S = 0.3
_PATIENCE_S = 30.0  # for what was killed a moment ago to be there again
_SOURCE = [sys.executable, "-m", "tests.integration.chaos.source"]


class Kept:
    """One program that is kept running; `kills` are ours, `ends` those nobody asked for."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self._command, self._log, self._environment = command, log, os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._held = threading.Event()
        self._closed = threading.Event()
        self.kills = self.ends = 0
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """SIGKILL, once it runs; it comes back by itself unless held."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not self._runs() and time.monotonic() < deadline_s and not self._held.is_set():
            time.sleep(0.05)
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.kill()
                self._process.wait()
                self._process = None
                self.kills += 1

    def hold(self) -> None:
        """Kill it, and leave it dead until `release`."""
        self._held.set()
        self.kill()

    def _runs(self) -> bool:
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def release(self) -> None:
        self._held.clear()

    def close(self) -> None:
        """Ask it to stop, as systemd does."""
        self._closed.set()
        self._thread.join()
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(40)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()

    def _keep(self) -> None:
        while not self._closed.wait(_LOOK_S):
            with self._lock:
                if self._held.is_set():
                    continue
                if self._process is None or self._process.poll() is not None:
                    self.ends += self._process is not None
                    with self._log.open("ab") as log:
                        self._process = subprocess.Popen(
                            self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
                        )


def collector(station: Station, log: Path) -> Kept:
    return Kept([*COLLECTOR, "run"], log, {"ANNINH_STATION": str(station.folder)})


def source(home: Path, ledger: Path, rate: float) -> Kept:
    command = [*_SOURCE, str(home), str(ledger), "--rate", str(rate)]
    return Kept(command, ledger.with_name("source.log"), {})


def kill_broker(station: Station) -> bool:
    """SIGKILL; the collector starts it again."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while (pid := running_broker(StationFolder(station.folder))) is None:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return True
