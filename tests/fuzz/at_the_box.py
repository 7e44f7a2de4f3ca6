"""Where does a box take what others say? Of its station, cameras, a Frigate, the LAN, a stick."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uuid6
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr, ValidationError

from agent.cameras import camera_event_messages, xmltree
from agent.cameras.credentials import Credential
from agent.cameras.discover import parse_answer
from agent.cameras.frigate_api import FrigateApi
from agent.cameras.frigate_messages import FrigateGarbageError, from_api, from_mqtt
from agent.cameras.onvif import clean_stream_url, know
from agent.cameras.pullpoint import PullPoint
from agent.cameras.stream import WrongPassword
from agent.configure import FILE as CONFIGURATION
from agent.configure import Desired
from agent.detectors.manifest import FILE_NAME, Manifest, ModelIdentifies
from agent.ledger import Ledger
from agent.obey import Obedience
from agent.settings import AgentSettings
from agent.uplink.enroll import AnswerNotUnderstood, check_certificate
from agent.uplink.outbox import Outbox
from agent.uplink.publisher import Line, Publisher
from agent.uplink.stick import BundleNotOurs, read_bundle
from agent.uplink.wire import Said
from collector.intake.authority import Authority
from shared import update_manifest
from shared.commands import Command, TestFrame
from shared.configuration import Configuration
from shared.enrolment import Bundle, CertificateAnswer, HelloAnswer, SignedBundle
from shared.errors import FileUnreadable, NeedsFixing, TryLater
from shared.messages import Acknowledgement, CollectorState
from shared.signing import canonical
from shared.topics import COLLECTOR_STATE, down_ack
from tests.fakes import FakeClock
from tests.fuzz.at_the_station import _der, _pem
from tests.fuzz.border import Border, Taker, simply
from tests.fuzz.canned import answering
from tests.station import request_for
from tests.unit.household.test_obey import Counting, Kept
from tests.unit.uplink.events import SPEAKER
from tests.unit.uplink.lossy_wire import SITE, Collector, LossyWire

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
ANSWERS = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "answers").glob("*.xml")}
CAMERA = "http://192.0.2.7/onvif/device_service"  # an address of nobody's
_ANSWER_BYTES = 1 << 20  # what `PullPoint` reads of one answer; zeep's reader takes twice that


# ---- the station -----------------------------------------------------------------------------


def _heard_on(topic: str) -> Callable[[], AbstractContextManager[Taker]]:
    """What the uplink makes of the station's words, with a real outbox behind it."""

    @contextmanager
    def opened() -> Iterator[Taker]:
        with tempfile.TemporaryDirectory() as folder:
            outbox, wire = Outbox(Path(folder) / "outbox.db", SPEAKER), LossyWire(0, Collector(), loss=0.0)
            publisher = Publisher(outbox, wire, FakeClock(NOW), line=Line(16_000))

            def take(payload: bytes) -> None:
                wire.facts.put(Said(topic, payload))
                publisher.step()

            yield take
            outbox.close()

    return opened


@contextmanager
def _orders() -> Iterator[Taker]:
    """Judged, obeyed by somebody who does nothing, answered."""
    with tempfile.TemporaryDirectory() as folder:
        clock = FakeClock(NOW)
        yield Obedience(SITE, Ledger(Path(folder)), Counting(), Kept(), clock, uuid6.uuid7).hear


@contextmanager
def _wishes() -> Iterator[Taker]:
    """Heard, put in force, and read again as after a restart."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder), AgentSettings(), SITE, b"authority", ("cong",)

        def take(payload: bytes) -> None:
            (Path(folder) / CONFIGURATION).unlink(missing_ok=True)  # else only what is newer is looked at
            wishes = Desired(*said)
            wishes.hear(payload)
            assert Desired(*said).in_force() == wishes.in_force()

        yield take


@contextmanager
def _stick() -> Iterator[Taker]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bundle.json"

        def take(content: bytes) -> None:
            file.write_bytes(content)
            read_bundle(file)

        yield take


def _update(content: bytes) -> None:
    line, _ = update_manifest.split(content)
    update_manifest.parse(line)


# ---- cameras ---------------------------------------------------------------------------------


def _asked_over_onvif(operation: str) -> Callable[[], AbstractContextManager[Taker]]:
    """All that is asked of a new camera; it answers soundly but to one question."""
    sound = dict(ANSWERS)
    if operation.endswith("-2"):
        sound["GetServices"] = sound["GetServices"].replace(b"ver10/media", b"ver20/media")

    @contextmanager
    def opened() -> Iterator[Taker]:
        with answering(sound) as answers:

            def take(content: bytes) -> None:
                answers[operation] = content
                know([CAMERA], Credential("admin", SecretStr("x")), FakeClock(NOW))

            yield take

    return opened


def _listened_to(operation: str) -> Callable[[], AbstractContextManager[Taker]]:
    """A camera's events, from the subscription to its end."""

    @contextmanager
    def opened() -> Iterator[Taker]:
        with answering(dict(ANSWERS)) as answers:

            def take(content: bytes) -> None:
                answers[operation] = content
                ear = PullPoint(CAMERA, Credential("admin", SecretStr("x")), FakeClock(NOW))
                ear.subscribe()
                ear.pull()
                ear._renew()
                ear.unsubscribe()

            yield take

    return opened


