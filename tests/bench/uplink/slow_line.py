"""A household's uplink: so many bytes a second each way, a modem's buffer, and a plug that can be pulled.

Between the agent and the broker, on this machine, without root: bytes wait here as they would in a router.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

PIECE_BYTES = 1_400  # a packet
BUFFER_BYTES = 8_192  # in a modem; the kernel doubles it


class SlowLine:
    """Passes connections on to a port; `unplug` breaks them and lets nobody in until `plug_in`."""

    def __init__(self, port: int, bytes_per_s: float) -> None:
        self._target, self._bytes_per_s = port, bytes_per_s
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._is_plugged = threading.Event()
        self._ends: list[socket.socket] = []
        self.passed_bytes = 0  # towards the station
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def plug_in(self) -> None:
        self._is_plugged.set()

    def unplug(self) -> None:
        self._is_plugged.clear()
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                house, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_plugged.is_set():
                house.close()
                continue
            station = socket.create_connection(("127.0.0.1", self._target))
            for end in (house, station):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
                self._ends.append(end)
            for source, drain in ((house, station), (station, house)):
                threading.Thread(
                    target=self._pump, args=(source, drain, source is house), daemon=True
                ).start()

    def _pump(self, source: socket.socket, drain: socket.socket, is_up: bool) -> None:
        free_at_s = time.monotonic()  # when the line has carried what it was given
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                free_at_s = max(free_at_s, time.monotonic()) + len(piece) / self._bytes_per_s
                time.sleep(max(0.0, free_at_s - time.monotonic()))
                drain.sendall(piece)
                self.passed_bytes += len(piece) * is_up
        for end in (source, drain):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
