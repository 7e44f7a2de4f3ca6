"""How much may be on the wire, and what must be sent again? Counted in bytes; no I/O, time given.

Twenty thumbnails in flight on a 128 kbit/s line are 37 s of waiting for the newest event; two are
4 s. paho re-sends only after a reconnect, so a message lost behind a live connection needs our own
timer.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

_FIRST_RETRY_S = 10.0  # a healthy station answers within a second; a drained backlog within ten
_LONGEST_RETRY_S = 300.0  # five minutes: a station that is being repaired is not hammered


@dataclass(slots=True)
class _Sent:
    size_bytes: int
    retry_at_s: float
    attempts: int


class Window:
    """What has been published and not yet acknowledged by the collector."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._sent: dict[UUID, _Sent] = {}
        self._attempts: dict[UUID, int] = {}  # survives a reconnect, so that retries keep backing off

    @property
    def ids(self) -> frozenset[UUID]:
        return frozenset(self._sent)

    @property
    def room_bytes(self) -> int:
        return self._size_bytes - sum(sent.size_bytes for sent in self._sent.values())

    def sent(self, message_id: UUID, size_bytes: int, now_s: float) -> None:
        attempts = self._attempts.get(message_id, 0) + 1
        self._attempts[message_id] = attempts
        wait_s = min(_FIRST_RETRY_S * 2 ** (attempts - 1), _LONGEST_RETRY_S)
        self._sent[message_id] = _Sent(size_bytes, now_s + wait_s, attempts)

    def settled(self, message_id: UUID) -> None:
        """Acknowledged or refused: it is nobody's business any more."""
        self._sent.pop(message_id, None)
        self._attempts.pop(message_id, None)

    def expire(self, now_s: float) -> int:
        """Let go of what got no answer in time, so that it is sent again; return how many."""
        late = [message_id for message_id, sent in self._sent.items() if sent.retry_at_s <= now_s]
        for message_id in late:
            del self._sent[message_id]
        return len(late)

    def forget(self) -> None:
        """The connection is gone: everything unanswered will be sent again."""
        self._sent.clear()
