"""What does a reconnect leave behind? Memory, threads and file descriptors over 500 forced ones.

    .venv/bin/python -m tests.bench.cameras.reconnects [--times 500]

The camera is a process of its own; what is counted is the reader alone, decoding as always. The slope is
that of the second half, after every library has loaded what it needs.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import psutil

from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.cameras.stream import StreamAddress
from shared.clock import SystemClock
from tests.conftest import REPOSITORY, VTEST

_PATIENCE_S = 60.0
_STREAMS = 5  # at the same time: a key frame comes every 2 s only, and nobody wants to wait 500 times


@dataclass(frozen=True)
class Size:
    rss_mb: float
    threads: int
    fds: int


class Watcher:
    """Some streams, and a consumer that takes what they give."""

    def __init__(self, url: str, streams: int) -> None:
        self._ours = psutil.Process()
        self._slots = [FrameSlot() for _ in range(streams)]
        self._streams = [
            CameraStream(f"gate{number}", StreamAddress(url), SystemClock(), slot=slot, sampled_fps=10)
            for number, slot in enumerate(self._slots)
        ]
        for stream in self._streams:
            stream.start()

    def size(self) -> Size:
        gc.collect()
        rss_mb = self._ours.memory_info().rss / 2**20
        return Size(rss_mb, self._ours.num_threads(), self._ours.num_fds())

    def await_frames(self) -> None:
        for slot in self._slots:
            assert slot.take(_PATIENCE_S), "no frame came"

    def reconnect(self) -> None:
        """Break every session from inside, as a reset would, without the waits that follow one."""
        for connection in self._ours.net_connections("tcp"):
            if connection.status == psutil.CONN_ESTABLISHED:
                _shut(connection.fd)
        for stream, slot in zip(self._streams, self._slots, strict=True):
            stream._reader._backoff.forget()
            stream._reader._wake.set()
            slot.take(0)
        self.await_frames()

    def stop(self) -> None:
        for stream in self._streams:
            stream.stop()


def _shut(descriptor: int) -> None:
    copy = socket.socket(fileno=os.dup(descriptor))
    try:
        copy.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # already gone
    finally:
        copy.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=500)
    times = parser.parse_args().times
    command = [sys.executable, "-m", "tests.virtual_camera", "--video", str(VTEST), "--no-discovery"]
    camera = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert camera.stdout
    logging.disable(logging.WARNING)
    watcher = Watcher(json.loads(camera.stdout.readline())["sub"], _STREAMS)
    try:
        _measure(watcher, times // _STREAMS)
    finally:
        watcher.stop()
        camera.terminate()
        camera.wait()


def _measure(watcher: Watcher, rounds: int) -> None:
    watcher.await_frames()
    sizes = [watcher.size()]
    for number in range(1, rounds + 1):
        watcher.reconnect()
        sizes.append(watcher.size())
        if number % 10 == 0:
            print(f"{number * _STREAMS:4} {sizes[-1]}", flush=True)
    half = [size.rss_mb for size in sizes[rounds // 2 :]]
    slope_kb = np.polyfit(range(len(half)), half, 1)[0] * 1024 / _STREAMS
    print(f"before {sizes[0]}\nafter  {sizes[-1]}\nslope  {slope_kb:.2f} kB a reconnect (second half)")


if __name__ == "__main__":
    main()
