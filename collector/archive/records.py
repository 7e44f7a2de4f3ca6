"""What does the station keep? What a site said, once it has been checked: one frozen record per kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.commands import Reply
from shared.messages import AgentState, BootReport, DetectionEvent, GapReport, Heartbeat
from shared.topics import Channel


@dataclass(frozen=True, slots=True)
class Number:
    """Which one it is of all that one outbox said."""

    instance: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Seal:
    """A checked signature over bytes with this SHA-256, and the hash of the signed message before."""

    number: Number
    signature: str
    sha256: bytes
    previous: bytes


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One message of an event's life; `body` is exactly what came, less what the station does not want."""

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes
    event: DetectionEvent
    clock_suspect: bool
    seal: Seal | None = None  # None: of before agents signed


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
    number: Number | None = None


@dataclass(frozen=True, slots=True)
class GapRecord:
    """What a site says it lost."""

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes
    report: GapReport
    seal: Seal


@dataclass(frozen=True, slots=True)
class BootRecord:
    """When a boot really began; not believed when that is in the future."""

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes
    report: BootReport
    clock_suspect: bool
    seal: Seal


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """A site's answer to a command."""

    site: str
    message_id: UUID
    received_at: datetime
    body: bytes
    reply: Reply
    seal: Seal


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """The picture of a test frame, its hash checked; it is kept a week, and not in the archive."""

    site: str
    message_id: UUID
    received_at: datetime
    command: UUID
    sha256: str
    jpeg: bytes
    number: Number | None = None


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
    number: Number | None = None


Acknowledged = EventRecord | PictureRecord | GapRecord | BootRecord | ReplyRecord | FrameRecord | TestRecord
"""What a site may forget once it is on disk here."""

Record = Acknowledged | HeartbeatRecord | StateRecord
