"""What does Frigate answer over HTTP? Its cameras' sizes, what happened since, one event, its picture."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
from requests.adapters import HTTPAdapter

from agent.cameras.credentials import Credential
from agent.cameras.frigate_messages import Size
from agent.vision.frame import Image
from shared.clock import Clock
from shared.errors import NeedsFixing, TryLater

_TIMEOUT_S = 5.0
_MAX_BYTES = 8 << 20  # a clean picture of a 4K camera as PNG is the largest thing asked for
_PAGE = 100  # events per answer
_PAGES = 50  # 5,000 events in a day's outage; more is a fault
_REFUSALS = frozenset({401, 403})
_ABSENT = frozenset({400, 404})
_MAX_PIXELS = 40_000_000
_END_OF_TIME_S = 1e11  # the year 5138, in seconds of the epoch


class FrigateUnreachable(TryLater):
    key, cause = "frigate-unreachable", "frigate-unreachable"


class FrigateRefused(NeedsFixing):
    """It wants a login, or another one."""

    key, cause = "frigate-refused", "frigate-login"


@dataclass(frozen=True, slots=True)
class FrigateApi:
    """Owned by one thread. `certificate`: the one it shows, for its own port 8971 signs itself."""

    url: str
    credential: Credential | None
    clock: Clock
    session: requests.Session

    @classmethod
    def at(
        cls, url: str, credential: Credential | None, clock: Clock, certificate: Path | None
    ) -> FrigateApi:
        session = requests.Session()
        session.trust_env = False  # it is on the LAN: no proxy, and no login out of .netrc
        if certificate:
            session.mount("https://", _Pinned(certificate))
        return cls(url.rstrip("/"), credential, clock, session)

    def sizes(self) -> tuple[dict[str, Size], float]:
        """Return what its cameras detect at, in pixels, and its clock minus ours."""
        response, body = self._get("/api/config")
        cameras = _part(_document(body), "cameras")
        sizes = {}
        for name in cameras:
            detect = _part(_part(cameras, name), "detect")
            width, height = detect.get("width"), detect.get("height")
            if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
                sizes[name] = (width, height)
        return sizes, self._offset_s(response)

    def events(self, after_s: float) -> list[Any]:
        """Return what began after that moment, oldest first."""
        rows: list[Any] = []
        before = ""
        for _ in range(_PAGES):
            _, body = self._get(f"/api/events?after={after_s:.3f}{before}&include_thumbnails=0&limit={_PAGE}")
            page = _document(body)
            if not isinstance(page, list) or not page:
                break
            rows += page
            starts = [row["start_time"] for row in page if _is_dated(row)]
            if len(page) < _PAGE or not starts:
                break
            before = f"&before={min(starts):.6f}"
        return rows[::-1]

    def event(self, key: str) -> Any | None:
        """Return one event, or None: it knows it no more."""
        response, body = self._get(f"/api/events/{key}")
        return None if response.status_code in _ABSENT else _document(body)

    def snapshot(self, key: str, *, ended: bool) -> Image | None:
        """Return its picture as it came from the camera, without drawings on it where that can be had."""
        names = ["snapshot.jpg?bbox=0&timestamp=0&crop=0&quality=95"]
        if ended:  # the file kept of an ended event has a box drawn into it; this copy has not
            names = ["snapshot-clean.webp", "snapshot-clean.png", *names]
        for name in names:
            response, body = self._get(f"/api/events/{key}/{name}")
            if response.status_code == 200 and body:  # noqa: PLR2004 -- the one that has a picture
                image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
                if image is not None and image.shape[0] * image.shape[1] <= _MAX_PIXELS:
                    return np.asarray(image, np.uint8)
        return None

    def _get(self, path: str) -> tuple[requests.Response, bytes]:
        response, body = self._ask("GET", path)
        if response.status_code in _REFUSALS:
            self._log_in()
            response, body = self._ask("GET", path)
            if response.status_code in _REFUSALS:
                raise FrigateRefused(url=self.url)
        if response.status_code >= 500:  # noqa: PLR2004 -- its own fault, or its proxy's
            raise FrigateUnreachable(url=self.url, reason=f"HTTP {response.status_code}")
        return response, body

    def _log_in(self) -> None:
        """Say the login once; it answers with a cookie good for a day. Refused, it is never said again."""
        credential = self.credential
        if credential is None or credential.refused:
            raise FrigateRefused(url=self.url)
        with credential.turn:
            said = {"user": credential.username, "password": credential.password.get_secret_value()}
            response, _ = self._ask("POST", "/api/login", said)
            if response.status_code in _REFUSALS:
                credential.refuse()
                raise FrigateRefused(url=self.url)
            if response.status_code != 200:  # noqa: PLR2004 -- too many tries, or older than its own logins
                raise FrigateUnreachable(url=self.url, reason=f"login: HTTP {response.status_code}")

    def _ask(
        self, method: str, path: str, said: dict[str, str] | None = None
    ) -> tuple[requests.Response, bytes]:
        body = bytearray()
        try:
            response = self.session.request(
                method, self.url + path, json=said, timeout=_TIMEOUT_S, stream=True, allow_redirects=False
            )
            for chunk in response.iter_content(64 * 1024):
                body += chunk
                if len(body) > _MAX_BYTES:
                    response.close()
                    raise FrigateUnreachable(url=self.url, reason="endless answer")
        except requests.RequestException as error:
            raise FrigateUnreachable(url=self.url, reason=type(error).__name__) from None
        return response, bytes(body)

    def _offset_s(self, response: requests.Response) -> float:
        try:
            there = parsedate_to_datetime(response.headers.get("Date", "")).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            return 0.0
        offset_s = (there - self.clock.now()).total_seconds() + 0.5  # whole seconds are cut off
        return round(offset_s, 1) if abs(offset_s) > 2 else 0.0  # noqa: PLR2004 -- less is the header's grain


class _Pinned(HTTPAdapter):  # type: ignore[misc]  # requests has no types here
    """Trusts one certificate and no other, whatever name stands in it."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.create_default_context(cafile=str(certificate))
        self._context.check_hostname = False
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> Any:
        return super().init_poolmanager(*args, ssl_context=self._context, assert_hostname=False, **options)


def _part(whole: Any, name: str) -> dict[str, Any]:
    """What is under that name, if both are objects; nothing else."""
    found = whole.get(name) if isinstance(whole, dict) else None
    return found if isinstance(found, dict) else {}


def _is_dated(row: Any) -> bool:
    began_s = row.get("start_time") if isinstance(row, dict) else None
    return isinstance(began_s, int | float) and 0 < began_s < _END_OF_TIME_S


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise FrigateUnreachable(url="", reason="not JSON") from None
