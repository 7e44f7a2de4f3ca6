"""A real station for tests: `collector` in processes of its own on free ports, and a box to speak to it."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import paho.mqtt.client as mqtt
import uuid6
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from shared.commands import Reply
from shared.enrolment import (
    CERTIFICATE_PATH,
    HELLO_PATH,
    CertificateAnswer,
    CertificateRequest,
    Code,
    Hello,
    HelloAnswer,
    client_proof,
    proof_matches,
    server_proof,
)
from shared.geometry import Box as Frame
from shared.messages import (
    Acknowledgement,
    BootReport,
    Chain,
    ClockQuality,
    ClockReading,
    CollectorState,
    DetectionEvent,
    GapReport,
    Heartbeat,
    Kind,
    Phase,
    Thumbnail,
)
from shared.signing import FIRST, canonical, chained, sign
from shared.topics import COLLECTOR_STATE, Channel, down_ack, up
from tests.conftest import free_port

Signed = DetectionEvent | GapReport | BootReport | Reply
COLLECTOR = [sys.executable, "-c", "from collector.cli import main; main()"]
START_TIMEOUT_S = 30.0  # the machine may be busy
ANSWER_TIMEOUT_S = 20.0


class RefusedError(Exception):
    """The station answered with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NotTheStationError(Exception):
    """Whoever answered does not know the code's secret."""


