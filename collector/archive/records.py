"""What does the station keep? What a site said, once it has been checked: one frozen record per kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.messages import AgentState, DetectionEvent, Heartbeat
from shared.topics import Channel


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One message of an event's life; `body` is exactly what came."""

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes
    event: DetectionEvent
    clock_suspect: bool


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A thumbnail or a tight crop, its hash checked."""

    site: str
    message_id: UUID
    received_at: datetime
    event_id: UUID
    sha256: str
    jpeg: bytes
    channel: Channel = Channel.THUMBNAIL  # or CROP


@dataclass(frozen=True, slots=True)
class TestRecord:
    """Nothing happened, and the way is open."""

    __test__ = False  # not for pytest

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class HeartbeatRecord:
    """A box's newest word on how it is; `skew_s` is its clock minus the station's."""

    site: str
    received_at: datetime
    body: bytes
    heartbeat: Heartbeat
    skew_s: float


@dataclass(frozen=True, slots=True)
class StateRecord:
    """A birth or a last will."""

    site: str
    received_at: datetime
    state: AgentState


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something not kept, or kept with a reservation (`clock-suspect`): counted either way."""

    site: str
    received_at: datetime
    reason: str
    detail: str


Acknowledged = EventRecord | PictureRecord | TestRecord
"""What a site may forget once it is on disk here."""

Record = Acknowledged | HeartbeatRecord | StateRecord
