"""Has the camera itself seen somebody? A thread per device keeps a subscription alive and marks hints.

A hint makes our own detector look, nothing more. Whatever goes wrong here costs the hint and never
the stream: the subscription is made anew, each time a little later.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping

from agent.cameras.attention import Attention
from agent.cameras.camera_event_messages import HINTS, TROUBLES, CameraEvent, Says
from agent.cameras.pullpoint import NoEvents, PullPoint, SubscriptionLost
from agent.cameras.stream import StreamRefused, StreamUnreachable, WrongPassword
from shared.clock import Clock

log = logging.getLogger(__name__)

# Dahua's IPC-HDW1225C takes one listener, and its recorder wants to be that one; Imou is the same firmware.
_ONE_LISTENER = ("dahua", "imou", "lechange")
_FIRST_S, _LONGEST_S = 2.0, 120.0  # a camera reboots in one or two minutes
_HEALTHY_S = 30.0
_LOST_S = 300.0  # so long without a subscription is worth a word, where somebody asked for one
_HELD_S = 3600.0  # whoever lets go of us wakes us
_TROUBLE_S = 3600.0  # a trouble nobody ever takes back is old after so long
_CAUSES = {Says.TAMPERED: "camera-says-tampered", Says.BROKEN: "camera-says-broken"}


def is_listened_to(wish: str, manufacturer: str) -> bool:
    """May we listen to this camera? `wish`: the register's `camera_events`."""
    if wish == "auto":
        return not any(maker in manufacturer.lower() for maker in _ONE_LISTENER)
    return wish == "on"


class HintMark:
    """When the camera last said it saw somebody; one place between two threads, newest wins."""

    def __init__(self, attention: Attention | None = None) -> None:
        """`attention` is woken by every hint: a stream read by its key frames shows the rest at once."""
        self._attention = attention
        self._lock = threading.Lock()
        self._marked_s: float | None = None
        self.count = 0

    def put(self, monotonic_s: float) -> None:
        if self._attention:
            self._attention.wake(monotonic_s)
        with self._lock:
            self._marked_s = monotonic_s
            self.count += 1

    def take(self) -> float | None:
        """Return the newest hint not yet taken, or None."""
        with self._lock:
            marked_s, self._marked_s = self._marked_s, None
            return marked_s


class CameraEvents:
    """The listener of one device; `marks` are its lenses', by the register's source token."""

    def __init__(
        self,
        name: str,
        opened: Callable[[], PullPoint],
        marks: Mapping[str, HintMark],
        clock: Clock,
        *,
        is_wanted: bool,
    ) -> None:
        """`opened` makes a PullPoint at the address in force; `is_wanted`: somebody asked for events."""
        self._name, self._opened, self._marks, self._clock = name, opened, dict(marks), clock
        self._is_wanted = is_wanted
        self._stop = threading.Event()
        self._wake = threading.Event()  # stopped, or no longer held off
        self._is_held = False
        self._troubles: dict[tuple[str, Says], float] = {}
        self._alive_s: float | None = clock.monotonic()  # when it last worked; None: there is nothing to hear
        self.subscriptions = 0
        self._thread = threading.Thread(target=self._run, name=f"events:{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Several listeners stop in the time of one when all are asked first."""
        self._stop.set()
        self._wake.set()

    def hold(self, *, held: bool) -> None:
        """Hang up and stay away, or come back; for any thread."""
        if held == self._is_held:
            return
        self._is_held = held
        if not held and self._alive_s is not None:
            self._alive_s = self._clock.monotonic()  # nothing was lost meanwhile: nobody listened
        self._wake.set()

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join(timeout=10)

    def cause(self, source: str) -> str:
        """What the camera says is wrong with that lens, or with our listening: a code, or an empty text."""
        now_s = self._clock.monotonic()
        for (lens, says), since_s in tuple(self._troubles.items()):
            if lens in {source, ""} and now_s - since_s < _TROUBLE_S:
                return _CAUSES[says]
        alive_s = self._alive_s
        if self._is_wanted and (alive_s is None or now_s - alive_s > _LOST_S):
            return "camera-events-lost"
        return ""

    def _run(self) -> None:
        wait_s = _FIRST_S
        while not self._stop.is_set():
            if self._is_held:
                self._pause(_HELD_S)
                continue
            began_s = self._clock.monotonic()
            try:
                self._listen()
            except (SubscriptionLost, StreamUnreachable, StreamRefused) as error:
                log.info("camera events lost", extra={"camera": self._name, "reason": error.facts})
            except WrongPassword:  # nothing more is said with it; a person may type another
                wait_s = _LONGEST_S
            except NoEvents as error:
                log.info("no camera events", extra={"camera": self._name, "reason": error.facts})
                self._alive_s = None
                return
            except Exception:
                log.exception("listening failed")
            if self._clock.monotonic() - began_s > _HEALTHY_S:
                wait_s = _FIRST_S
            self._pause(wait_s * random.uniform(0.75, 1.25))  # noqa: S311 -- after a power cut all come back at once
            wait_s = min(wait_s * 2, _LONGEST_S)

    def _listen(self) -> None:
        """Subscribe, and hear until the subscription dies or we are stopped."""
        pullpoint = self._opened()
        try:
            pullpoint.subscribe()
            self.subscriptions += 1
            log.info("camera events", extra={"camera": self._name, "subscription": self.subscriptions})
            while not self._stop.is_set() and not self._is_held:
                began_s = self._clock.monotonic()
                told = pullpoint.pull()
                self._alive_s = self._clock.monotonic()
                for event in told:
                    self._hear(event)
                if not told and self._alive_s - began_s < 1:
                    self._stop.wait(1)  # firmware that does not hold its answers back
        finally:
            pullpoint.unsubscribe()

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if not self._stop.is_set():
            self._wake.clear()

    def _hear(self, event: CameraEvent) -> None:
        now_s = self._clock.monotonic()
        if event.says in TROUBLES:
            lens = event.source if event.source in self._marks else ""
            if event.on:
                self._troubles[lens, event.says] = now_s
            else:
                self._troubles.pop((lens, event.says), None)
        elif event.says in HINTS and event.on and event.fresh:
            log.debug("hint", extra={"camera": self._name, "says": event.says.value, "topic": event.topic})
            named = self._marks.get(event.source)
            for mark in (named,) if named else self._marks.values():
                mark.put(now_s)
