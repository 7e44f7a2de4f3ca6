"""Frigate's MQTT, as three facts: it is there, it said this, it is gone.

paho runs a network thread of its own; its callbacks only put a fact on the queue.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent.cameras.credentials import Credential
from agent.cameras.frigate_messages import MAX_PAYLOAD_BYTES
from agent.settings import FrigateSettings

_KEEPALIVE_S = 30
_FACTS_KEPT = 2000  # 8 MB of messages at the most; what does not fit is fetched over HTTP
_REFUSED = frozenset({"Not authorized", "Bad user name or password"})


@dataclass(frozen=True, slots=True)
class Online:
    """Connected, or Frigate has come back: what happened meanwhile must be asked for."""


@dataclass(frozen=True, slots=True)
class Offline:
    refused: bool = False  # it does not take our login


@dataclass(frozen=True, slots=True)
class Told:
    payload: bytes


Fact = Online | Offline | Told


class FrigateWire:
    """Subscribes to the events and to whether Frigate itself is there."""

    def __init__(self, settings: FrigateSettings, credential: Credential | None, client_id: str) -> None:
        self.facts: queue.Queue[Fact] = queue.Queue(_FACTS_KEPT)
        self.oversized = self.overflowed = 0
        self._settings, self._credential = settings, credential
        self._events = f"{settings.topic_prefix}/events"
        self._available = f"{settings.topic_prefix}/available"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._tell(Offline())
        self._client.on_message = self._on_message

    def start(self) -> None:
        credential = self._credential
        if credential and credential.refused:
            self._tell(Offline(refused=True))
            return
        if credential:
            self._client.username_pw_set(credential.username, credential.password.get_secret_value())
        self._client.connect_async(self._settings.mqtt_host, self._settings.mqtt_port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(self._events, 1), (self._available, 1)])
            self._tell(Online())
        elif str(reason) in _REFUSED:
            if self._credential:
                self._credential.refuse()
            client.disconnect()  # ends paho's own trying again
            self._tell(Offline(refused=True))

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._available:
            self._tell(Online() if message.payload == b"online" else Offline())
        elif len(message.payload) > MAX_PAYLOAD_BYTES:
            self.oversized += 1
        else:
            self._tell(Told(bytes(message.payload)))

    def _tell(self, fact: Fact) -> None:
        try:
            self.facts.put_nowait(fact)
        except queue.Full:
            self.overflowed += 1
