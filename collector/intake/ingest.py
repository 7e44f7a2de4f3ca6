"""May this be kept? One message in; a record or a refusal with its reason out. Computes, nothing else.

What can be checked without the database is checked here, cheapest first: topic, site, size, id,
then the body. What comes from a site is never believed: the broker vouches for the site's name in
the topic and for nothing more.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ValidationError

from collector.archive.records import (
    Acknowledged,
    BootRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeartbeatRecord,
    Number,
    PictureRecord,
    Record,
    ReplyRecord,
    Seal,
    StateRecord,
    TestRecord,
)
from collector.intake import jpeg
from shared.commands import Reply
from shared.messages import (
    MAX_EVENT_BYTES,
    MAX_HEARTBEAT_BYTES,
    MAX_THUMBNAIL_BYTES,
    AgentState,
    BootReport,
    Chain,
    DetectionEvent,
    GapReport,
    Heartbeat,
    TestMessage,
    Wishes,
)
from shared.signing import is_digest_signed, is_signature
from shared.topics import Channel, Up, parse_up

_M = TypeVar("_M", bound=BaseModel)
_V = TypeVar("_V")

OLDEST_BELIEVED = timedelta(days=30)  # longer than any outbox can wait; older is a clock, not a queue
MAX_REVISION = 1_000_000  # one object, one message a second, eleven days: no event lives so long
MAX_SEQUENCE = 2**53  # what JSON's numbers hold; a message a millisecond for 285,000 years
_LARGEST = 1e10  # of all measures: seconds are three hundred years then, megabytes ten petabytes
_INSTANCE, _SEQUENCE = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9]{1,16}", re.ASCII)
_ID_BYTES = 16
_MAX_BYTES = {
    Channel.EVENT: MAX_EVENT_BYTES,
    Channel.THUMBNAIL: MAX_THUMBNAIL_BYTES,
    Channel.CROP: MAX_THUMBNAIL_BYTES,
    Channel.TEST: 1024,  # a test message is 0.2 kB
    Channel.GAP: 2048,  # a report is 0.5 kB
    Channel.BOOT: 2048,
    Channel.REPLY: 2048,
    Channel.FRAME: MAX_THUMBNAIL_BYTES,
    Channel.HEARTBEAT: MAX_HEARTBEAT_BYTES,
    Channel.STATE: 1024,  # a state is 0.1 kB
}


class Reason(StrEnum):
    """Why something was not kept. The codes are on the wire, in `refusals`, and in `collector agents`."""

    UNKNOWN_TOPIC = "unknown-topic"
    UNKNOWN_SITE = "unknown-site"  # not enrolled, or shut out
    TOO_LARGE = "too-large"
    NO_ID = "no-id"  # no correlation data of 16 bytes: cannot even be answered
    MALFORMED = "malformed"
    WRONG_VERSION = "wrong-version"
    WRONG_SITE = "wrong-site"  # the body names another site than the topic
    WRONG_ID = "wrong-id"  # the body names another id than the correlation data
    UNSIGNED = "unsigned"  # no signature, or no number and place in the chain
    WRONG_SIGNATURE = "wrong-signature"  # of none of the site's keys over these bytes
    NO_PROPERTIES = "no-properties"  # a picture without event id, hash or content type
    NOT_A_JPEG = "not-a-jpeg"
    WRONG_HASH = "wrong-hash"
    NOT_WANTED = "not-wanted"  # a tight crop, which this station does not ask for, or does no more
    FOREIGN = "foreign"  # the id belongs to another site's message or event
    UNSTORABLE = "unstorable"  # the database would not have it
    UNFORESEEN = "unforeseen"  # a fault of ours; the log has it
    CLOCK_SUSPECT = "clock-suspect"  # kept, and flagged
    NUMBER_TWICE = "number-twice"  # kept, and flagged: another message had its number; is there a second box?


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came, before anything is believed."""

    topic: str
    payload: bytes
    received_at: datetime
    correlation: bytes | None = None
    content_type: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the station knows of the sender: enrolled? how wrong was its clock at its last heartbeat?

    `vouched` are the SHA-256 that messages of its, already found good, name as the one before. Bytes with
    such a hash are as good as signed: whoever signed the later message signed for them too.
    """

    enrolled: bool
    skew_s: float | None = None
    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()  # of its certificates, the newest first
    vouched: Container[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Refused:
    """Not kept. Without an id there is nobody to tell."""

    site: str
    message_id: UUID | None
    reason: Reason
    detail: str = ""
    number: Number | None = None  # as the sender says: refused is not missing


@dataclass(frozen=True, slots=True)
class Terms:
    """What the station keeps: nothing it did not wish for, and flagged what an agent's clock makes doubtful.

    `clock_suspect_s` is how far an agent's clock may be off unflagged.
    """

    clock_suspect_s: float
    wishes: Wishes = field(default_factory=Wishes)


class _RefusedError(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def ingest(delivery: Delivery, standing: Standing, terms: Terms) -> Record | Refused:
    """Judge one message."""
    message_id = _message_id(delivery.correlation)
    up = parse_up(delivery.topic)
    if up is None:
        return Refused("", message_id, Reason.UNKNOWN_TOPIC, delivery.topic)
    try:
        _check_at_the_door(delivery, up, standing)
        if up.channel is Channel.HEARTBEAT:
            return _heartbeat(delivery, up.site)
        if up.channel is Channel.STATE:
            return _state(delivery, up.site)
        return _to_be_acknowledged(delivery, up, message_id, (terms, standing))
    except _RefusedError as refused:
        return Refused(up.site, message_id, refused.reason, refused.detail, _number(delivery))


def _check_at_the_door(delivery: Delivery, up: Up, standing: Standing) -> None:
    if not standing.enrolled:
        raise _RefusedError(Reason.UNKNOWN_SITE)
    if len(delivery.payload) > _MAX_BYTES[up.channel]:
        raise _RefusedError(Reason.TOO_LARGE, f"{len(delivery.payload)} bytes on {up.channel}")


def _to_be_acknowledged(
    delivery: Delivery, up: Up, message_id: UUID | None, judged_by: tuple[Terms, Standing]
) -> Acknowledged:
    if message_id is None:
        raise _RefusedError(Reason.NO_ID, up.channel)
    if signed := _SIGNED.get(up.channel):
        return signed(delivery, up.site, message_id, judged_by)
    if up.channel is Channel.FRAME:
        return _frame(delivery, up.site, message_id)
    if up.channel is Channel.CROP and not judged_by[0].wishes.tight_crops:
        raise _RefusedError(Reason.NOT_WANTED, up.channel)
    if up.channel in {Channel.THUMBNAIL, Channel.CROP}:
        return _picture(delivery, up, message_id)
    return _test(delivery, up.site, message_id)


def unforeseen(delivery: Delivery) -> Refused:
    """Refuse what broke `ingest` itself, so that the rest goes on."""
    up = parse_up(delivery.topic)
    message_id = _message_id(delivery.correlation)
    return Refused(up.site if up else "", message_id, Reason.UNFORESEEN, number=_number(delivery))


@dataclass(frozen=True, slots=True)
class _Suspicion:
    """Is a time to be believed? From the future: never. From the past: a queue explains a month.

    An event may have waited for days, so its age alone proves nothing; the clock of the heartbeat,
    which never waits, does.
    """

    tolerance_s: float
    skew_s: float | None

    def of(self, event: DetectionEvent, received_at: datetime) -> bool:
        tolerance = timedelta(seconds=self.tolerance_s)
        if event.seen_at - received_at > tolerance or received_at - event.started_at > OLDEST_BELIEVED:
            return True
        return self.skew_s is not None and abs(self.skew_s) > self.tolerance_s


def _event(delivery: Delivery, site: str, message_id: UUID, judged_by: tuple[Terms, Standing]) -> EventRecord:
    """The body is kept as it came, unless it says more than the station wants: then only the rest is."""
    terms, standing = judged_by
    event = _parsed(DetectionEvent, delivery.payload)
    _check_sender(event.site, site, event.id, message_id)
    if event.revision > MAX_REVISION:
        raise _RefusedError(Reason.MALFORMED, "revision")
    _check_numbers((event.clock.monotonic_s, event.clock.camera_offset_s))
    if not all(point.t <= _LARGEST for point in event.path):  # NaN is not
        raise _RefusedError(Reason.MALFORMED, "number")
    seal = _seal(delivery, event.chain, event.sequence, standing)
    suspect = _Suspicion(terms.clock_suspect_s, standing.skew_s).of(event, delivery.received_at)
    granted = terms.wishes.granted(event)
    body = delivery.payload
    if granted is not event:
        body = granted.model_dump_json(exclude_none=True).encode()
    return EventRecord(site, message_id, delivery.received_at, body, granted, suspect, seal)


def _gap(delivery: Delivery, site: str, message_id: UUID, judged_by: tuple[Terms, Standing]) -> GapRecord:
    report = _parsed(GapReport, delivery.payload)
    _check_sender(report.site, site, report.id, message_id)
    if (
        not report.first <= report.last <= MAX_SEQUENCE
        or max(report.events, report.thumbnails) > MAX_SEQUENCE
    ):
        raise _RefusedError(Reason.MALFORMED, "first, last")
    seal = _seal(delivery, report.chain, report.sequence, judged_by[1])
    return GapRecord(site, message_id, delivery.received_at, delivery.payload, report, seal)


def _boot(delivery: Delivery, site: str, message_id: UUID, judged_by: tuple[Terms, Standing]) -> BootRecord:
    terms, standing = judged_by
    report = _parsed(BootReport, delivery.payload)
    _check_sender(report.site, site, report.id, message_id)
    seal = _seal(delivery, report.chain, report.sequence, standing)
    ahead_s = (report.started_at - delivery.received_at).total_seconds()
    suspect = ahead_s > terms.clock_suspect_s
    return BootRecord(site, message_id, delivery.received_at, delivery.payload, report, suspect, seal)


def _seal(delivery: Delivery, chain: Chain | None, sequence: int, standing: Standing) -> Seal:
    """Check the signature over the very bytes that came, or over the hash of them in a later message."""
    signature = delivery.properties.get("signature", "")
    if not signature or chain is None or not 0 < sequence <= MAX_SEQUENCE:
        raise _RefusedError(Reason.UNSIGNED, "" if signature else "signature")
    digest = hashlib.sha256(delivery.payload).digest()
    if digest in standing.vouched:
        is_good = is_signature(signature)
    else:
        is_good = any(is_digest_signed(digest, signature, key) for key in standing.keys)
    if not is_good:
        raise _RefusedError(Reason.WRONG_SIGNATURE)
    return Seal(Number(chain.instance, sequence), signature, digest, bytes.fromhex(chain.previous))


def _test(delivery: Delivery, site: str, message_id: UUID) -> TestRecord:
    message = _parsed(TestMessage, delivery.payload)
    _check_sender(message.site, site, message.id, message_id)
    return TestRecord(site, message_id, delivery.received_at, delivery.payload)


def _picture(delivery: Delivery, up: Up, message_id: UUID) -> PictureRecord:
    event_id, sha256 = _checked_picture(delivery, message_id)
    return PictureRecord(
        up.site, message_id, delivery.received_at, event_id, sha256, delivery.payload, up.channel,
        _number(delivery),
    )  # fmt: skip


def _reply(delivery: Delivery, site: str, message_id: UUID, judged_by: tuple[Terms, Standing]) -> ReplyRecord:
    reply = _parsed(Reply, delivery.payload)
    _check_sender(reply.site, site, reply.id, message_id)
    seal = _seal(delivery, reply.chain, reply.sequence, judged_by[1])
    return ReplyRecord(site, message_id, delivery.received_at, delivery.payload, reply, seal)


def _frame(delivery: Delivery, site: str, message_id: UUID) -> FrameRecord:
    command, sha256 = _checked_picture(delivery, message_id)
    at, number = delivery.received_at, _number(delivery)
    return FrameRecord(site, message_id, at, command, sha256, delivery.payload, number)


_SIGNED: Mapping[Channel, Callable[[Delivery, str, UUID, tuple[Terms, Standing]], Acknowledged]] = {
    Channel.EVENT: _event,
    Channel.GAP: _gap,
    Channel.BOOT: _boot,
    Channel.REPLY: _reply,
}


def _checked_picture(delivery: Delivery, message_id: UUID) -> tuple[UUID, str]:
    """Return what a picture belongs to, and its hash."""
    if delivery.content_type != "image/jpeg":
        raise _RefusedError(Reason.NO_PROPERTIES, "content type")
    if _property(delivery, "id", _uuid) != message_id:
        raise _RefusedError(Reason.WRONG_ID)
    event_id = _property(delivery, "event_id", _uuid)
    announced = _property(delivery, "sha256", str)
    sha256 = hashlib.sha256(delivery.payload).hexdigest()
    if sha256 != announced:
        raise _RefusedError(Reason.WRONG_HASH, sha256)
    try:
        jpeg.check(delivery.payload)
    except jpeg.NotAJpegError as error:
        raise _RefusedError(Reason.NOT_A_JPEG, str(error)) from error
    return event_id, sha256


def _heartbeat(delivery: Delivery, site: str) -> HeartbeatRecord:
    heartbeat = _parsed(Heartbeat, delivery.payload)
    _check_site(heartbeat.site, site)
    _check_numbers(heartbeat.model_dump())
    skew_s = (heartbeat.sent_at - delivery.received_at).total_seconds()
    return HeartbeatRecord(site, delivery.received_at, delivery.payload, heartbeat, skew_s)


def _state(delivery: Delivery, site: str) -> StateRecord:
    return StateRecord(site, delivery.received_at, _parsed(AgentState, delivery.payload))


def _parsed(model: type[_M], payload: bytes) -> _M:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        # What was wrong and where, never the text itself: it goes into the log and back over the wire.
        faults = [(".".join(str(part) for part in fault["loc"]), fault["type"]) for fault in error.errors()]
        if any(where == "v" for where, _ in faults):
            raise _RefusedError(Reason.WRONG_VERSION) from error
        where, what = faults[0]
        raise _RefusedError(Reason.MALFORMED, f"{where[:80]}: {what}".lstrip(": ")) from error


def _check_numbers(said: object) -> None:
    """Nothing endless may be kept: who shows it later would break on it, for all sites."""
    if isinstance(said, dict | list | tuple):
        for part in said.values() if isinstance(said, dict) else said:
            _check_numbers(part)
        return
    largest = _LARGEST if isinstance(said, float) else MAX_SEQUENCE
    if isinstance(said, int | float) and not -largest <= said <= largest:  # also refuses NaN
        raise _RefusedError(Reason.MALFORMED, "number")


def _check_sender(body_site: str, site: str, body_id: UUID, message_id: UUID) -> None:
    _check_site(body_site, site)
    if body_id != message_id:
        raise _RefusedError(Reason.WRONG_ID)


def _check_site(body_site: str, site: str) -> None:
    if body_site != site:
        raise _RefusedError(Reason.WRONG_SITE, body_site)


def _property(delivery: Delivery, name: str, read: Callable[[str], _V]) -> _V:
    try:
        return read(delivery.properties[name])
    except (KeyError, ValueError) as error:
        raise _RefusedError(Reason.NO_PROPERTIES, name) from error


def _number(delivery: Delivery) -> Number | None:
    """Return the number beside the body, if it is one: an unsigned word, of what is not missing."""
    instance, written = delivery.properties.get("instance", ""), delivery.properties.get("sequence", "")
    if not _INSTANCE.fullmatch(instance) or not _SEQUENCE.fullmatch(written):
        return None
    sequence = int(written)
    return Number(instance, sequence) if 0 < sequence <= MAX_SEQUENCE else None


def _message_id(correlation: bytes | None) -> UUID | None:
    return UUID(bytes=correlation) if correlation is not None and len(correlation) == _ID_BYTES else None


def _uuid(text: str) -> UUID:
    return UUID(text)
