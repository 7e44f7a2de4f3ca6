"""A house with a running agent, a camera, and a test that holds the collector's certificate."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import paho.mqtt.client as mqtt
import uuid6
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.cameras import register
from agent.cameras.register import CameraEntry
from agent.service import Agent
from agent.settings import AgentSettings
from agent.uplink import identity
from agent.uplink.enroll import StationAddress, obtain_papers
from shared.commands import Command, Errand, Reply
from shared.configuration import Configuration
from shared.messages import Acknowledgement, CameraHealth, CollectorState, DetectionEvent, Heartbeat
from shared.signing import canonical
from shared.topics import (
    ALL_UP,
    COLLECTOR_STATE,
    Channel,
    down_ack,
    down_command,
    down_configuration,
    parse_up,
)
from tests.station import Station, wait_until
from tests.virtual_camera import VirtualCamera

SITE, CAMERA = "nha-ong-ba", "cong-truoc"


class Broker:
    """The station's own mosquitto, with its own files, while the collector is away."""

    def __init__(self, station: Station) -> None:
        self._configuration = station.folder / "broker" / "mosquitto.conf"
        self._log = station.folder.with_name("mosquitto.log").open("wb")

    def __enter__(self) -> Self:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [program, "-c", str(self._configuration)], stdout=self._log, stderr=subprocess.STDOUT
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


class Desk:
    """Speaks with the collector's certificate: hears everything, acknowledges it, gives commands."""

    def __init__(self, station: Station) -> None:
        self.heartbeats: list[Heartbeat] = []
        self.replies: list[Reply] = []
        self.events: list[DetectionEvent] = []
        self.frames: list[tuple[bytes, dict[str, str]]] = []
        self._station = station
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="desk", protocol=mqtt.MQTTv5)
        tls = station.folder / "tls"
        context = ssl.create_default_context(cafile=station.folder / "ca" / "ca.crt")
        context.load_cert_chain(tls / "collector.crt", tls / "collector.key")
        self._client.tls_set_context(context)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._client.connect_async("localhost", self._station.broker_port, clean_start=True)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(self, errand: Errand, **changed: Any) -> Command:
        now = datetime.now(UTC)
        said = {
            "id": uuid6.uuid7(),
            "site": SITE,
            "made_at": now,
            "not_after": now + timedelta(minutes=10),
            "errand": errand,
        }
        command = Command(**(said | changed))
        self.say(down_command(SITE), canonical(command))
        return command

    def configure(self, **said: Any) -> Configuration:
        wish = Configuration(site=SITE, **said)
        self.say(down_configuration(SITE), canonical(wish), retain=True)
        return wish

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def answers(self, command: Command, count: int = 1) -> list[Reply]:
        """Wait for so many answers to a command."""

        def answered() -> list[Reply]:
            return [reply for reply in self.replies if reply.command == command.id]

        wait_until(lambda: len(answered()) >= count, 60)
        return answered()

    def camera(self) -> CameraHealth:
        return self.heartbeats[-1].cameras[0]

    def beats(self, count: int = 2) -> None:
        """Wait for so many more heartbeats."""
        heard = len(self.heartbeats)
        wait_until(lambda: len(self.heartbeats) >= heard + count, 60)

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        assert not reason.is_failure, reason
        client.subscribe(ALL_UP, 1)
        client.publish(COLLECTOR_STATE, CollectorState(online=True).model_dump_json(), qos=1, retain=True)

    def _on_message(self, client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        said, properties = parse_up(message.topic), message.properties
        assert said is not None
        match said.channel:
            case Channel.HEARTBEAT:
                self.heartbeats.append(Heartbeat.model_validate_json(message.payload))
            case Channel.REPLY:
                self.replies.append(Reply.model_validate_json(message.payload))
            case Channel.EVENT:
                self.events.append(DetectionEvent.model_validate_json(message.payload))
            case Channel.FRAME:
                self.frames.append((bytes(message.payload), dict(getattr(properties, "UserProperty", []))))
        if mark := getattr(properties, "CorrelationData", None):
            word = Acknowledgement(stored=(UUID(bytes=mark),)).model_dump_json()
            client.publish(down_ack(said.site), word, qos=1, properties=Properties(PacketTypes.PUBLISH))


class House:
    """An agent's home and the agent in it; may be ended and started again."""

    def __init__(self, folder: Path, station: Station, camera: VirtualCamera, models: Path) -> None:
        self.home = folder
        folder.mkdir()
        papers = obtain_papers(StationAddress.parse(station.url), station.add_site(SITE))
        identity.save(folder, papers)
        shutil.copytree(models, folder / "models")
        entry = CameraEntry(
            name=CAMERA,
            onvif_url=camera.onvif_url,
            detect_url=camera.stream_url("sub"),
            picture_url=camera.stream_url("main"),
        )
        register.save(folder, [entry])
        self._stop = threading.Event()
        self._thread = threading.Thread()

    def start(self) -> None:
        settings = AgentSettings(heartbeat_s=1.0)
        agent = Agent(self.home, settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=agent.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident:
            self._thread.join(60)

    def on_disk(self, name: str) -> Any:
        return json.loads((self.home / name).read_text())