@dataclass(frozen=True, slots=True)
class Papers:
    """What an enrolled box holds, as files."""

    site: str
    certificate: Path
    key: Path
    ca: Path

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Station:
    """Inits and runs a station in `folder` (which must not exist yet); a context manager ends it."""

    def __init__(self, folder: Path, *, start: bool = True, **settings: object) -> None:
        self.folder = folder
        self.broker_port, self.enrolment_port, self.console_port = free_port(), free_port(), free_port()
        self.log_path = folder.with_name(f"{folder.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {"ANNINH_STATION": str(folder), "PYTHONUNBUFFERED": "1"}
        self._environment |= {f"ANNINH_{name.upper()}": str(value) for name, value in settings.items()}
        ports = {
            "--broker-port": self.broker_port,
            "--enrolment-port": self.enrolment_port,
            "--console-port": self.console_port,
        }
        options = [str(word) for option in ports.items() for word in option]
        made = self.command("init", "--json", "--host", "localhost", "--bind", "127.0.0.1", *options)
        self.account: dict[str, str] = json.loads(made)
        if start:
            self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.enrolment_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def command(self, *words: str) -> str:
        """Run `collector …` to its end and return what it printed; raises CalledProcessError."""
        done = self.attempt(*words)
        done.check_returncode()
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `collector …` to its end, whatever that is."""
        return subprocess.run(
            [*COLLECTOR, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def start(self) -> None:
        """Run `collector run` and wait until it says READY."""
        heard = len(self.log)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*COLLECTOR, "run"], env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(lambda: "READY" in self.log[heard:] or not self.is_running, START_TIMEOUT_S)
        assert self.is_running, self.log

    def stop(self) -> int | None:
        """SIGTERM, as systemd does, and return the exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        return self._process.wait(60)

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def restart(self) -> None:
        """Start again after `kill` or `stop`."""
        self.start()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def broker_pid(self) -> int:
        return int((self.folder / "broker" / "mosquitto.pid").read_text())

    def kill_broker(self) -> None:
        os.kill(self.broker_pid(), signal.SIGKILL)

    def add_site(self, name: str, **options: str) -> Code:
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        return Code.parse(json.loads(self.command("site", "add", name, "--json", *words))["code"])

    def enrol(self, site: str, code: Code | None = None) -> Papers:
        """Do what a box does, and keep its papers beside the station's folder; wait when the door asks to."""
        code = code or self.add_site(site)
        while True:
            try:
                return enrol(self.url, code, self.folder.with_name(f"box-{site}"))
            except RefusedError as refused:
                if refused.status != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
                time.sleep(1.0)  # all tests knock from one address

    def search_json(self, *words: str) -> Any:
        return json.loads(self.command("search", "--json", *words))

    def agents_json(self) -> Any:
        return json.loads(self.command("agents", "--json"))


def wait_until(condition: Any, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Wait for something that another process does; fails when it never comes."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.02)


# ---- enrolling as a box does -------------------------------------------------------------------


def post(url: str, body: bytes, tls: ssl.SSLContext) -> bytes:
    request = urllib.request.Request(url, data=body, method="POST")
    try:
        with urllib.request.urlopen(request, context=tls, timeout=ANSWER_TIMEOUT_S) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(error.code) from None


def hello(url: str, code: Code) -> str:
    """Ask whoever answers to prove itself, and return the CA it proved."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    nonce = os.urandom(16).hex()
    asked = Hello(code_id=code.code_id, nonce=nonce).model_dump_json().encode()
    answer = HelloAnswer.model_validate_json(post(url + HELLO_PATH, asked, unverified))
    if not proof_matches(server_proof(code.secret, nonce, answer.ca_pem), answer.proof):
        raise NotTheStationError
    return answer.ca_pem


def request_for(key: ec.EllipticCurvePrivateKey, name: str = "whatever") -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def ask_certificate(
    url: str, code: Code, ca_pem: str, key: ec.EllipticCurvePrivateKey, *, proof: str | None = None
) -> CertificateAnswer:
    request_pem = request_for(key)
    asked = CertificateRequest(
        code_id=code.code_id, request_pem=request_pem, proof=proof or client_proof(code.secret, request_pem)
    )
    tls = ssl.create_default_context(cadata=ca_pem)
    body = asked.model_dump_json().encode()
    return CertificateAnswer.model_validate_json(post(url + CERTIFICATE_PATH, body, tls))


def enrol(url: str, code: Code, folder: Path) -> Papers:
    key = ec.generate_private_key(ec.SECP256R1())
    answer = ask_certificate(url, code, hello(url, code), key)
    folder.mkdir(exist_ok=True)
    papers = Papers(answer.site, folder / "box.crt", folder / "box.key", folder / "ca.crt")
    papers.certificate.write_text(answer.certificate_pem)
    papers.ca.write_text(answer.ca_pem)
    papers.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return papers


# ---- speaking as a box does --------------------------------------------------------------------


@dataclass
class Heard:
    """What a box was told."""

    stored: set[UUID] = field(default_factory=set)
    refused: dict[UUID, str] = field(default_factory=dict)
    others: list[tuple[str, bytes]] = field(default_factory=list)
    puback_codes: list[int] = field(default_factory=list)
    disconnects: list[str] = field(default_factory=list)
    collector_online: bool | None = None


class Voice:
    """Numbers, chains and signs as an outbox does; what is said again is said in the same words."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.key = key
        self.instance = os.urandom(8).hex()
        self.sequence, self.head = 0, FIRST
        self._said: dict[UUID, tuple[bytes, dict[str, str]]] = {}

    def number(self) -> dict[str, str]:
        self.sequence += 1
        return {"sequence": str(self.sequence), "instance": self.instance}

    def said(self, message: Signed) -> tuple[bytes, dict[str, str]]:
        """Return the body and the properties beside it."""
        if message.id not in self._said:
            number = self.number()
            chain = Chain(instance=self.instance, previous=self.head)
            body = canonical(message.model_copy(update={"sequence": self.sequence, "chain": chain}))
            self.head = chained(body)
            self._said[message.id] = body, number | {"signature": sign(body, self.key)}
        return self._said[message.id]

    def forget(self, message_id: UUID) -> None:
        """It will not be asked for again."""
        del self._said[message_id]


class Box:
    """A site's MQTT connection, without an outbox: it says each thing once and notes the answers."""

    def __init__(self, papers: Papers, port: int, *, more_topics: tuple[str, ...] = ()) -> None:
        self.site = papers.site
        self.heard = Heard()
        self._topics = (down_ack(papers.site), COLLECTOR_STATE, *more_topics)
        self._subscribed = threading.Event()
        self._port = port
        self.voice = Voice(papers.private_key())
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="me", protocol=mqtt.MQTTv5)
        self._client.tls_set_context(papers.context())
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.on_publish = lambda _c, _u, _mid, code, _p: self.heard.puback_codes.append(code.value)
        self._client.on_disconnect = lambda _c, _u, _f, reason, _p: self.heard.disconnects.append(str(reason))

    def __enter__(self) -> Self:
        self._client.connect_async("localhost", self._port, keepalive=30, clean_start=True)
        self._client.loop_start()
        assert self._subscribed.wait(ANSWER_TIMEOUT_S), "no subscription"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(
        self, topic: str, payload: bytes, message_id: UUID | None = None, *, qos: int = 1, **properties: Any
    ) -> None:
        """Publish anything at all; `properties` are MQTT 5 names and values."""
        wanted = Properties(PacketTypes.PUBLISH)
        if message_id is not None:
            wanted.CorrelationData = message_id.bytes
        for name, value in properties.items():
            setattr(wanted, name, value)
        self._client.publish(topic, payload, qos=qos, properties=wanted)

    def send_event(self, event: DetectionEvent) -> None:
        self.send_signed(Channel.EVENT, event)

    def send_signed(self, channel: Channel, message: Signed) -> None:
        body, properties = self.voice.said(message)
        self.say(up(self.site, channel), body, message.id, UserProperty=list(properties.items()))

    def send_picture(self, picture: bytes, event_id: UUID, message_id: UUID, **changed: str) -> None:
        named = {"id": str(message_id), "event_id": str(event_id), "sha256": sha256(picture).hexdigest()}
        self.say(
            up(self.site, Channel.THUMBNAIL),
            picture,
            message_id,
            ContentType="image/jpeg",
            UserProperty=list((named | changed).items()),
        )

    def wait_for(self, *message_ids: UUID) -> None:
        """Wait until each of these is acknowledged, as stored or refused."""
        wanted = set(message_ids)
        wait_until(lambda: wanted <= self.heard.stored | self.heard.refused.keys())

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(topic, mqtt.SubscribeOptions(qos=1)) for topic in self._topics])

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == down_ack(self.site):
            word = Acknowledgement.model_validate_json(message.payload)
            self.heard.stored.update(word.stored)
            self.heard.refused.update(word.refused)
        elif message.topic == COLLECTOR_STATE:
            self.heard.collector_online = CollectorState.model_validate_json(message.payload).online
        else:
            self.heard.others.append((message.topic, bytes(message.payload)))


