"""Is the camera there? One question that needs no login: what its RTSP port says to OPTIONS.

A camera that is gone is asked every second or two, which costs it six small packets, so it is opened in
the moment it is back, however long it was away. A finished TCP handshake is not enough: the kernel of a
hung camera goes on shaking hands, so only an answer in RTSP counts, whatever it says.
"""

from __future__ import annotations

import socket
from enum import Enum
from urllib.parse import urlsplit

_PATIENCE_S = 1.5  # the slowest healthy answer at 20 % packet loss: a SYN lost once is sent again after 1 s
_RTSP_PORT, _RTSPS_PORT = 554, 322  # RFC 7826 10.5


class Answer(Enum):
    """The value is the code of `agent.health` for why there is no picture."""

    THERE = "ok"
    MUTE = "stalled"  # takes connections and says nothing: a hung firmware
    CLOSED = "refused"  # the machine is there, nobody listens
    SILENT = "unreachable"  # nothing comes back: no power, no network


def knock(url: str) -> Answer:
    """Ask once, without credentials; returns within three seconds."""
    parts = urlsplit(url)
    port = parts.port or (_RTSPS_PORT if parts.scheme == "rtsps" else _RTSP_PORT)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE_S) as door:
            return (
                Answer.THERE if parts.scheme != "rtsp" else _ask(door, f"{parts.hostname}:{port}{parts.path}")
            )
    except ConnectionRefusedError:
        return Answer.CLOSED
    except OSError:
        return Answer.SILENT


def _ask(door: socket.socket, where: str) -> Answer:
    try:
        door.sendall(f"OPTIONS rtsp://{where} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        return Answer.THERE if door.recv(1) else Answer.MUTE
    except OSError:
        return Answer.MUTE
