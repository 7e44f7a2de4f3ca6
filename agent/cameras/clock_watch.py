"""How far is each camera's clock off today? Asked once a day, without a login.

What was measured when the camera was added is true that day: cheap clocks drift by seconds a day, and a
camera that lost its power may be in another year. No password goes out, so none can be refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from agent.cameras import register
from agent.cameras.register import CameraEntry
from agent.cameras.skew import clock_offset, http_date
from agent.cameras.xmltree import XmlError, parse
from shared.clock import Clock

log = logging.getLogger(__name__)

_FIRST_S = 600.0  # after the start: by then the streams stand
_PERIOD_S = 86_400.0
_TICK_S = 30.0
_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024  # the answer has 1 kB
_NOTICED_S = 1.0  # a smaller change is the reading's own error: cameras tell whole seconds
_QUESTION = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    '<s:Body><GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)


def measure(url: str, clock: Clock) -> float | None:
    """Return the camera's clock minus ours, in seconds; None when it does not say, or leaves a doubt."""
    before = clock.now()
    headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
    try:
        with requests.post(
            url, _QUESTION, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
        ) as answer:
            halfway = before + (clock.now() - before) / 2
            body = answer.raw.read(_MOST_BYTES, decode_content=True) if answer.ok else b""
            dated = http_date(answer.headers.get("Date", ""))
    except (requests.RequestException, OSError) as error:
        log.info("camera's clock not read", extra={"url": url, "reason": type(error).__name__})
        return None
    # whole seconds are cut off: half a second is the least wrong guess at the rest
    offsets = [
        (time + timedelta(seconds=0.5) - halfway).total_seconds() if time else None
        for time in (_said(body), dated)
    ]
    offset_s, is_in_doubt = clock_offset(*offsets)
    return None if is_in_doubt else offset_s


def _said(body: bytes) -> datetime | None:
    try:
        moment = parse(body).first("UTCDateTime")
        if moment is None:
            return None
        year, month, day, hour, minute, second = (
            int(moment.said(name)) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")
        )
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except (XmlError, ValueError, OverflowError):
        return None


class ClockWatch:
    """Owns the thread `clocks`; what it finds goes into the register, where everybody looks."""

    def __init__(self, home: Path, clock: Clock, is_synchronised: Callable[[], bool]) -> None:
        self._home, self._clock, self._is_synchronised = home, clock, is_synchronised
        self.is_spared: Callable[[str], bool] = lambda _camera: False  # by name: not to be asked now
        self._due_s = clock.monotonic() + _FIRST_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clocks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * _TIMEOUT_S)

    def round(self) -> None:
        """Measure, if that is due and our own clock is worth measuring by."""
        now_s = self._clock.monotonic()
        if now_s < self._due_s or not self._is_synchronised():
            return
        self._due_s = now_s + _PERIOD_S
        found: dict[str, float] = {}
        asked = (entry for entry in register.load(self._home) if not self.is_spared(entry.name))
        for url in {entry.onvif_url for entry in asked}:
            offset_s = measure(url, self._clock)
            if offset_s is not None and not self._stop.is_set():
                found[url] = offset_s
        if any(_measured(entry, found) != entry for entry in register.load(self._home)):
            register.change(self._home, lambda entries: tuple(_measured(entry, found) for entry in entries))
            log.info("cameras' clocks measured", extra={"cameras": len(found)})

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                self.round()
            except Exception:
                log.exception("measuring the cameras' clocks failed")


def _measured(entry: CameraEntry, found: dict[str, float]) -> CameraEntry:
    offset_s = found.get(entry.onvif_url)
    known_s = entry.clock_offset_s
    if offset_s is None or (known_s is not None and abs(offset_s - known_s) < _NOTICED_S):
        return entry
    return entry.model_copy(update={"clock_offset_s": offset_s})
