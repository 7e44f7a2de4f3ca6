"""What does a message look like while it waits, and how much is waiting?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from shared.topics import Channel

PICTURES = frozenset({Channel.THUMBNAIL, Channel.CROP, Channel.FRAME})  # proven by their hash, not signed


@dataclass(frozen=True, slots=True)
class Speaker:
    """In whose name messages are numbered and signed."""

    site: str
    new_id: Callable[[], UUID]
    sign: Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Row:
    """One message, ready to be published."""

    id: UUID
    channel: Channel
    body: bytes
    instance: str
    sequence: int  # 0: not numbered
    event_id: UUID | None = None  # what a picture shows: an event, or what a command asked for
    sha256: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much has not been acknowledged yet, how much was refused or dropped so far."""

    messages: int
    size_bytes: int
    oldest_us: int | None
    refused: int
    dropped: int
    instance: str
    sequence_next: int
    sequence_waiting: int
