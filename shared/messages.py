"""What is said on the wire? One frozen model per message; a message is checked once, at the border.

Additive changes keep `v` and are ignored by older readers of `Heartbeat`; an event is evidence, so
`DetectionEvent` refuses fields it does not know. A breaking change gets a new `v` and a new topic
root (`shared.topics.ROOT`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.geometry import Box
from shared.identity import CameraName, SiteName

MAX_EVENT_BYTES = 16 * 1024  # measured: 0.6 to 2 kB with a full path; eight times that is a fault
MAX_THUMBNAIL_BYTES = 192 * 1024  # planned: 20 to 40 kB; fits the broker's 262,144-byte packet
MAX_HEARTBEAT_BYTES = 32 * 1024  # 0.8 kB with four cameras; a recorder may have 32

_NO_OFFSET = timedelta(0)
_FIRST_YEAR, _NO_YEAR = 1900, 2200  # a box without a battery wakes in 1970; 9999 ends in Hà Nội before in UTC


def _utc(moment: datetime) -> datetime:
    if moment.utcoffset() != _NO_OFFSET:
        message = "time must be UTC"
        raise ValueError(message)
    if not _FIRST_YEAR <= moment.year < _NO_YEAR:
        message = "no time that a clock of ours can say"
        raise ValueError(message)
    return moment.replace(tzinfo=UTC)  # the parser's own zone is asked for its offset in every subtraction


Utc = Annotated[datetime, AfterValidator(_utc)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Message(BaseModel):
    """Common to all: frozen, and nothing unknown slips through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1


class Kind(StrEnum):
    """What an object is. There is no other kind, and no face, plate or name: by design."""

    PERSON = "person"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    BUS = "bus"
    TRUCK = "truck"


class Colour(StrEnum):
    """What an object mostly looks like: a word a witness would use, far too coarse to know anybody by."""

    BLACK = "black"
    WHITE = "white"
    GREY = "grey"
    SILVER = "silver"  # vehicles only: nobody wears it
    RED = "red"
    BLUE = "blue"
    GREEN = "green"
    YELLOW = "yellow"
    ORANGE = "orange"
    BROWN = "brown"
    PURPLE = "purple"
    PINK = "pink"
    UNKNOWN = "unknown"  # infrared, too dark, too small, too mixed: said instead of guessed


class Phase(StrEnum):
    """Where in its life an event is when the message is made."""

    START = "start"
    UPDATE = "update"
    END = "end"


class Side(StrEnum):
    """Where an object came into the picture, or left it. `inside`: from or to somewhere within it."""

    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"
    INSIDE = "inside"


class ClockQuality(StrEnum):
    """May the agent's wall clock be believed for this message?"""

    SYNCED = "synced"
    UNSYNCED = "unsynced"  # made before the first synchronisation of this boot


class ClockReading(BaseModel):
    """The agent's clocks when the message was made, so that a wrong date can be put right later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    boot_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    monotonic_s: float
    quality: ClockQuality
    camera_offset_s: float | None = None  # camera's clock minus the agent's; None: never measured


class PathPoint(BaseModel):
    """Where the object's foot was, and when: seconds since the event's start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    t: Annotated[float, Field(ge=0)]
    x: Fraction
    y: Fraction


class Thumbnail(BaseModel):
    """The picture that belongs to an event; its bytes travel apart and must hash to this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0, le=MAX_THUMBNAIL_BYTES)]
    width: Annotated[int, Field(gt=0, le=8192)]
    height: Annotated[int, Field(gt=0, le=8192)]
    box: Box | None = None  # the object, in fractions of this picture: which of the four people is it?
    taken_at: Utc


class Chain(BaseModel):
    """Where a signed message stands among all that one outbox ever said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]  # one life of one outbox file
    previous: Sha256  # of the signed message before, byte for byte; `shared.signing.FIRST` at the beginning


