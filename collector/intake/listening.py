"""How does the station take a port? In one place, so that a taken one is said in plain words."""

from __future__ import annotations

import socket

from shared.errors import NeedsFixing


class PortTaken(NeedsFixing):
    """Another program listens where the station should, or the address is not this machine's."""

    key = "port-taken"


def listen(bind: str, port: int, setting: str) -> socket.socket:
    """Return a listening socket. Raises PortTaken, naming the setting that can move us elsewhere."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family, backlog=128)
    except OSError as error:
        raise PortTaken(bind=bind, port=port, setting=setting, reason=error.strerror or error) from error
