"""A line that breaks: passes bytes on to a port, and cuts a connection after so many."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class BadLine:
    """Each connection is cut after the next of `cuts` bytes towards the caller; later ones never."""

    def __init__(self, port: int, *cuts: int) -> None:
        self._target, self._cuts = port, list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.passed, self.connections = 0, 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            most = self._cuts.pop(0) if self._cuts else 1 << 60
            self._serve(caller, most)

    def _serve(self, caller: socket.socket, most: int) -> None:
        with caller, socket.create_connection(("127.0.0.1", self._target)) as station:
            up = threading.Thread(target=_copy, args=(caller, station, 1 << 60), daemon=True)
            up.start()
            self.passed += _copy(station, caller, most)
            up.join(10)


def _copy(source: socket.socket, target: socket.socket, most: int) -> int:
    """Pass bytes on; whichever direction ends, ends both."""
    passed = 0
    with suppress(OSError):
        while passed < most and (chunk := source.recv(min(16_384, most - passed))):
            target.sendall(chunk)
            passed += len(chunk)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    return passed
