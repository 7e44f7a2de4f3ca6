"""How does the station listen? One MQTT connection to its own broker; what comes in only fills the inbox.

The line's thread is ours: an exception in it is noticed, not swallowed with the connection left open.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterable

from collector.archive.folder import StationFolder
from collector.intake.inbox import Inbox, Letter
from collector.intake.ingest import Delivery
from collector.intake.line import Line, Way
from collector.settings import StationSettings
from shared.clock import Clock
from shared.identity import COLLECTOR
from shared.messages import Acknowledgement, CollectorState
from shared.mqtt5 import GOOD, Greeting, Heard, MalformedError, Will, properties, read_properties
from shared.topics import ALL_UP, COLLECTOR_STATE, down_ack

log = logging.getLogger(__name__)

WINDOW_MESSAGES = 1_000  # unconfirmed messages the broker may have open with us; it honours this
KEEPALIVE_S = 30  # the broker is on this machine: a silent one is a hung one
RECONNECT_S = (1, 5)  # the broker itself is back within 0.1 s
ACKNOWLEDGEMENT_EXPIRY_S = 300  # by then the agent has sent again, and is answered again
STOP_TIMEOUT_S = 5.0


class Subscriber:
    """Owns the line and its thread; `acknowledge`, `confirm` and `keeping` may come from any thread."""

    def __init__(self, folder: StationFolder, settings: StationSettings, inbox: Inbox, clock: Clock) -> None:
        self._settings, self._inbox, self._clock = settings, inbox, clock
        will = Will(COLLECTOR_STATE, self._state(online=False))
        greeting = Greeting(COLLECTOR, KEEPALIVE_S, will, WINDOW_MESSAGES)
        self._line = Line(_way(folder, settings), greeting, self)
        self._is_keeping = True
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self.listening = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the connection once everything said so far is out."""
        self._line.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def acknowledge(self, site: str, acknowledgement: Acknowledgement) -> None:
        beside = properties(expiry_s=ACKNOWLEDGEMENT_EXPIRY_S)
        self._line.publish(down_ack(site), acknowledgement.model_dump_json().encode(), beside)

    def tell(self, topic: str, body: bytes, expiry_s: int, timeout_s: float) -> bool:
        """Give the broker something for a site; True once it has it."""
        told = threading.Event()
        went = self.listening.is_set() and self._line.publish(
            topic, body, properties(expiry_s=expiry_s), told=told
        )
        return went and told.wait(timeout_s)

    def lay(self, topic: str, body: bytes, timeout_s: float) -> bool:
        """Leave something with the broker for a site to find, whenever it comes; True once it lies there."""
        told = threading.Event()
        went = self.listening.is_set() and self._line.publish(topic, body, retain=True, told=told)
        return went and told.wait(timeout_s)

    @property
    def connection(self) -> int:
        """Which connection this is, counted from 1: what an earlier broker held may be gone."""
        return self._line.connection

    def confirm(self, letters: Iterable[Letter]) -> None:
        """Give the broker its packet ids back, unless they belong to a connection that is gone."""
        numbers: dict[int, list[int]] = {}
        for letter in letters:
            if letter.packet_id:
                numbers.setdefault(letter.connection, []).append(letter.packet_id)
        for connection, packet_ids in numbers.items():
            self._line.confirm(packet_ids, connection)

    def keeping(self, *, is_keeping: bool) -> None:
        """Tell all agents whether what they send is kept; they wait while it is not."""
        self._is_keeping = is_keeping
        if self.listening.is_set():
            self._line.publish(COLLECTOR_STATE, self._state(online=is_keeping), retain=True)

    # ---- what the line tells and asks, in its own thread -----------------------------------------------

    @property
    def may_hear(self) -> bool:
        return not self._inbox.is_filling

    def connected(self) -> None:
        self._line.subscribe((ALL_UP,))  # on every connection: a clean start remembers nothing

    def subscribed(self, codes: bytes) -> None:
        if any(code >= GOOD for code in codes):
            log.error("broker refuses the subscription")
            return
        self.listening.set()
        log.info("listening", extra={"connection": self.connection})
        self.keeping(is_keeping=self._is_keeping)

    def lost(self, reason: str) -> None:
        self.listening.clear()
        log.warning("broker lost", extra={"reason": reason})

    def heard(self, message: Heard) -> None:
        try:
            letter = Letter(self._delivery(message), message.packet_id, self.connection)
        except MalformedError:  # the broker reads it before us: it is no site that can send this
            log.exception("a message nobody can read")
            if message.packet_id:
                self._line.confirm((message.packet_id,), self.connection)
            return
        if not self._inbox.put(letter):
            # Confirmed but not acknowledged: the broker's window stays open, the agent sends it again.
            log.warning("inbox full, message turned away", extra={"count": self._inbox.turned_away})
            self.confirm((letter,))

    def _run(self) -> None:
        try:
            self._line.run()
        except Exception:  # the thread's loop: the service sees it dead and ends, systemd starts it anew
            log.exception("subscriber ended")

    def _delivery(self, message: Heard) -> Delivery:
        beside = read_properties(message.beside)
        return Delivery(
            topic=message.topic,
            payload=message.payload,
            received_at=self._clock.now(),
            correlation=beside.correlation,
            content_type=beside.content_type,
            properties=beside.named,
        )

    def _state(self, *, online: bool) -> bytes:
        return CollectorState(online=online, wishes=self._settings.wishes).model_dump_json().encode()


def _way(folder: StationFolder, settings: StationSettings) -> Way:
    context = ssl.create_default_context(cafile=folder.ca_certificate)
    context.load_cert_chain(folder.collector_certificate, folder.collector_key)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind, settings.bind)  # noqa: S104 -- compared, not bound
    return Way(host, settings.broker_port, context, RECONNECT_S)
