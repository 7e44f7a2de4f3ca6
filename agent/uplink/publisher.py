"""Outbox → wire, whatever the network does; a row goes only on the collector's word.

`Publisher.step` decides and can be called by a test; `start` gives it the thread `uplink`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import ValidationError

from agent.uplink.outbox import Outbox, Row
from agent.uplink.shaping import Cap, Turns
from agent.uplink.window import Window
from agent.uplink.wire import Answered, Connected, Disconnected, Said, Wire
from shared.clock import Clock, microseconds
from shared.localtime import Hours
from shared.messages import Acknowledgement, CollectorState, Heartbeat, Wishes
from shared.topics import COLLECTOR_STATE

log = logging.getLogger(__name__)

_TICK_S = 0.5  # how late a timer may be
_NOBODY_THERE_S = 5.0  # PUBACK 0x10: the collector is not subscribed; it says when it is back
_QUOTA_S = 60.0  # PUBACK 0x97 or anything like it: the broker is full, or says no more than "not now"
_NOT_AUTHORISED_S = 3600.0  # PUBACK 0x87: no retry helps soon; the technician is told
_NO_SUBSCRIBERS, _FAILURE, _NOT_AUTHORISED = 0x10, 0x80, 0x87
_RECENT = timedelta(minutes=10)  # what an officer may be waiting for
_AHEAD = timedelta(minutes=1)  # further in the future is a clock, not an event
_AT_ONCE = 16  # rows read at a time: half a megabyte of pictures
_TEND_EVERY_S = 10.0

_NEWS_APART_S = 5.0  # a camera that comes and goes every second must not fill the line with heartbeats

HeartbeatMaker = Callable[[], Heartbeat]


@dataclass(frozen=True, slots=True)
class Line:
    """What the way to the station may be asked to carry."""

    window_bytes: int  # on the wire and not yet acknowledged
    bytes_per_s: float | None = None  # None: as fast as it goes
    quiet_hours: Hours = field(default_factory=Hours)


class Publisher:
    """Owned by the thread `uplink`. `problem` is a code of `agent.health`, or empty when all is well.

    `wishes` is what the station asked for last, nothing until it has: a box that was offline since it
    started says the least. A station that goes away has not changed its mind.
    `mark_s` is the monotonic time of the last finished step, for the supervisor.
    """

    def __init__(
        self,
        outbox: Outbox,
        wire: Wire,
        clock: Clock,
        *,
        line: Line,
        heartbeat: tuple[HeartbeatMaker, float] | None = None,
    ) -> None:
        """`heartbeat` is what makes one, and every how many seconds."""
        self._outbox = outbox
        self._wire = wire
        self._clock = clock
        self._line = line
        self._window = Window(line.window_bytes)
        self._cap, self._turns = Cap(line.bytes_per_s), Turns()
        self._tend_at_s = clock.monotonic()
        self._heartbeat = heartbeat
        self._heartbeat_due_s = clock.monotonic()
        self._heartbeat_sent_s = float("-inf")
        self._news = threading.Event()
        self._ears: dict[str, Callable[[bytes], None]] = {}
        self._connected = False
        self._collector_there = False
        self._paused_until_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self.problem = "connecting"
        self.wishes = Wishes()
        self.mark_s = self.done_s = clock.monotonic()  # done: a step without a fault

    def start(self) -> None:
        self._wire.start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._outbox.arrived.set()
        self._thread.join(timeout=5)
        self._wire.stop()

    def hear(self, topic: str, ear: Callable[[bytes], None]) -> None:
        """Hand on what is said there; the ear must be quick and never raise. Before `start`."""
        self._ears[topic] = ear

    def take_line(self, line: Line) -> None:
        """Heed other limits from now on. From any thread."""
        if line.bytes_per_s != self._line.bytes_per_s:
            self._cap = Cap(line.bytes_per_s)
        self._line = line

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
        self._tend(now_s)
        if self._collector_there and now_s >= self._paused_until_s:
            self._send(now_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._outbox.arrived.wait(_TICK_S)
            self._outbox.arrived.clear()
            try:
                self.step()
                self.done_s = self._clock.monotonic()
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

    def _tend(self, now_s: float) -> None:
        """Now and then: what waits in memory for the disk, and what was lost, must be said too."""
        if now_s < self._tend_at_s:
            return
        self._tend_at_s = now_s + _TEND_EVERY_S
        if not self._outbox.retry():
            self._outbox.report_losses(self._clock.now())

    def _send(self, now_s: float) -> None:
        """Newest first, with every fourth turn for what waited long, as far as window and cap allow."""
        now = self._clock.now()
        span_us = microseconds(now - _RECENT), microseconds(now + _AHEAD)
        is_quiet = self._line.quiet_hours.hold(now)
        while self._window.room_bytes > 0 and self._cap.room(now_s) > 0:
            taken = self._window.ids
            recent = self._outbox.recent(span_us, _AT_ONCE, taken)
            backlog = self._outbox.backlog(span_us, _AT_ONCE, taken, pictures=is_quiet)
            if not self._send_some(deque(recent), deque(backlog), now_s):
                return

    def _send_some(self, recent: deque[Row], backlog: deque[Row], now_s: float) -> int:
        went = 0
        while recent or backlog:
            is_backlog = bool(backlog) and (self._turns.is_backlogs() or not recent)
            queue = backlog if is_backlog else recent
            room_bytes = self._window.room_bytes
            fits = len(queue[0].body) <= room_bytes or (room_bytes > 0 and not self._window.ids)
            if not fits or self._cap.room(now_s) <= 0:
                return 0
            row = queue.popleft()
            self._window.sent(row.id, len(row.body), now_s)
            self._cap.spend(len(row.body))
            self._turns.went(is_backlog=is_backlog)
            self._wire.send(row)
            went += 1
        return went

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
            case Answered(code) if code >= _FAILURE:
                self._pause(_QUOTA_S, "broker-full")
            case Answered():
                pass  # any other PUBACK says nothing: only the collector's word deletes
            case Said(topic, payload) if topic == COLLECTOR_STATE:
                self._hear_state(payload)
            case Said(topic, payload) if topic in self._ears:
                self._ears[topic](payload)
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
            state = CollectorState.model_validate_json(payload)
        except ValidationError:
            log.warning("collector state not understood")
            return
        self._collector_there = state.online
        if self._collector_there:
            self.wishes = state.wishes
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
