"""Who keeps a stream connected? One thread: connect, hand over every packet, and begin again."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Protocol

from av.video.stream import VideoStream

from agent.cameras.backoff import Backoff
from agent.cameras.stream import (
    Arrival,
    Connection,
    StreamAddress,
    StreamRefused,
    StreamStalled,
    StreamUnreachable,
    WrongPassword,
)
from shared.clock import Clock

log = logging.getLogger(__name__)

CONNECTING, OK = "connecting", "ok"
_NEW_LOGIN_S = 5.0  # how often to look whether a person has typed a new password
_STOP_S = 15.0  # opening takes 10 s at the very worst: 5 to connect, 5 to look at the stream


class PacketSink(Protocol):
    """What becomes of the packets; both are called in the reader's thread."""

    def opened(self, video: VideoStream) -> None: ...

    def arrived(self, arrival: Arrival) -> None: ...


class StreamReader:
    """Owns its thread. `cause` is why there is no picture, as a code of `agent.health`, or `ok`."""

    def __init__(self, name: str, address: StreamAddress, clock: Clock, sink: PacketSink) -> None:
        self._name = name
        self._address = address
        self._clock = clock
        self._sink = sink
        self._backoff = Backoff()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.cause = CONNECTING

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            began_s = self._clock.monotonic()
            try:
                self._session()
            except WrongPassword as failure:
                self._note(failure.cause)
                self._await_new_login()
                continue
            except (StreamUnreachable, StreamStalled, StreamRefused) as failure:
                self._note(failure.cause)
            except Exception:
                log.exception("reading failed", extra={"camera": self._name})
                self._note(StreamUnreachable.cause)
            self._stop.wait(self._backoff.wait_s(self._clock.monotonic() - began_s))

    def _session(self) -> None:
        """Read until told to stop, or until it fails."""
        with Connection(self._address, self._clock) as connection:
            self._sink.opened(connection.video)
            for arrival in connection.arrivals():
                if self._stop.is_set():
                    return
                self._note(OK)
                self._sink.arrived(arrival)

    def _await_new_login(self) -> None:
        credential = self._address.credential
        while not self._stop.wait(_NEW_LOGIN_S):
            fresh = credential.renewed() if credential else None
            if fresh:
                self._address = replace(self._address, credential=fresh)
                self._note(CONNECTING)
                return

    def _note(self, cause: str) -> None:
        """Log the change, not the state."""
        if cause != self.cause:
            was, self.cause = self.cause, cause
            level = logging.INFO if cause in {OK, CONNECTING} else logging.WARNING
            log.log(level, "camera stream", extra={"camera": self._name, "cause": cause, "was": was})
