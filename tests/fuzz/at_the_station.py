"""Where does a station take what others say? Messages of sites, pictures, enrolment, what is on a stick."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import uuid6
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from collector.archive.media import ThumbnailPacks
from collector.archive.records import EventRecord, HeartbeatRecord, Record, Refusal
from collector.archive.register import Register, Site, SiteStatus
from collector.archive.schema import ARCHIVE_MIGRATIONS, STATION_MIGRATIONS, open_database
from collector.archive.store import UNSTORABLE, Archive
from collector.console import wording
from collector.intake import jpeg
from collector.intake.admission import Admission
from collector.intake.authority import Authority, RequestRefusedError, request_key
from collector.intake.enrolment_endpoint import MAX_BODY_BYTES
from collector.intake.ingest import _MAX_BYTES, Delivery, Refused, Standing, Terms, ingest
from shared.commands import Outcome, Reply
from shared.enrolment import (
    MAX_REQUEST_BYTES,
    CertificateRequest,
    Hello,
    Petition,
    RenewalRequest,
    client_proof,
)
from shared.localtime import shown
from shared.messages import (
    AgentState,
    BootReport,
    Chain,
    DetectionEvent,
    GapReason,
    GapReport,
    TestMessage,
    Wishes,
)
from shared.signing import FIRST, canonical, sign
from shared.topics import Channel
from tests.fuzz.border import Border, Taker, simply
from tests.station import a_heartbeat, a_picture, an_event, announced, request_for

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SITE = "nha-ong-ba"
KEY = ec.generate_private_key(ec.SECP256R1())
STANDING = Standing(enrolled=True, keys=(KEY.public_key(),))
TERMS = Terms(120.0, Wishes(colour_of=("person",), tight_crops=True))
_CHAIN = Chain(instance="0" * 16, previous=FIRST)


class _UndoneError(Exception):
    """Nothing of a fuzzed batch is to last."""


class Intake:
    """`ingest`, and behind it the archive that must take whatever `ingest` lets through."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def take(self, delivery: Delivery) -> Record | Refused:
        verdict = ingest(delivery, STANDING, TERMS)
        with suppress(_UndoneError), self._archive.writing():
            self._keep(verdict, delivery)
            raise _UndoneError
        return verdict

    def _keep(self, verdict: Record | Refused, delivery: Delivery) -> None:
        if isinstance(verdict, Refused):
            said = verdict.reason, verdict.detail, verdict.number
            self._archive.count(Refusal(verdict.site, delivery.received_at, *said))
            return
        with suppress(*UNSTORABLE), self._archive.alone():
            self._archive.keep(verdict)
        _shown(verdict)

    def body(self, channel: Channel) -> Taker:
        """Signed with the site's own key and named by its own id: an enrolled box gone bad."""
        return lambda payload: self.take(_delivery(channel, payload))

    def envelope(self, data: bytes) -> None:
        """Everything beside the body: topic, correlation, content type, properties, and the body last."""
        topic, correlation, content_type, names, body = (data.split(b"\x00", 4) + [b""] * 5)[:5]
        words = names.decode(errors="surrogatepass" if data.isascii() else "replace").split("\x01")
        said = dict(zip(words[::2], words[1::2], strict=False))
        self.take(
            Delivery(
                topic.decode(errors="replace"),
                body,
                NOW,
                correlation or None,
                content_type.decode(errors="replace") or None,
                said,
            )
        )


def _shown(kept: Record) -> None:
    """What pages and commands do with it for all sites alike: a number or a time must not end them."""
    if isinstance(kept, HeartbeatRecord):
        beat = kept.heartbeat
        for seconds in (
            beat.uptime_s,
            beat.outbox_oldest_s,
            *(camera.frame_age_s for camera in beat.cameras),
        ):
            wording.duration(timedelta(seconds=seconds or 0))
        shown(beat.sent_at)
        json.dumps(beat.model_dump(mode="json"), allow_nan=False)
    elif isinstance(kept, EventRecord):
        off = timedelta(seconds=kept.event.clock.camera_offset_s or 0)
        for moment in (kept.event.started_at, kept.event.seen_at, kept.event.started_at + off):
            shown(moment)
        json.dumps(kept.event.model_dump(mode="json"), allow_nan=False)


def _delivery(channel: Channel, payload: bytes) -> Delivery:
    message_id = _id_in(payload)
    said = {
        "signature": sign(payload, KEY),
        "sequence": "7",
        "instance": "0" * 16,
        "id": str(message_id),
        "event_id": str(uuid6.uuid7()),
        "sha256": sha256(payload).hexdigest(),
    }
    topic = f"anninh/v1/{SITE}/up/{channel}"
    return Delivery(topic, payload, NOW, message_id.bytes, "image/jpeg", said)