# ---- Frigate ---------------------------------------------------------------------------------


@contextmanager
def _frigate_http() -> Iterator[Taker]:
    """The same answer to every question: its sizes, what happened since, one event, its picture."""
    with answering({}) as answers:

        def take(content: bytes) -> None:
            answers[""] = content
            api = FrigateApi.at("http://192.0.2.8:5000", None, FakeClock(NOW), None)
            api.snapshot("1763870400.123456-k2j4h1", ended=True)
            row = api.event("1763870400.123456-k2j4h1")
            for ask in (lambda: from_api(row), api.sizes, lambda: api.events(0.0)):
                try:
                    ask()
                except (FrigateGarbageError, TryLater):
                    continue

        yield take


_SIGHTING = {
    "id": "1763870400.123456-k2j4h1", "camera": "front_door", "frame_time": 1763870404.0, "label": "person",
    "false_positive": False, "start_time": 1763870400.1, "end_time": None, "box": [640, 360, 768, 720],
    "has_snapshot": True, "path_data": [[[0.5, 1.0], 1763870400.2], [[0.6, 1.0], 1763870402.0]],
    "snapshot": {"box": [640, 360, 768, 720]}, "data": {"type": "object", "box": [0.1, 0.2, 0.3, 0.4]},
}  # fmt: skip
_MQTT = json.dumps({"type": "new", "before": {}, "after": _SIGHTING}).encode()
_ROWS = json.dumps([_SIGHTING]).encode()
_CONFIG = json.dumps({"cameras": {"front_door": {"detect": {"width": 1280, "height": 720}}}}).encode()


# ---- models ----------------------------------------------------------------------------------


@contextmanager
def _model() -> Iterator[Taker]:
    with tempfile.TemporaryDirectory() as folder:

        def take(content: bytes) -> None:
            (Path(folder) / FILE_NAME).write_bytes(content)
            Manifest.load(Path(folder))

        yield take


_MANIFEST = Manifest(
    name="yolo", file="a.onnx", sha256="0" * 64, licence="MIT", source="here", family="yolo",
    precision="int8", width=416, height=416, classes=("person",), thresholds={"person": 0.3},
)  # fmt: skip
_UPDATE = (
    json.dumps({
        "package": "anninh-agent", "architecture": "arm64", "version": "1.2.3", "sha256": "0" * 64, "size": 9,
        "not_before": NOW.isoformat(), "wave_percent": 10,
    }).encode() + b"\nAAAA\n"
)  # fmt: skip
_DISCOVERY = re.sub(
    rb"(?s)<s:Body>.*</s:Body>",
    b"<s:Body><ProbeMatches><ProbeMatch><Address>urn:uuid:27246187-1789-53cf-a457-1e130a0e7a66</Address>"
    b"<Scopes>onvif://www.onvif.org/name/C%E1%BB%95ng</Scopes><XAddrs>http://192.168.1.20:80/onvif</XAddrs>"
    b"</ProbeMatch></ProbeMatches></s:Body>",
    ANSWERS["GetScopes"],
)
_ACKNOWLEDGED = Acknowledgement(stored=(uuid6.uuid7(),), refused={uuid6.uuid7(): "malformed: x"})
_COMMAND = Command(id=uuid6.uuid7(), site=SITE, made_at=NOW, not_after=NOW, errand=TestFrame(camera="cong"))
_WANTED = Configuration(
    site=SITE,
    revision=3,
    quiet_hours="22:00-05:00",
    zones={"cong": {"min_height": 0.1, "ignore": {"a": [[0, 0], [1, 0], [1, 1]]}}},
)
_BOX_KEY = ec.generate_private_key(ec.SECP256R1())
_AUTHORITY = Authority.create("Công an xã", NOW)
_CERTIFICATE = _AUTHORITY.sign_request(request_for(_BOX_KEY), SITE, NOW).pem
_CARRIED = Bundle(
    site=SITE, host="localhost", enrolment_port=8443, broker_port=8883, certificate_pem=_CERTIFICATE,
    ca_pem=_AUTHORITY.pem, now=NOW,
)  # fmt: skip
_SIGNATURE = _AUTHORITY.sign(canonical(_CARRIED))
_BUNDLE = SignedBundle(bundle=_CARRIED, signature=_SIGNATURE).model_dump_json().encode()
_HELLO = HelloAnswer(ca_pem="x", proof="0" * 64)
_PAPERS = CertificateAnswer(site=SITE, certificate_pem="x", ca_pem="x", broker_port=8883, now=NOW)

