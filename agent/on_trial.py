"""Has this version, new on this box, been answered by the station? Then the updater may keep it.

The proof is the whole way and back: a message numbered, sent, stored by the collector on its disk and
acknowledged, after this start; and a camera that gives pictures, where one did before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from uuid6 import uuid7

from agent.update.decide import Trial as UpdateTrial
from agent.update.runner import PROOF, Places
from agent.update.versions import Versions
from agent.uplink.outbox import Outbox
from shared.clock import Clock
from shared.disk import write_atomically
from shared.messages import TestMessage

log = logging.getLogger(__name__)

_ASK_EVERY_S = 30.0  # ten tries within the updater's patience


class Trial:
    """Asked once a second by the main thread; does nothing where this version is not on trial."""

    def __init__(self, home: Path, version: str, outbox: Outbox, clock: Clock, places: Places) -> None:
        trial = Versions(places.versions).trial
        self._trial = trial if trial and trial.version == version and not trial.is_returning else None
        self._home, self._outbox, self._clock = home, outbox, clock
        self._asked: UUID | None = None
        self._asked_s = float("-inf")

    def step(self, site: str, *, sees: Callable[[], bool]) -> bool:
        """Ask the station, or take its answer; true once, when the proof is on disk."""
        if self._trial is None:
            return False
        now_s = self._clock.monotonic()
        if self._asked and not self._outbox.holds(self._asked):
            if self._outbox.refusal(self._asked) is None:
                if not sees():
                    return False
                self._prove(self._trial, self._asked)
                return True
            self._asked = None
        if self._asked is None and now_s >= self._asked_s + _ASK_EVERY_S:
            self._asked, self._asked_s = uuid7(), now_s
            self._outbox.put_test(TestMessage(id=self._asked, site=site, sent_at=self._clock.now()))
        return False

    def _prove(self, trial: UpdateTrial, message: UUID) -> None:
        proof = {"version": trial.version, "nonce": trial.nonce, "message": str(message)}
        write_atomically(self._home / PROOF, json.dumps(proof).encode())
        log.info("the station answers this version", extra={"version": trial.version})
        self._trial = None
