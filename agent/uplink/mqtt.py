"""The wire in the field: MQTT 5 over mutual TLS, with paho.

paho runs a network thread of its own. Its callbacks only put a fact on the queue: an exception in
one would kill that thread and leave `is_connected()` true (paho.mqtt.python #704, #894).
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.uplink.identity import Identity
from agent.uplink.row import PICTURES, Row
from agent.uplink.wire import Answered, Connected, Disconnected, Fact, Said
from shared.clock import Clock
from shared.messages import AgentState
from shared.topics import COLLECTOR_STATE, Channel, down_ack, down_command, down_configuration, up

_KEEPALIVE_S = 60  # a dead TCP connection is noticed in 1.5 times this
_WILL_DELAY_S = 30  # a router that reboots is not a lost agent
_HEARTBEAT_EXPIRY_S = 180  # three missed ones: an older heartbeat only misleads
_FAREWELL_S = 2.0  # for the last word of a clean stop


class MqttWire:
    """One connection to the station's broker; `woken` is set whenever a fact arrives."""

    def __init__(self, identity: Identity, clock: Clock, woken: threading.Event) -> None:
        self.facts: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self._identity = identity
        self._clock = clock
        self._woken = woken
        self._tls = identity.tls()
        self.proven = False  # that the station let this identity in
        self._session = f"{clock.now():%Y%m%dT%H%M%S.%f}"
        self._client = self._new_client()

    def start(self) -> None:
        self._client.connect_async(
            self._identity.host, self._identity.broker_port, keepalive=_KEEPALIVE_S, clean_start=True
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye in the retained state, so that nobody takes a clean stop for a loss."""
        if self._client.is_connected():
            self._publish_state(online=False).wait_for_publish(timeout=_FAREWELL_S)
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, ours: Identity) -> None:
        """Come back with a new certificate; nothing that waits is lost by it. From any thread."""
        self._tls.load_cert_chain(ours.certificate, ours.key)
        self._identity, self.proven = ours, False
        line = self._client.socket()
        if isinstance(line, socket.socket):
            with contextlib.suppress(OSError):  # it may be going down by itself just now
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # ssl's own would go on in clear

    def send(self, row: Row) -> None:
        self._client.publish(
            up(self._identity.site, row.channel), row.body, qos=1, properties=_properties(row)
        )

    def send_heartbeat(self, body: bytes) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = _HEARTBEAT_EXPIRY_S
        self._client.publish(up(self._identity.site, Channel.HEARTBEAT), body, qos=0, properties=properties)

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._identity.site, protocol=mqtt.MQTTv5)
        client.tls_set_context(self._tls)
        # jitter: three thousand boxes must not come back in the same second
        client.reconnect_delay_set(min_delay=random.randint(1, 5), max_delay=120)  # noqa: S311 -- not a secret
        client.on_socket_open = lambda _c, _u, line: _hurry(line)
        client.on_connect = self._on_connect
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self._tell(Disconnected(str(reason)))
        client.on_connect_fail = lambda _c, _u: self._tell(Disconnected("no answer"))
        client.on_publish = lambda _c, _u, _mid, code, _p: self._tell(Answered(code.value))
        client.on_message = lambda _c, _u, message: self._tell(Said(message.topic, bytes(message.payload)))
        will = Properties(PacketTypes.WILLMESSAGE)
        will.WillDelayInterval = _WILL_DELAY_S
        client.will_set(
            up(self._identity.site, Channel.STATE),
            self._state(online=False),
            qos=1,
            retain=True,
            properties=will,
        )
        return client

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._tell(Disconnected(str(reason)))
            return
        self.proven = True
        once = SubscribeOptions(qos=1)
        site = self._identity.site
        topics = (down_ack(site), COLLECTOR_STATE, down_configuration(site), down_command(site))
        client.subscribe([(topic, once) for topic in topics])
        self._publish_state(online=True)
        self._tell(Connected())

    def _tell(self, fact: Fact) -> None:
        self.facts.put(fact)
        self._woken.set()

    def _state(self, *, online: bool) -> bytes:
        state = AgentState(online=online, session=self._session, at=self._clock.now())
        return state.model_dump_json().encode()

    def _publish_state(self, *, online: bool) -> mqtt.MQTTMessageInfo:
        return self._client.publish(
            up(self._identity.site, Channel.STATE), self._state(online=online), qos=1, retain=True
        )


def _hurry(line: object) -> None:
    """Small packets go at once: held back for company they meet the other end's delayed ACK, 40 ms."""
    if isinstance(line, socket.socket):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _properties(row: Row) -> Properties:
    """The message's id goes beside the body, so that even a body nobody can read is answered by id."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = row.id.bytes
    facts: list[tuple[str, str]] = []
    if row.sequence:
        facts += [("sequence", str(row.sequence)), ("instance", row.instance)]
    if row.signature:
        facts.append(("signature", row.signature))
    if row.channel in PICTURES:
        properties.ContentType = "image/jpeg"
        facts += [("id", str(row.id)), ("event_id", str(row.event_id)), ("sha256", str(row.sha256))]
    if facts:
        properties.UserProperty = facts
    return properties
