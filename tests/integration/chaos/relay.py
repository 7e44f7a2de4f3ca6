"""A router that fails in the middle of a message: cuts after so many bytes, or swallows them silently."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from enum import Enum

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: the close is a reset, as of a router that forgot


class Way(Enum):
    """Which direction a fault is in."""

    UP = "up"  # from the box to the station
    DOWN = "down"
    BOTH = "both"


class Relay:
    """Between one box and the broker; the faults may come from any thread."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._left: dict[Way, int] = {}  # bytes that still pass before the cut
        self._swallowed: set[Way] = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, way: Way, size_bytes: int) -> None:
        """Let so many more bytes pass, then break every connection: most likely within a message."""
        with self._lock:
            self._left = dict.fromkeys(_each(way), size_bytes)

    def swallow(self, way: Way) -> None:
        """Half open: what goes this way is taken and never arrives; nobody is told."""
        with self._lock:
            self._swallowed = set(_each(way))

    def mend(self, *, reset: bool) -> None:
        """Pass again; with `reset` break what was open, else go on behind the missing bytes."""
        with self._lock:
            self._swallowed, self._left = set(), {}
        if reset:
            self._break_all()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break_all()

    def _break_all(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for each in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=5)
                server.settimeout(None)
            except OSError:  # the broker is dead just now
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for way, source, drain in ((Way.UP, client, server), (Way.DOWN, server, client)):
                threading.Thread(target=self._pump, args=(way, source, drain), daemon=True).start()

    def _pump(self, way: Way, source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed, is_cut = self._through(way, data)
                drain.sendall(passed)
                if is_cut:
                    self._break_all()
                    return
        for end in (source, drain):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _through(self, way: Way, data: bytes) -> tuple[bytes, bool]:
        with self._lock:
            if way in self._swallowed:
                return b"", False
            left = self._left.get(way)
            if left is None:
                return data, False
            if len(data) < left:
                self._left[way] = left - len(data)
                return data, False
            self._left = {}
            self.cuts += 1
            return data[:left], True


def _each(way: Way) -> tuple[Way, ...]:
    return (Way.UP, Way.DOWN) if way is Way.BOTH else (way,)
