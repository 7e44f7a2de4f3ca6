"""A peer that answers whatever a test likes, below `requests`: no socket, and everything above it is real."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import requests
import urllib3
from requests.adapters import HTTPAdapter

_ASKED = re.compile(rb"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)")


@contextmanager
def answering(answers: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Answer by the operation in the SOAP body; what is under "" to everything else. Yields `answers`."""

    def send(adapter: HTTPAdapter, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        said = answers.get(_operation(request), answers.get("", b""))
        raw = urllib3.HTTPResponse(
            io.BytesIO(said), {"Date": "Tue, 24 Nov 2026 03:00:00 GMT"}, 200, preload_content=False
        )
        return adapter.build_response(request, raw)

    with mock.patch.object(HTTPAdapter, "send", send):
        yield answers


def _operation(request: requests.PreparedRequest) -> str:
    body = request.body or b""
    asked = body.encode() if isinstance(body, str) else bytes(body)
    found = _ASKED.search(asked)
    if found is None:
        return ""
    return found.group(1).decode() + ("-2" if b"ver20/media/wsdl" in asked else "")