def _id_in(payload: bytes) -> UUID:
    try:
        return UUID(json.loads(payload)["id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return uuid6.uuid7()


@contextmanager
def _intake() -> Iterator[Intake]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "archive.db", ARCHIVE_MIGRATIONS)
        packs = ThumbnailPacks(Path(folder))
        try:
            yield Intake(Archive(database, packs))
        finally:
            packs.close()
            database.close()


def _on(channel: Channel) -> Callable[[], AbstractContextManager[Taker]]:
    @contextmanager
    def opened() -> Iterator[Taker]:
        with _intake() as intake:
            yield intake.body(channel)

    return opened


@contextmanager
def _envelope() -> Iterator[Taker]:
    with _intake() as intake:
        yield intake.envelope


# ---- enrolment -------------------------------------------------------------------------------


class Door:
    """The rules of the door over a register with one open code and one site that is in."""

    def __init__(self, register: Register) -> None:
        self._admission = Admission(register, Authority.create("Công an xã", NOW), 8883)
        register.add_site(Site(SITE, "Nhà ông Ba", "", SiteStatus.WAITING, NOW, None))
        self.code = register.new_code(SITE, NOW)[0]

    def hello(self, body: bytes) -> None:
        self._admission.hello(Hello.model_validate_json(body), NOW)

    def certificate(self, body: bytes) -> None:
        """As asked, and once more with the proof that only the code's owner can make."""
        asked = CertificateRequest.model_validate_json(body)
        proof = client_proof(self.code.secret, asked.request_pem)
        right = asked.model_copy(update={"code_id": self.code.code_id, "proof": proof})
        for request in (asked, right):
            self._admission.certificate(request, NOW)

    def renewal(self, body: bytes) -> None:
        self._admission.renewal(RenewalRequest.model_validate_json(body), None, NOW)

    def petition(self, body: bytes) -> None:
        self._admission.petition(Petition.model_validate_json(body), SITE, NOW)


def _at_the_door(way: Callable[[Door], Taker]) -> Callable[[], AbstractContextManager[Taker]]:
    @contextmanager
    def opened() -> Iterator[Taker]:
        with tempfile.TemporaryDirectory() as folder:
            database = open_database(Path(folder) / "station.db", STATION_MIGRATIONS)
            try:
                yield way(Door(Register(database)))
            finally:
                database.close()

    return opened


# ---- what sound ones look like ---------------------------------------------------------------


def _sound() -> dict[Channel, bytes]:
    picture = announced(a_picture())
    event: DetectionEvent = an_event(
        SITE, sequence=7, chain=_CHAIN, thumbnail=picture, seen_at=NOW, started_at=NOW - timedelta(seconds=3)
    )
    gap = GapReport(
        id=uuid6.uuid7(),
        site=SITE,
        sequence=7,
        instance="0" * 16,
        first=2,
        last=5,
        events=3,
        thumbnails=1,
        since=NOW,
        until=NOW,
        reason=next(iter(GapReason)),
        chain=_CHAIN,
    )
    boot = BootReport(id=uuid6.uuid7(), site=SITE, sequence=7, boot_id="boot", started_at=NOW, chain=_CHAIN)
    reply = Reply(
        id=uuid6.uuid7(),
        command=uuid6.uuid7(),
        site=SITE,
        sequence=7,
        answered_at=NOW,
        outcome=Outcome.DONE,
        picture=picture,
        chain=_CHAIN,
    )
    test = TestMessage(id=uuid6.uuid7(), site=SITE, sent_at=NOW)
    state = AgentState(online=True, session="s", at=NOW)
    plain = {Channel.TEST: test, Channel.STATE: state, Channel.HEARTBEAT: a_heartbeat(SITE, NOW)}
    signed = {Channel.EVENT: event, Channel.GAP: gap, Channel.BOOT: boot, Channel.REPLY: reply}
    bodies = {channel: canonical(message) for channel, message in {**plain, **signed}.items()}
    return bodies | dict.fromkeys((Channel.THUMBNAIL, Channel.CROP, Channel.FRAME), a_picture())


_SOUND = _sound()
_REQUEST = request_for(KEY)
_HELLO = Hello(code_id="0000", nonce="0" * 32).model_dump_json().encode()
_ASKED = CertificateRequest(code_id="0000", request_pem=_REQUEST, proof="0" * 64).model_dump_json().encode()
_RENEWAL = RenewalRequest(request_pem=_REQUEST).model_dump_json().encode()
_PETITION = Petition(request_pem=_REQUEST).model_dump_json().encode()
_ENVELOPE = b"\x00".join(
    (b"anninh/v1/nha-ong-ba/up/ev", b"0123456789abcdef", b"", b"sequence\x017\x01signature\x01AAAA", b"{}")
)


def _pem(what: str, der: bytes) -> str:
    return f"-----BEGIN {what}-----\n{base64.encodebytes(der).decode()}-----END {what}-----\n"


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


BORDERS = (
    *(
        Border(f"ingest-{channel}", _on(channel), (_SOUND[channel],), (), _MAX_BYTES[channel])
        for channel in Channel
    ),
    Border("ingest-envelope", _envelope, (_ENVELOPE, _ENVELOPE.replace(b"/ev", b"/thumb"))),
    Border(
        "request",
        simply(lambda der: request_key(_pem("CERTIFICATE REQUEST", der))),
        (_der(_REQUEST),),
        (RequestRefusedError,),
        MAX_REQUEST_BYTES,
    ),
    Border("jpeg", simply(jpeg.check), (a_picture(),), (jpeg.NotAJpegError,)),
    Border(
        "enrol-hello", _at_the_door(lambda door: door.hello), (_HELLO,), (ValidationError,), MAX_BODY_BYTES
    ),
    Border(
        "enrol-certificate",
        _at_the_door(lambda door: door.certificate),
        (_ASKED,),
        (ValidationError,),
        MAX_BODY_BYTES,
    ),
    Border(
        "enrol-renewal",
        _at_the_door(lambda door: door.renewal),
        (_RENEWAL,),
        (ValidationError,),
        MAX_BODY_BYTES,
    ),
    Border(
        "enrol-petition",
        _at_the_door(lambda door: door.petition),
        (_PETITION,),
        (ValidationError, RequestRefusedError),
        MAX_BODY_BYTES,
    ),
)
