"""Who is this camera, what is wrong with it right now, and what has been asked of it?"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, UUID, uuid5


@dataclass(frozen=True)
class Identity:
    """What a camera says about itself; the same name is the same camera after every restart."""

    name: str

    @property
    def endpoint(self) -> UUID:
        return uuid5(NAMESPACE_URL, f"virtual-camera:{self.name}")

    @property
    def mac(self) -> str:
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        return "02:" + ":".join(digest[i : i + 2] for i in range(0, 10, 2))

    @property
    def serial(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:12].upper()


@dataclass
class Faults:
    """What ails the camera; a test may change any of these while it runs."""

    refuse_rtsp: bool = False  # the port is closed and every connection gone: the process was killed
    frozen: bool = False  # TCP stays, pictures do not come: firmware hang, hole in the Wi-Fi
    hang: bool = False  # RTSP accepts and answers nothing
    most_sessions: int = 0  # more are refused (453); a session broken off counts until its time-out
    keepalive_refused: bool = False  # GET_PARAMETER and OPTIONS in a session are answered with 454
    no_key_frames: bool = False  # the next one is far away
    clock_offset_s: float = 0.0  # camera's clock minus the true one
    time_needs_login: bool = False  # Axis-like: credentials even for GetSystemDateAndTime
    xaddr_host: str | None = None  # what XAddrs and stream addresses say instead of the true host
    http_digest_only: bool = False  # HTTP Digest in front, WS-UsernameToken ignored
    untidy_uri: bool = False  # newline and &amp; in GetStreamUri
    video_sources: int = 1  # more than one: a recorder
    dead_sources: frozenset[int] = frozenset()  # channels without a camera: no such stream
    media2: str = "none"  # or "also", "only" (no Media1), "broken" (announced, every call a fault)
    said_encoding: str = "H264"  # what its profiles claim; the stream is H.264 whatever they say
    local_time_s: float = 0.0  # what it calls UTC is this much ahead; its clock is right
    dateless: bool = False  # no Date in the head of its HTTP answers
    http_silent: bool = False  # ONVIF accepts and answers nothing
    locks_after: int = 0  # wrong logins until it locks itself, and it says how many are left
    snapshot_uri: str = ""  # what GetSnapshotUri says instead of the truth
    sub_shows_main: bool = False  # the sub stream changes its resolution
    discovery_silent: bool = False


@dataclass
class Counters:
    """What a test may ask afterwards; safe to touch from every thread."""

    soap_requests: int = 0
    soap_credentialed: int = 0
    soap_wrong: int = 0
    rtsp_connections: int = 0
    rtsp_credentialed: int = 0
    rtsp_wrong: int = 0
    rtsp_plays: int = 0
    rtsp_busy: int = 0
    rtsp_keepalives: int = 0
    rtsp_teardowns: int = 0
    snapshots: int = 0
    probes_answered: int = 0
    subscriptions: int = 0
    reboots: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, name: str) -> None:
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)


@dataclass(frozen=True)
class Login:
    user: str
    password: str = field(repr=False)
