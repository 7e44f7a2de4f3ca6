"""How do thousands of boxes speak from one process? The MQTT of `shared.mqtt5`, on asyncio.

Nothing is repeated here: who sends also decides what to send again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Protocol

from shared import mqtt5
from shared.mqtt5 import Answered, Connected, Greeting, Heard, Reader, SentAway, Subscribed


class Ears(Protocol):
    """Who is told; never from another thread than the loop's."""

    def connected(self) -> None: ...
    def subscribed(self) -> None: ...
    def heard(self, topic: str, payload: bytes, packet_id: int) -> None: ...
    def answered(self, packet_id: int, code: int) -> None: ...
    def lost(self, reason: str) -> None: ...


class Connection(asyncio.Protocol):
    """One connection, from `opened` until `lost`."""

    def __init__(self, greeting: Greeting, ears: Ears) -> None:
        self._greeting, self._ears = greeting, ears
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._packet_id = 0
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(mqtt5.connect(self._greeting))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ears.lost(self._reason or repr(exc))

    def data_received(self, data: bytes) -> None:
        for packet in self._reader.feed(data):
            self._learn(packet)

    def subscribe(self, topics: Iterable[str]) -> None:
        self._write(mqtt5.subscribe(self._next_id(), topics))

    def publish(
        self, topic: str, payload: bytes, beside: bytes = b"", *, qos: int = 1, retain: bool = False
    ) -> int:
        """Return the packet id, 0 for QoS 0."""
        packet_id = self._next_id() if qos else 0
        self._write(mqtt5.publish(topic, payload, packet_id, beside, retain=retain))
        return packet_id

    def confirm(self, packet_ids: Iterable[int]) -> None:
        self._write(b"".join(map(mqtt5.confirm, packet_ids)))

    def ping(self) -> None:
        self._write(mqtt5.PING)

    def close(self) -> None:
        """Say goodbye: the broker keeps the will to itself."""
        self._write(mqtt5.FAREWELL)
        if self._transport:
            self._transport.close()

    def cut(self) -> None:
        """As a power cut does it."""
        if self._transport:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % mqtt5.PACKET_IDS + 1
        return self._packet_id

    def _write(self, packet: bytes) -> None:
        if self._transport:
            self._transport.write(packet)

    def _learn(self, packet: mqtt5.Packet) -> None:
        match packet:
            case Heard(topic, payload, packet_id, _):
                self._ears.heard(topic, payload, packet_id)
            case Answered(packet_id, code):
                self._ears.answered(packet_id, code)
            case Connected(code, _):
                if code:
                    self._reason = f"refused {code:#x}"
                    self.cut()
                else:
                    self._ears.connected()
            case Subscribed():
                self._ears.subscribed()
            case SentAway(code):
                self._reason = f"sent away {code:#x}"


async def opened(port: int, context: ssl.SSLContext, greeting: Greeting, ears: Ears) -> Connection:
    """Connect over mutual TLS. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(greeting, ears), "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    return connection