class DetectionEvent(Message):
    """One object that passed, as known at one moment of its life.

    `event_id` is the object's; `id` is this message's; `revision` counts the messages of one event
    from 0, so that start, update and end may arrive in any order and as often as they like.
    `sequence` numbers everything a site sends; the outbox fills it in.
    """

    id: UUID
    event_id: UUID
    revision: Annotated[int, Field(ge=0)]
    sequence: Annotated[int, Field(ge=0)] = 0
    phase: Phase
    site: SiteName
    camera: CameraName
    kind: Kind
    confidence: Fraction  # median over the confirming looks, not the luckiest
    started_at: Utc
    seen_at: Utc  # the newest frame this message knows of
    box: Box  # of the best view
    path: Annotated[tuple[PathPoint, ...], Field(max_length=128)] = ()
    entry_side: Side | None = None  # None: not known, as when it came while nobody looked
    exit_side: Side | None = None  # None: not gone yet, or lost with the stream
    thumbnail: Thumbnail | None = None
    crop: Thumbnail | None = None  # the object alone, cut tightly; only where the station asks for it
    colour: Colour | None = None  # None: the station does not ask for it
    clock: ClockReading
    chain: Chain | None = None  # the outbox fills it in

    @model_validator(mode="after")
    def _seen_after_start(self) -> Self:
        if self.seen_at < self.started_at:
            message = "seen_at is before started_at"
            raise ValueError(message)
        return self


class GapReason(StrEnum):
    """Why something a site numbered will never come."""

    DISK_FULL = "disk-full"  # no room left: the outbox made some
    OUTBOX_DAMAGED = "outbox-damaged"  # the file was set aside; what it still held is lost
    NOT_WRITTEN = "not-written"  # the disk refused the write itself


class GapReport(Message):
    """An agent's own word on what it lost: a hole that is known is not a silent one."""

    id: UUID
    site: SiteName
    sequence: Annotated[int, Field(ge=0)] = 0  # the report has a number of its own
    reason: GapReason
    instance: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]  # whose numbers are meant
    first: Annotated[int, Field(ge=0)]  # of the numbers lost; 0 with `last` 0: they had none yet
    last: Annotated[int, Field(ge=0)]
    events: Annotated[int, Field(ge=0)]  # how many messages of events were among them
    thumbnails: Annotated[int, Field(ge=0)]  # and how many pictures
    since: Utc  # when the oldest of them was made
    until: Utc  # and the newest
    chain: Chain | None = None


class BootReport(Message):
    """When the clock was first known to be right: what was made before, in this boot, can be dated.

    `started_at` plus an event's `clock.monotonic_s` is when it was really made.
    """

    id: UUID
    site: SiteName
    sequence: Annotated[int, Field(ge=0)] = 0
    boot_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    started_at: Utc  # the wall clock where monotonic time was 0
    chain: Chain | None = None


class TestMessage(Message):
    """Nothing happened: the installer's proof that a message is kept and acknowledged."""

    __test__ = False  # not for pytest

    id: UUID
    site: SiteName
    sent_at: Utc


class CameraState(StrEnum):
    """How a camera is, in one word; `cause` says why."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


_PAUSED = ("paused-household", "paused-station")


class CameraHealth(BaseModel):
    """One camera in a heartbeat. Unknown fields are ignored: newer agents say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    camera: CameraName
    state: CameraState
    cause: Annotated[str, StringConstraints(max_length=64)] = ""  # a code of `agent.health`
    frame_age_s: float | None = None
    fps: float = 0.0
    last_event_at: Utc | None = None  # when it last saw somebody; None: not in this run
    decoding: Annotated[str, StringConstraints(max_length=32)] = ""  # which pictures are decoded, and why:
    decoding_why: Annotated[str, StringConstraints(max_length=32)] = ""  # codes of `agent.cameras.economy`
    # the last five minutes; late: from the moment a frame was seen until the detector was done with it
    late_p50_ms: float | None = None
    late_p99_ms: float | None = None
    frames_looked: Annotated[int, Field(ge=0)] = 0
    frames_skipped: Annotated[int, Field(ge=0)] = 0  # wanted, but the detector was elsewhere

    @property
    def is_paused(self) -> bool:
        """Nobody looks because the household or the station asked for that: no fault."""
        return self.cause in _PAUSED


