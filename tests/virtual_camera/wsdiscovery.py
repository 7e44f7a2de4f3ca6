"""Who is there? Answers WS-Discovery probes (2005/04 draft, as ONVIF prescribes) on UDP 3702."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import xml.etree.ElementTree as ET
from random import Random
from typing import Protocol
from uuid import UUID
from xml.sax.saxutils import escape

from tests.virtual_camera.state import Counters, Faults, Identity

GROUP, PORT = "239.255.255.250", 3702
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"

_ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{addressing}" xmlns:d="{discovery}"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:MessageID>urn:uuid:{message}</a:MessageID>
<a:RelatesTo>{relates}</a:RelatesTo>
<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>
<a:Action>{discovery}/ProbeMatches</a:Action></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>
<a:EndpointReference><a:Address>urn:uuid:{endpoint}</a:Address></a:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/{name}
 onvif://www.onvif.org/hardware/VC-1 onvif://www.onvif.org/Profile/Streaming</d:Scopes>
<d:XAddrs>{xaddr}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""


class Announced(Protocol):
    """What a responder must know of its camera."""

    address: str
    identity: Identity
    faults: Faults
    counters: Counters

    @property
    def onvif_url(self) -> str: ...


class Responder:
    """Owns one thread and two sockets: the group's (on the camera's interface) and the camera's own.

    `booted_s`: real firmware seeds its random numbers with the clock, so cameras that boot in the same
    second (after a power cut: all of them) draw the same MessageIDs. None: a seed of its own.
    """

    def __init__(self, camera: Announced, booted_s: int | None = None) -> None:
        self._camera = camera
        self._random = Random(booted_s)
        self._group = _socket(GROUP)
        self._own = _socket(camera.address)
        membership = socket.inet_aton(GROUP) + socket.inet_aton(camera.address)
        self._group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="virtual-discovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._waker.send(b"x")
        self._thread.join(5)
        for opened in (self._group, self._own, self._wake, self._waker):
            opened.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._group, self._own, self._wake], [], [])
            if self._wake in ready:
                return
            for opened in ready:
                data, sender = opened.recvfrom(65535)
                answer = self._answer(data)
                if answer and not self._camera.faults.discovery_silent:
                    with contextlib.suppress(OSError):  # the asker has gone
                        self._own.sendto(answer, sender)
                        self._camera.counters.add("probes_answered")

    def _answer(self, data: bytes) -> bytes | None:
        try:
            envelope = ET.fromstring(data)
        except ET.ParseError:
            return None
        probe = envelope.find(f".//{{{_DISCOVERY}}}Probe")
        if probe is None:
            return None
        types = probe.findtext(f"{{{_DISCOVERY}}}Types") or ""
        wanted = {name.rpartition(":")[2] for name in types.split()}
        if wanted and not wanted & {"NetworkVideoTransmitter", "Device"}:
            return None
        camera = self._camera
        xaddr = camera.onvif_url
        if camera.faults.xaddr_host:
            xaddr = xaddr.replace(f"//{camera.address}", f"//{camera.faults.xaddr_host}")
        return _ANSWER.format(
            addressing=_ADDRESSING,
            discovery=_DISCOVERY,
            message=UUID(int=self._random.getrandbits(128), version=4),
            relates=escape(envelope.findtext(f".//{{{_ADDRESSING}}}MessageID") or ""),
            endpoint=camera.identity.endpoint,
            name=escape(camera.identity.name),
            xaddr=escape(xaddr),
        ).encode()


def _socket(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # several cameras on one machine
    opened.bind((address, PORT))
    return opened
