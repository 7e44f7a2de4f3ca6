"""What does the uplink need of a network? This door: MQTT behind it, in tests a wire that loses."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Protocol

from agent.uplink.row import Row


@dataclass(frozen=True, slots=True)
class Connected:
    """A session is open; whatever was unanswered before must be sent again."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker's PUBACK. It never means "kept"; some codes mean "wait"."""

    reason_code: int


@dataclass(frozen=True, slots=True)
class Said:
    """The station spoke to us."""

    topic: str
    payload: bytes


Fact = Connected | Disconnected | Answered | Said


class Wire(Protocol):
    """Delivers perhaps, perhaps twice, perhaps later; puts what happens on `facts`, in order."""

    facts: queue.SimpleQueue[Fact]

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def send(self, row: Row) -> None: ...

    def send_heartbeat(self, body: bytes) -> None: ...