class ConfigurationReport(BaseModel):
    """What an agent does of the station's `shared.configuration.Configuration`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    revision: Annotated[int, Field(ge=0)] = 0  # the newest it was told; 0: nothing yet
    sha256: Sha256 | None = None  # of that one; None: never told anything
    in_force: bool = True  # False: it has errors, and the one before is still obeyed
    errors: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=300)], ...], Field(max_length=16)
    ] = ()  # in words, Vietnamese and English


class Heartbeat(BaseModel):
    """I am here, and how I feel. Newest wins; never kept in the outbox."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    site: SiteName
    sent_at: Utc
    boot_id: Annotated[str, StringConstraints(max_length=64)]
    agent_version: Annotated[str, StringConstraints(max_length=32)]
    architecture: Annotated[str, StringConstraints(max_length=16)] = ""  # as Debian says it
    uptime_s: Annotated[float, Field(ge=0)]
    clock_quality: ClockQuality
    outbox_waiting: Annotated[int, Field(ge=0)]
    outbox_oldest_s: float | None = None
    outbox_refused: Annotated[int, Field(ge=0)] = 0
    outbox_dropped: Annotated[int, Field(ge=0)] = 0
    instance: Annotated[str, StringConstraints(max_length=16)] = ""  # of the outbox, as in `Chain`
    sequence_next: Annotated[int, Field(ge=0)] = 0  # every number below was used
    sequence_waiting: Annotated[int, Field(ge=0)] = 0  # the oldest still here; `sequence_next` when none is
    detector: Annotated[str, StringConstraints(max_length=120)] = ""
    detect_p50_ms: float | None = None
    frames_skipped: Annotated[int, Field(ge=0)] = 0
    cpu_percent: float | None = None
    memory_mb: float | None = None
    disk_free_mb: float | None = None
    temperature_c: float | None = None
    undervoltage: bool | None = None  # power is too weak now; None: this box cannot tell
    undervoltage_seen: bool | None = None  # or was, since the machine started
    throttled: bool | None = None  # slowed down now, by heat or weak power
    disk_worn: Fraction | None = None  # of the flash memory's life, as its maker counts it
    memory_growth_mb_h: float | None = None  # of this program, over its run
    causes: Annotated[tuple[Annotated[str, StringConstraints(max_length=64)], ...], Field(max_length=16)] = ()
    cameras: Annotated[tuple[CameraHealth, ...], Field(max_length=64)] = ()
    configuration: ConfigurationReport = ConfigurationReport()
    paused_by_household: bool = False  # wholly; a camera alone says so in its `cause`


class AgentState(BaseModel):
    """Retained birth and last will of an agent; an older will cannot overtake a newer birth."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    online: bool
    session: Annotated[str, StringConstraints(max_length=64)]  # one connection's name
    at: Utc


class Wishes(BaseModel):
    """What a station wants beyond the least. It says so itself; until it has, agents leave it out.

    `colour_of` are kinds, as plain words: a kind that an older agent does not know must not make it
    deaf to the rest.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    colour_of: tuple[Annotated[str, StringConstraints(max_length=40)], ...] = ()
    tight_crops: bool = False

    def granted(self, event: DetectionEvent) -> DetectionEvent:
        """Return the event with nothing in it that the station does not want; itself if that is so."""
        unwanted: dict[str, None] = {}
        if event.colour is not None and event.kind not in self.colour_of:
            unwanted["colour"] = None
        if event.crop is not None and not self.tight_crops:
            unwanted["crop"] = None
        return event.model_copy(update=unwanted) if unwanted else event


class CollectorState(BaseModel):
    """Retained: is anybody there who keeps what is sent, and what does it want? Agents wait for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    online: bool
    wishes: Wishes = Wishes()


class Acknowledgement(BaseModel):
    """The collector's word, by message id. Stored: on disk. Refused: never send it again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1
    stored: tuple[UUID, ...] = ()
    refused: dict[UUID, Annotated[str, StringConstraints(max_length=200)]] = Field(default_factory=dict)
