"""Is this Digest answer right? RFC 2617 as cameras speak it, over RTSP and HTTP (MD5, qop optional)."""

from __future__ import annotations

import hashlib
import secrets
import urllib.request
from enum import Enum

from tests.virtual_camera.state import Login


class Verdict(Enum):
    RIGHT = "right"
    MISSING = "missing"  # nobody has been asked yet
    STALE = "stale"  # our nonce is too old; the password was not judged
    WRONG = "wrong"


class Digest:
    """One realm and its nonces."""

    def __init__(self, login: Login, *, qop: bool) -> None:
        self.login, self._qop = login, qop
        self._nonces: set[str] = set()

    def challenge(self) -> str:
        nonce = secrets.token_hex(16)
        self._nonces.add(nonce)
        qop = ', qop="auth"' if self._qop else ""
        return f'Digest realm="IP Camera", nonce="{nonce}"{qop}, algorithm=MD5'

    def check(self, header: str | None, method: str) -> Verdict:
        if not header or not header.lower().startswith("digest "):
            return Verdict.MISSING
        given = urllib.request.parse_keqv_list(urllib.request.parse_http_list(header[7:]))
        if given.get("nonce") not in self._nonces:
            return Verdict.STALE
        ha1 = _md5(f"{self.login.user}:IP Camera:{self.login.password}")
        ha2 = _md5(f"{method}:{given.get('uri', '')}")
        middle = given["nonce"]
        if "qop" in given:
            middle += f":{given.get('nc')}:{given.get('cnonce')}:{given['qop']}"
        right = _md5(f"{ha1}:{middle}:{ha2}")
        if given.get("username") == self.login.user and secrets.compare_digest(
            right, given.get("response", "")
        ):
            return Verdict.RIGHT
        return Verdict.WRONG


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
