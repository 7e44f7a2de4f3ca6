"""Who takes what the station says, apart from acknowledgements? One thread: nobody else waits for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from agent.configure import Desired
from agent.obey import Obedience

log = logging.getLogger(__name__)

_TICK_S = 1.0
_MOST_WAITING = 200  # 13 MB at their largest; a station that floods us is answered when it asks again


class Orders:
    """Owns the thread `orders`. `command` and `configuration` are ears: quick, for the uplink's thread."""

    def __init__(self, obedience: Obedience, desired: Desired, reconfigure: Callable[[], None]) -> None:
        """`reconfigure` is called whenever something was heard that changes the report or what is obeyed."""
        self._obedience, self._desired, self._reconfigure = obedience, desired, reconfigure
        self._heard: queue.Queue[Callable[[], None]] = queue.Queue(_MOST_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)
        self.overheard = 0  # what there was no room for

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """An errand under way is left to itself: it is answered as broken off after the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * _TICK_S)

    def command(self, payload: bytes) -> None:
        self._put(lambda: self._obedience.hear(payload))

    def configuration(self, payload: bytes) -> None:
        self._put(lambda: self._take(payload))

    def _take(self, payload: bytes) -> None:
        if self._desired.hear(payload):
            self._reconfigure()

    def _put(self, heard: Callable[[], None]) -> None:
        try:
            self._heard.put_nowait(heard)
        except queue.Full:
            self.overheard += 1

    def _run(self) -> None:
        self._attempt(self._obedience.begin)
        while not self._stop.is_set():
            try:
                heard = self._heard.get(timeout=_TICK_S)
            except queue.Empty:
                pass
            else:
                self._attempt(heard)
            self._attempt(self._obedience.tend)

    @staticmethod
    def _attempt(what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:  # the thread's loop: whatever was said, the next word is heard
            log.exception("an order failed")