_OF_CAMERAS = (TryLater, NeedsFixing)
_KNOWN = (
    "GetSystemDateAndTime", "GetEndpointReference", "GetDeviceInformation", "GetServices", "GetProfiles",
    "GetProfiles-2", "GetStreamUri", "GetStreamUri-2", "GetNetworkInterfaces", "GetScopes",
)  # fmt: skip
_HEARD = (
    "GetSystemDateAndTime",
    "GetServices",
    "CreatePullPointSubscription",
    "PullMessages",
    "Renew",
    "Unsubscribe",
)

BORDERS = (
    Border("acknowledgement", _heard_on(down_ack(SITE)), (_ACKNOWLEDGED.model_dump_json().encode(),)),
    Border(
        "collector-state",
        _heard_on(COLLECTOR_STATE),
        (CollectorState(online=True).model_dump_json().encode(),),
    ),
    Border("command", _orders, (_COMMAND.model_dump_json().encode(),)),
    Border("configuration", _wishes, (_WANTED.model_dump_json().encode(),)),
    Border(
        "enrol-hello-answer",
        simply(HelloAnswer.model_validate_json),
        (_HELLO.model_dump_json().encode(),),
        (ValidationError,),
    ),
    Border(
        "enrol-papers",
        simply(CertificateAnswer.model_validate_json),
        (_PAPERS.model_dump_json().encode(),),
        (ValidationError,),
    ),
    Border("stick", _stick, (_BUNDLE,), (BundleNotOurs, FileUnreadable)),
    Border(
        "certificate",
        simply(lambda der: check_certificate(_pem("CERTIFICATE", der), SITE, _BOX_KEY)),
        (_der(_CERTIFICATE),),
        (AnswerNotUnderstood,),
    ),
    Border("update-manifest", simply(_update), (_UPDATE,), (update_manifest.UnreadableError,)),
    Border(
        "model-manifest", _model, (_MANIFEST.model_dump_json().encode(),), (FileUnreadable, ModelIdentifies)
    ),
    Border(
        "frigate-mqtt",
        simply(lambda data: from_mqtt(data, {"front_door": (1280, 720)})),
        (_MQTT,),
        (FrigateGarbageError,),
    ),
    Border(
        "frigate-http", _frigate_http, (_ROWS, _CONFIG, json.dumps(_SIGHTING).encode()), (TryLater,), 8 << 20
    ),
    Border("discovery", simply(lambda data: parse_answer(data, "192.168.1.20")), (_DISCOVERY,), (), 65_507),
    Border(
        "stream-address",
        simply(lambda data: clean_stream_url(data.decode(errors="replace"), "192.0.2.7")),
        (b"rtsp://u:p@0.0.0.0:554/1/main?a=1&amp;b=2",),
    ),
    Border(
        "camera-events",
        simply(lambda data: camera_event_messages.events(xmltree.parse(data))),
        (ANSWERS["PullMessages"],),
        (xmltree.XmlError,),
        _ANSWER_BYTES,
    ),
    *(
        Border(f"pullpoint-{name}", _listened_to(name), (ANSWERS[name],), _OF_CAMERAS, _ANSWER_BYTES)
        for name in _HEARD
    ),
    *(
        Border(
            f"onvif-{name}",
            _asked_over_onvif(name),
            (ANSWERS[name],),
            (*_OF_CAMERAS, WrongPassword),
            2 * _ANSWER_BYTES,
        )
        for name in _KNOWN
    ),
)