# ---- things to say -----------------------------------------------------------------------------

# 16 x 16 pixels, made with OpenCV at quality 50
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19i"
    "Z2hnPk1xeXBkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2Nj"
    "Y2NjY2NjY2P/wAARCAAQABADASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
    "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
    "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
    "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
    "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
    "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
    "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwBsUfmZ5xj2rk9Y0n+y/J/f+b5m7+DbjGPc+tdZFJ5eeM5965PWNW/tTyf3HleXu/j3Zzj2"
    "HpWeH9l7LT4vn3FivrX1rX+H027ffuf/2Q=="
)


def a_picture(number: int = 0, of: bytes = JPEG) -> bytes:
    """A JPEG of its own for each number: a comment segment makes the bytes differ."""
    comment = f"picture {number}".encode()
    return of[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + of[2:]


def an_event(site: str, **changed: Any) -> DetectionEvent:
    now = datetime.now(UTC)
    said: dict[str, Any] = {
        "id": uuid6.uuid7(),
        "event_id": uuid6.uuid7(),
        "revision": 0,
        "phase": Phase.START,
        "site": site,
        "camera": "cong-truoc",
        "kind": Kind.PERSON,
        "confidence": 0.8,
        "started_at": now - timedelta(seconds=1),
        "seen_at": now,
        "box": Frame(0.1, 0.1, 0.2, 0.4),
        "clock": ClockReading(boot_id="boot", monotonic_s=1.0, quality=ClockQuality.SYNCED),
    }
    return DetectionEvent(**(said | changed))


def announced(picture: bytes, width: int = 16, height: int = 16) -> Thumbnail:
    return Thumbnail(
        sha256=sha256(picture).hexdigest(),
        size_bytes=len(picture),
        width=width,
        height=height,
        taken_at=datetime.now(UTC),
    )


def a_heartbeat(site: str, sent_at: datetime) -> Heartbeat:
    return Heartbeat(
        site=site,
        sent_at=sent_at,
        boot_id="boot",
        agent_version="test",
        uptime_s=1.0,
        clock_quality=ClockQuality.SYNCED,
        outbox_waiting=0,
    )
