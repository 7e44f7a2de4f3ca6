"""Where do messages wait for the disk? In one bounded place: never more memory than that.

Half full, it asks the line to wait: mosquitto 2.0.11 keeps to our window of 1,000 at first and no longer
after ten thousand messages in a row, and what is turned away comes again only ten seconds later.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from collector.intake.ingest import Delivery

MAX_MESSAGES = 2_000  # twice the window the broker may have open with us; one read brings a few dozen
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery and how to confirm it to the broker: packet id, and which connection it came by."""

    delivery: Delivery
    packet_id: int  # 0: of QoS 0, nothing to confirm
    connection: int


class Inbox:
    """Filled by the MQTT thread, emptied by the committer; safe between the two."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._letters: deque[Letter] = deque()
        self._bytes = 0
        self._awaited = 1  # letters: the committer is woken at so many, not at each
        self._changed = threading.Condition()
        self._closed = False
        self.turned_away = 0

    def put(self, letter: Letter) -> bool:
        """Take a letter, or say no: the inbox is full or closed, and the sender will send it again."""
        size = len(letter.delivery.payload)
        with self._changed:
            full = len(self._letters) >= self._max_messages or self._bytes + size > self._max_bytes
            if full or self._closed:
                self.turned_away += 1
                return False
            self._letters.append(letter)
            self._bytes += size
            if len(self._letters) == self._awaited:
                self._changed.notify()
            return True

    def take(self, limit: int, wait_s: float, gather_s: float) -> list[Letter]:
        """Wait for a first letter, then a little longer for company; empty when none came."""
        with self._changed:
            self._await(1, wait_s)
            if not self._letters:
                return []
            self._await(limit, gather_s)
            batch = [self._letters.popleft() for _ in range(min(limit, len(self._letters)))]
            self._bytes -= sum(len(letter.delivery.payload) for letter in batch)
            return batch

    def _await(self, count: int, timeout_s: float) -> None:
        self._awaited = count
        self._changed.wait_for(lambda: len(self._letters) >= count or self._closed, timeout_s)

    def close(self) -> None:
        """Take nothing more; what is inside can still be taken out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_filling(self) -> bool:
        """Better wait than bring more. From any thread."""
        return 2 * len(self._letters) >= self._max_messages or 2 * self._bytes >= self._max_bytes

    @property
    def is_closed(self) -> bool:
        return self._closed
