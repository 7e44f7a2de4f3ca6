"""Does the camera we know still live at this address? Asked before every login, without one.

After a power cut cameras may come back with each other's addresses. Without this question the yard
would be filed under the gate's name, and a password would be spent on a camera it was never typed for.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from agent.cameras.credentials import Credential
from agent.cameras.identity import Traits, mac_of_neighbour
from agent.cameras.register import CameraEntry
from agent.cameras.stream import StreamAddress, StreamRefused, StreamUnreachable
from shared.clock import Clock

_CONNECT_S = 3.2  # a lost first packet is sent again after 1 s, and after 3 s
_RTSP_PORT = 554


def detect_address(entry: CameraEntry, credential: Credential | None, clock: Clock) -> StreamAddress:
    """Return where to look, with this question in front of it."""
    return replace(entry.detect_address(credential), guard=partial(check, entry, clock))


def picture_address(entry: CameraEntry, credential: Credential | None, clock: Clock) -> StreamAddress:
    return replace(entry.picture_address(credential), guard=partial(check, entry, clock))


class CameraSwapped(StreamRefused):
    """Another camera answers at this one's address. It is not watched under the old one's name."""

    key, cause = "camera-swapped", "camera-swapped"


def check(entry: CameraEntry, clock: Clock) -> None:
    """Raise CameraSwapped when another device answers there.

    Costs one TCP connection. The MAC is read while it stands, so it is the right one; only a
    differing one leads to a second question, the endpoint's UUID. Where there is no MAC to see (the
    other side of a router) the camera is taken at its word: some draw a new UUID at every start.
    """
    parts = urlsplit(entry.detect_url)
    host, port = parts.hostname or "", parts.port or _RTSP_PORT
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S):
            mac = mac_of_neighbour(host)
    except ConnectionRefusedError:
        raise StreamRefused(host=host, reason="port closed") from None
    except OSError as error:
        raise StreamUnreachable(host=host, reason=error.strerror or "no answer") from None
    if not mac or not entry.mac or mac == entry.mac:
        return
    from agent.cameras.soap import endpoint_at  # here: zeep's 20 MB are for the rare day somebody is swapped

    seen = Traits(mac=mac, endpoint=endpoint_at(entry.onvif_url, clock))
    if seen.endpoint is None or seen.endpoint != entry.endpoint:
        raise CameraSwapped(host=host, name=entry.name)
