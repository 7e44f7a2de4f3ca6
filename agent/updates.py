"""Who brings home the version that the station wants here, and what is said of how it goes?

A thread of its own: nothing of it may hold up a frame or an event. What it says travels as a cause in
heartbeats; the version itself, once it has proven itself, is in every heartbeat anyway.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import replace
from pathlib import Path

from agent.update import wish
from agent.update.fetch import LaterError, NeverError, Pace, Source, bring_home
from agent.update.runner import Places
from agent.update.versions import Versions
from agent.uplink.identity import Identity

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 10.0  # a technician may be waiting
_RETRY_S = 600.0  # six times an hour: a line that is back is used
_TRIES = 3  # of what came damaged: our own card may have done that


class Updates:
    """Owned by the thread `updates`."""

    def __init__(
        self,
        home: Path,
        ours: Identity,
        places: Places | None = None,
        pace: Pace | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._home, self._ours, self._retry_s = home, ours, retry_s
        self._versions = Versions((places or Places()).versions)
        self._stop = threading.Event()
        self._pace = replace(pace or Pace(), wait=self._stop.wait)
        self._state = ""
        self._damaged = 0
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What has come so far stays, and is gone on from."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def causes(self) -> tuple[str, ...]:
        """Return what the station should know, as codes of `agent.health`."""
        return (f"update-{self._state}",) if self._state else told(self._versions.result())

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                pause_s = self._look()
            except Exception:  # the thread's loop: a full disk, say; the next look may go better
                log.exception("update not fetched")
                pause_s = self._retry_s

    def _look(self) -> float:
        """Fetch what is wanted; return how long to wait before looking again."""
        wanted = wish.read(self._home)
        if wanted is None:
            return min(_LOOK_EVERY_S, self._retry_s)
        ours = self._ours
        log.info("fetching an update", extra={"version": wanted.version})
        self._state = "coming"
        try:
            bring_home(self._home, wanted, Source(ours.host, ours.enrolment_port, ours.tls), self._pace)
        except LaterError as error:
            return self._later(str(error))
        except NeverError as error:
            self._damaged += 1
            if self._damaged < _TRIES:
                return self._later(str(error))
        self._state = "damaged" if self._damaged >= _TRIES else ""
        log.log(
            logging.WARNING if self._state else logging.INFO,
            "update damaged, given up" if self._state else "update handed in",
            extra={"version": wanted.version},
        )
        self._damaged = 0
        if wish.read(self._home) == wanted:  # else the station wants another by now
            wish.forget(self._home)
        return 0.0

    def _later(self, why: str) -> float:
        log.warning("update not fetched yet", extra={"why": why})
        self._state = why
        return self._retry_s * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads load


def told(result: str) -> tuple[str, ...]:
    """Return what root's updater has to say: nothing where a version has proven itself."""
    what = result.partition(":")[0]
    return (f"update-{what}",) if what in {"refused", "returned"} else ()
