"""What does an agent do with what is said on `down/cmd`? Obey once, answer each time, never fall over.

`judge` is the decision, pure; `Obedience` carries it out: quickly where it can, in a thread of its own
where a camera or a person's patience is involved. What is done is injected (`agent.errands`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import ValidationError

from agent.ledger import Ledger, Obeyed
from shared.clock import Clock
from shared.commands import MAX_COMMAND_BYTES, Command, Errand, Outcome, Reply
from shared.messages import Thumbnail

log = logging.getLogger(__name__)

_PATIENCE_S = 90.0  # a camera that drips its answers takes a minute
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an errand."""

    outcome: Outcome = Outcome.DONE
    why: str = ""  # a code: `reply.<why>` in the catalogue
    picture: Thumbnail | None = None
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nobody is answered: it is not a command, or not ours."""

    reason: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """It was obeyed, or is being obeyed."""

    entry: Obeyed


@dataclass(frozen=True, slots=True)
class Late:
    command: Command


@dataclass(frozen=True, slots=True)
class Obey:
    command: Command


Verdict = Ignored | Repeated | Late | Obey


def judge(payload: bytes, site: str, known: Callable[[UUID], Obeyed | None], now: datetime) -> Verdict:
    """Decide what to do with the bytes that were said."""
    if len(payload) > MAX_COMMAND_BYTES:
        return Ignored("too long")
    try:
        command = Command.model_validate_json(payload)
    except ValidationError as error:
        return Ignored(error.errors()[0]["type"])
    if command.site != site:
        return Ignored("another site's")
    if entry := known(command.id):
        return Repeated(entry)
    return Late(command) if command.expired(now) else Obey(command)


class Doer(Protocol):
    """Does what is asked; any thread, may take long, raises nothing that is expected."""

    def is_quick(self, errand: Errand) -> bool: ...
    def do(self, errand: Errand) -> Done: ...


class Replies(Protocol):
    """Where answers go (`agent.uplink.outbox.Outbox`)."""

    def put_reply(self, reply: Reply, picture: bytes | None = None) -> None: ...
    def holds(self, message_id: UUID) -> bool: ...


class Obedience:
    """Owned by the thread `orders`; errands that take long answer from threads of their own."""

    def __init__(
        self,
        site: str,
        ledger: Ledger,
        doer: Doer,
        replies: Replies,
        clock: Clock,
        new_id: Callable[[], UUID],
    ) -> None:
        self._site, self._ledger, self._doer, self._replies = site, ledger, doer, replies
        self._clock, self._new_id = clock, new_id
        self._lock = threading.Lock()
        self._running: dict[UUID, float] = {}  # command → when patience ends
        self.garbage = 0  # what could not be understood, or was not for us

    def begin(self) -> None:
        """Say of what was broken off by a restart that it was."""
        for entry in self._ledger.broken_off(self._clock.now()):
            self._answer(entry, None)

    def hear(self, payload: bytes) -> None:
        """Take what was said on `down/cmd`."""
        with self._lock:
            verdict = judge(payload, self._site, self._ledger.find, self._clock.now())
        match verdict:
            case Ignored(reason):
                self.garbage += 1
                log.warning("not a command for us", extra={"reason": reason, "count": self.garbage})
            case Repeated(entry):
                self._repeat(entry)
            case Late(command):
                self._conclude(command.id, Done(Outcome.EXPIRED, "too-late"))
            case Obey(command):
                self._obey(command)

    def tend(self) -> None:
        """Now and then: whoever takes too long has failed."""
        now_s = self._clock.monotonic()
        for command, end_s in tuple(self._running.items()):
            if now_s > end_s and self._running.pop(command, None) is not None:
                self._conclude(command, Done(Outcome.FAILED, "no-answer-in-time"))

    def _obey(self, command: Command) -> None:
        log.info("command", extra={"command": str(command.id), "verb": command.errand.verb})
        if len(self._running) >= _AT_ONCE:
            self._conclude(command.id, Done(Outcome.REFUSED, "busy"))
            return
        self._running[command.id] = self._clock.monotonic() + _PATIENCE_S
        try:
            with self._lock:
                self._ledger.note(Obeyed(command=command.id, answered_at=self._clock.now()))
        except OSError as error:
            log.warning("command not noted, so not obeyed", extra={"reason": error})
            self._running.pop(command.id)
            return
        if self._doer.is_quick(command.errand):
            self._do(command)
        else:
            threading.Thread(target=self._do, args=(command,), name="errand", daemon=True).start()

    def _do(self, command: Command) -> None:
        try:
            done = self._doer.do(command.errand)
        except Exception:  # the errand's own thread: its failure is an answer too
            log.exception("an errand failed")
            done = Done(Outcome.FAILED, "fault")
        if self._running.pop(command.id, None) is not None:  # else somebody has lost patience
            self._conclude(command.id, done)

    def _conclude(self, command: UUID, done: Done) -> None:
        entry = Obeyed(
            command=command,
            answered_at=self._clock.now(),
            outcome=done.outcome,
            why=done.why,
            picture=done.picture,
        )
        self._answer(entry, done.jpeg)

    def _repeat(self, entry: Obeyed) -> None:
        """Say the same again, unless it is still being done or said."""
        if entry.outcome and not (entry.message and self._replies.holds(entry.message)):
            self._answer(entry, None)

    def _answer(self, entry: Obeyed, jpeg: bytes | None) -> None:
        """Note it, then say it: if the power goes in between, the station asks again."""
        entry = entry.model_copy(update={"message": self._new_id()})
        assert entry.message is not None  # noqa: S101 -- for mypy
        assert entry.outcome is not None  # noqa: S101 -- for mypy
        reply = Reply(
            id=entry.message,
            command=entry.command,
            site=self._site,
            answered_at=entry.answered_at,
            outcome=entry.outcome,
            why=entry.why,
            picture=entry.picture,
        )
        try:
            with self._lock:
                self._ledger.note(entry)
            self._replies.put_reply(reply, jpeg)
        except (OSError, sqlite3.Error) as error:
            self._ledger.remember(entry)
            log.warning("answer not kept; the station asks again", extra={"reason": error})
            return
        log.info(
            "answered",
            extra={"command": str(entry.command), "outcome": entry.outcome.value, "why": entry.why},
        )
