"""Who keeps a stream connected? One thread: connect, hand over every packet, and begin again."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Protocol

from av.video.stream import VideoStream

from agent.cameras.backoff import HEALTHY_S, NO_STREAM, Backoff
from agent.cameras.knock import Answer, knock
from agent.cameras.stream import (
    Arrival,
    Connection,
    StreamAddress,
    StreamFailure,
    StreamRefused,
    StreamStalled,
    StreamUnreachable,
    WrongPassword,
)
from shared.clock import Clock

log = logging.getLogger(__name__)

CONNECTING, OK = "connecting", "ok"
_KNOCK_EVERY_S = 1.5  # with a key frame every 2 s: a picture within 4 s of the camera's return
_TRY_ANYWAY_S = 60.0  # a camera may dislike our knock alone
_HELD_S = 3600.0  # whoever lets go of us wakes us
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
        self._wake = threading.Event()  # stopped, moved or held off: no time to wait
        self._is_held = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.cause = CONNECTING

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Of many, all at once; each may be busy opening for seconds. `stop` waits for it."""
        self._stop.set()
        self._wake.set()

    def stop(self) -> None:
        """End the session with the camera's knowledge (TEARDOWN): else it counts us for a minute more."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def move_to(self, address: StreamAddress) -> None:
        self._address = address
        self._wake.set()

    def hold(self, *, held: bool) -> None:
        """Hang up and stay away, or come back; for any thread."""
        self._is_held = held
        self._wake.set()

    def reopen(self) -> None:
        """Begin the session anew, as after a move; for any thread."""
        self.move_to(replace(self._address))

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._is_held:
                self._note(CONNECTING)
                self._pause(_HELD_S)
                continue
            address, began_s = self._address, self._clock.monotonic()
            try:
                self._await_answer(address)
                if not self._is_over(address):
                    began_s = self._clock.monotonic()
                    self._session(address)
                continue
            except WrongPassword as failure:
                self._note(failure.cause)
                self._await_new_login(address)
                continue
            except (StreamUnreachable, StreamStalled, StreamRefused) as failure:
                self._note(_seen_from_here(failure))
                pace = failure.pace
            except Exception:
                log.exception("reading failed", extra={"camera": self._name})
                self._note(StreamUnreachable.cause)
                pace = NO_STREAM
            if self._clock.monotonic() - began_s >= HEALTHY_S:
                self._backoff.forget()
            else:
                self._pause(self._backoff.wait_s(pace))

    def _await_answer(self, address: StreamAddress) -> None:
        """Knock until the camera answers; one that only takes connections is tried once a minute."""
        credential = address.credential
        if credential and credential.refused:
            raise WrongPassword(host=address.host)
        deadline_s = self._clock.monotonic() + _TRY_ANYWAY_S
        while not self._is_over(address):
            began_s = self._clock.monotonic()
            answer = knock(address.url)
            if answer is Answer.THERE or (answer is Answer.MUTE and began_s > deadline_s):
                return
            self._note(answer.value)
            self._backoff.forget()
            self._pause(self._backoff.spread_s(_KNOCK_EVERY_S) - (self._clock.monotonic() - began_s))

    def _session(self, address: StreamAddress) -> None:
        """Read until told to stop, to move or to stay away, or until it fails."""
        with Connection(address, self._clock) as connection:
            if self._is_over(address):
                return
            self._sink.opened(connection.video)
            for arrival in connection.arrivals():
                if self._is_over(address):
                    return
                self._note(OK)
                self._sink.arrived(arrival)

    def _await_new_login(self, address: StreamAddress) -> None:
        while not self._is_over(address):
            self._pause(_NEW_LOGIN_S)
            fresh = address.credential.renewed() if address.credential else None
            if fresh and address is self._address:
                self._address = replace(address, credential=fresh)
                self._note(CONNECTING)

    def _is_over(self, address: StreamAddress) -> bool:
        """Is there nothing more to do at this address?"""
        return self._stop.is_set() or self._is_held or address is not self._address

    def _pause(self, seconds: float) -> None:
        self._wake.wait(max(seconds, 0.0))
        self._wake.clear()

    def _note(self, cause: str) -> None:
        """Log the change, not the state."""
        if cause != self.cause:
            was, self.cause = self.cause, cause
            level = logging.INFO if cause in {OK, CONNECTING} else logging.WARNING
            log.log(level, "camera stream", extra={"camera": self._name, "cause": cause, "was": was})


def _seen_from_here(failure: StreamFailure) -> str:
    """A camera that has just answered in RTSP has power and a network, whatever came of it then."""
    return StreamStalled.cause if isinstance(failure, StreamUnreachable) else failure.cause
