"""How does the station listen? One MQTT connection to its own broker; its callbacks only fill the inbox.

paho runs the callbacks in its network thread. An exception in one would end that thread and leave
`is_connected()` true (paho.mqtt.python #704, #894), so the thread is ours and its end is noticed.
"""

from __future__ import annotations

import logging
import ssl
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.archive.folder import StationFolder
from collector.intake.inbox import Inbox, Letter
from collector.intake.ingest import Delivery
from collector.settings import StationSettings
from shared.clock import Clock
from shared.identity import COLLECTOR
from shared.messages import Acknowledgement, CollectorState
from shared.topics import ALL_UP, COLLECTOR_STATE, down_ack

log = logging.getLogger(__name__)

WINDOW_MESSAGES = 1_000  # unconfirmed messages the broker may have open with us; it honours this
KEEPALIVE_S = 30  # the broker is on this machine: a silent one is a hung one
RECONNECT_S = (1, 5)  # the broker itself is back within 0.1 s
ACKNOWLEDGEMENT_EXPIRY_S = 300  # by then the agent has sent again, and is answered again
STOP_TIMEOUT_S = 5.0


class Subscriber:
    """Owns the client and its thread; `acknowledge`, `confirm` and `keeping` may come from any thread."""

    def __init__(self, folder: StationFolder, settings: StationSettings, inbox: Inbox, clock: Clock) -> None:
        self._settings, self._inbox, self._clock = settings, inbox, clock
        self._client = self._new_client(folder)
        self._connection = 0
        self._is_keeping = True
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self.subscribed = threading.Event()

    def start(self) -> None:
        bind = self._settings.bind
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 -- compared, not bound
        properties = Properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = WINDOW_MESSAGES
        self._client.connect_async(
            host, self._settings.broker_port, KEEPALIVE_S, clean_start=True, properties=properties
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the connection once everything said so far is out."""
        self._client.disconnect()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def acknowledge(self, site: str, acknowledgement: Acknowledgement) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = ACKNOWLEDGEMENT_EXPIRY_S
        self._client.publish(down_ack(site), acknowledgement.model_dump_json(), qos=1, properties=properties)

    def tell(self, topic: str, body: bytes, expiry_s: int, timeout_s: float) -> bool:
        """Give the broker something for a site; True once it has it."""
        if not self.subscribed.is_set():
            return False
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = expiry_s
        return self._given(self._client.publish(topic, body, qos=1, properties=properties), timeout_s)

    def lay(self, topic: str, body: bytes, timeout_s: float) -> bool:
        """Leave something with the broker for a site to find, whenever it comes; True once it lies there."""
        if not self.subscribed.is_set():
            return False
        return self._given(self._client.publish(topic, body, qos=1, retain=True), timeout_s)

    @property
    def connection(self) -> int:
        """Which connection this is, counted from 1: what an earlier broker held may be gone."""
        return self._connection

    @staticmethod
    def _given(said: mqtt.MQTTMessageInfo, timeout_s: float) -> bool:
        if said.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        said.wait_for_publish(timeout_s)
        return said.is_published()

    def confirm(self, letter: Letter) -> None:
        """Give the broker its packet id back, unless it belongs to a connection that is gone."""
        if letter.qos and letter.connection == self._connection:
            self._client.ack(letter.mid, letter.qos)

    def keeping(self, *, is_keeping: bool) -> None:
        """Tell all agents whether what they send is kept; they wait while it is not."""
        self._is_keeping = is_keeping
        if self.subscribed.is_set():
            self._client.publish(COLLECTOR_STATE, self._state(online=is_keeping), qos=1, retain=True)

    def _run(self) -> None:
        try:
            self._client.loop_forever(retry_first_connection=True)
        except Exception:  # the thread's loop: the service sees it dead and ends, systemd starts it anew
            log.exception("subscriber ended")

    def _new_client(self, folder: StationFolder) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=COLLECTOR, protocol=mqtt.MQTTv5, manual_ack=True
        )
        context = ssl.create_default_context(cafile=folder.ca_certificate)
        context.load_cert_chain(folder.collector_certificate, folder.collector_key)
        client.tls_set_context(context)
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_inflight_messages_set(WINDOW_MESSAGES)
        client.will_set(COLLECTOR_STATE, self._state(online=False), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        # With this set, paho writes in its own thread only. Without, whoever confirms or acknowledges writes
        # too, and two threads in one TLS connection break it: "bad record mac", under load, for all sites.
        client.on_socket_register_write = lambda *_: None
        return client

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            log.warning("broker refuses the collector", extra={"reason": str(reason)})
            return
        self._connection += 1
        client.subscribe(ALL_UP, qos=1)  # on every connection: a clean start remembers nothing

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("broker refuses the subscription")
            return
        self.subscribed.set()
        log.info("listening", extra={"connection": self._connection})
        self.keeping(is_keeping=self._is_keeping)

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.subscribed.clear()
        if reason.is_failure:
            log.warning("broker lost", extra={"reason": str(reason)})

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        try:
            letter = Letter(self._delivery(message), message.mid, message.qos, self._connection)
        except Exception:  # part of the thread's loop: one message must not end the connection for all
            log.exception("a message nobody can read")
            return
        if not self._inbox.put(letter):
            # Confirmed but not acknowledged: the broker's window stays open, the agent sends it again.
            log.warning("inbox full, message turned away", extra={"count": self._inbox.turned_away})
            self.confirm(letter)

    def _delivery(self, message: mqtt.MQTTMessage) -> Delivery:
        properties = message.properties
        return Delivery(
            topic=message.topic,
            payload=bytes(message.payload),
            received_at=self._clock.now(),
            correlation=getattr(properties, "CorrelationData", None),
            content_type=getattr(properties, "ContentType", None),
            properties=dict(getattr(properties, "UserProperty", ())),
        )

    def _state(self, *, online: bool) -> str:
        return CollectorState(online=online, wishes=self._settings.wishes).model_dump_json()
