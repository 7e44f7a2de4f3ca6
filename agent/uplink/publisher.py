"""Outbox → wire, whatever the network does; a row goes only on the collector's word.

`Publisher.step` decides and can be called by a test; `start` gives it the thread `uplink`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pydantic import ValidationError

from agent.uplink.outbox import Outbox
from agent.uplink.window import Window
from agent.uplink.wire import Answered, Connected, Disconnected, Said, Wire
from shared.clock import Clock
from shared.messages import Acknowledgement, CollectorState, Heartbeat
from shared.topics import COLLECTOR_STATE

log = logging.getLogger(__name__)

_TICK_S = 0.5  # how late a timer may be
_NOBODY_THERE_S = 5.0  # PUBACK 0x10: the collector is not subscribed; it says when it is back
_NOT_AUTHORISED_S = 3600.0  # PUBACK 0x87: no retry helps soon; the technician is told
_NO_SUBSCRIBERS, _NOT_AUTHORISED = 0x10, 0x87

_NEWS_APART_S = 5.0  # a camera that comes and goes every second must not fill the line with heartbeats

HeartbeatMaker = Callable[[], Heartbeat]


class Publisher:
    """Owned by the thread `uplink`. `problem` is a code of `agent.health`, or empty when all is well.

    `mark_s` is the monotonic time of the last finished step, for the supervisor.
    """

    def __init__(
        self,
        outbox: Outbox,
        wire: Wire,
        clock: Clock,
        *,
        window_bytes: int,
        heartbeat: tuple[HeartbeatMaker, float] | None = None,
    ) -> None:
        """`heartbeat` is what makes one, and every how many seconds."""
        self._outbox = outbox
        self._wire = wire
        self._clock = clock
        self._window = Window(window_bytes)
        self._heartbeat = heartbeat
        self._heartbeat_due_s = clock.monotonic()
        self._heartbeat_sent_s = float("-inf")
        self._news = threading.Event()
        self._connected = False
        self._collector_there = False
        self._paused_until_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self.problem = "connecting"
        self.mark_s = clock.monotonic()

    def start(self) -> None:
        self._wire.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._outbox.arrived.set()
        self._thread.join(timeout=5)
        self._wire.stop()

    def tell_soon(self) -> None:
        """A camera came or went: the technician need not wait a minute for it. From any thread."""
        self._news.set()

    def step(self) -> None:
        """Learn what happened, then send what may go now."""
        while not self._wire.facts.empty():
            self._learn(self._wire.facts.get())
        now_s = self._clock.monotonic()
        if late := self._window.expire(now_s):
            log.warning("no acknowledgement in time, sending again", extra={"messages": late})
        if not self._connected:
            return
        self._beat(now_s)
        if self._collector_there and now_s >= self._paused_until_s:
            self._send(now_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._outbox.arrived.wait(_TICK_S)
            self._outbox.arrived.clear()
            try:
                self.step()
            except Exception:
                log.exception("uplink step failed")
                self._stop.wait(_TICK_S)
            self.mark_s = self._clock.monotonic()

    def _beat(self, now_s: float) -> None:
        """Send a heartbeat when it is time, or sooner when there is news."""
        if not self._heartbeat:
            return
        make, interval_s = self._heartbeat
        is_news = self._news.is_set() and now_s >= self._heartbeat_sent_s + _NEWS_APART_S
        if not is_news and now_s < self._heartbeat_due_s:
            return
        self._news.clear()
        self._heartbeat_sent_s, self._heartbeat_due_s = now_s, now_s + interval_s
        self._wire.send_heartbeat(make().model_dump_json(exclude_none=True).encode())

    def _send(self, now_s: float) -> None:
        for row in self._outbox.next(self._window.room_bytes, not_these=self._window.ids):
            self._window.sent(row.id, len(row.body), now_s)
            self._wire.send(row)

    def _learn(self, fact: Connected | Disconnected | Answered | Said) -> None:
        match fact:
            case Connected():
                self._connected = True
                self._window.forget()
                self._heartbeat_due_s = self._clock.monotonic()
                self._set_problem("connecting")  # until the collector's retained state tells more
            case Disconnected(reason):
                self._connected = self._collector_there = False
                self._window.forget()
                self._set_problem("station-unreachable", reason)
            case Answered(code) if code == _NO_SUBSCRIBERS:
                self._pause(_NOBODY_THERE_S, "collector-absent")
            case Answered(code) if code == _NOT_AUTHORISED:
                self._pause(_NOT_AUTHORISED_S, "not-authorised")
            case Answered():
                pass  # any other PUBACK says nothing: only the collector's word deletes
            case Said(topic, payload) if topic == COLLECTOR_STATE:
                self._hear_state(payload)
            case Said(_, payload):
                self._hear_acknowledgement(payload)

    def _pause(self, seconds: float, problem: str) -> None:
        self._paused_until_s = self._clock.monotonic() + seconds
        self._window.forget()
        self._set_problem(problem)

    def _set_problem(self, problem: str, reason: str = "") -> None:
        """Log the change, not the state."""
        if problem != self.problem:
            log.warning("uplink", extra={"problem": problem or "none", "reason": reason})
        self.problem = problem

    def _hear_state(self, payload: bytes) -> None:
        try:
            self._collector_there = CollectorState.model_validate_json(payload).online
        except ValidationError:
            log.warning("collector state not understood")
            return
        if self._collector_there:
            self._paused_until_s = 0.0
            self._window.forget()
        self._set_problem("" if self._collector_there else "collector-absent")

    def _hear_acknowledgement(self, payload: bytes) -> None:
        try:
            word = Acknowledgement.model_validate_json(payload)
        except ValidationError:
            log.warning("acknowledgement not understood")
            return
        self._outbox.acknowledged(word.stored)
        if word.refused:
            self._outbox.refused(word.refused)
            log.warning("refused by the collector", extra={"reasons": sorted(set(word.refused.values()))})
        for message_id in (*word.stored, *word.refused):
            self._window.settled(message_id)
        self._set_problem("")
