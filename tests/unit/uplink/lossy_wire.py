"""A wire that loses, doubles, delays and breaks, joined to a collector that keeps its word.

The real interface (`agent.uplink.wire.Wire`), made of memory: what a seed does, it does again.
"""

from __future__ import annotations

import queue
import random
from uuid import UUID

from agent.uplink.outbox import Row
from agent.uplink.wire import Answered, Connected, Disconnected, Fact, Said
from shared.messages import Acknowledgement, CollectorState
from shared.topics import COLLECTOR_STATE, down_ack

SITE = "nha-ong-ba"


class Collector:
    """Stores each id once, whatever arrives how often; acknowledges only what it has stored."""

    def __init__(self) -> None:
        self.stored: dict[UUID, bytes] = {}
        self.arrivals = 0

    def hear(self, row: Row) -> bytes:
        self.arrivals += 1
        self.stored.setdefault(row.id, row.body)
        return Acknowledgement(stored=(row.id,)).model_dump_json().encode()


class LossyWire:
    def __init__(self, seed: int, collector: Collector, *, loss: float = 0.3) -> None:
        self.facts: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.heartbeats: list[bytes] = []
        self._random = random.Random(seed)
        self._collector = collector
        self._loss = loss
        self._late: list[Fact] = []
        self._up = False

    def start(self) -> None:
        self.connect()

    def stop(self) -> None:
        self._up = False

    def connect(self) -> None:
        self._up = True
        self.facts.put(Connected())
        self.facts.put(Said(COLLECTOR_STATE, CollectorState(online=True).model_dump_json().encode()))

    def disconnect(self) -> None:
        self._up = False
        self.facts.put(Disconnected("cut"))

    def send_heartbeat(self, body: bytes) -> None:
        self.heartbeats.append(body)

    def send(self, row: Row) -> None:
        if not self._up or self._random.random() < self._loss:
            return
        for _ in range(2 if self._random.random() < self._loss else 1):
            word = Said(down_ack(SITE), self._collector.hear(row))
            if self._random.random() >= self._loss:
                self._late.append(word)
        self.facts.put(Answered(0))

    def some_time_passes(self) -> None:
        """Deliver late words in any order; now and then the line breaks."""
        self._random.shuffle(self._late)
        while self._late and self._random.random() < 0.8:
            self.facts.put(self._late.pop())
        if self._random.random() < 0.05:
            self.disconnect()
        if not self._up and self._random.random() < 0.5:
            self.connect()
