"""What does one simulated box do? Numbers, chains and signs, keeps until the collector has it, sends again.

What it keeps stands for its disk: a cut takes the connection, never what waits. Its events are real
ones and its pictures have real sizes; there is no camera and no detector, and `waiting` is a dict.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import uuid6

from agent.uplink.window import Window
from shared.messages import (
    Acknowledgement,
    AgentState,
    CameraHealth,
    CameraState,
    CollectorState,
    DetectionEvent,
    Phase,
    Thumbnail,
)
from shared.mqtt5 import Greeting, Will, properties
from shared.topics import COLLECTOR_STATE, Channel, down_ack, down_command, down_configuration, up
from tests.bench.fleet.mqtt5 import Connection, opened
from tests.bench.uplink.lives import path
from tests.station import Papers, Voice, a_heartbeat, a_picture, an_event

WINDOW_BYTES = 64 * 1024  # agent.settings.window_kb
KEEPALIVE_S, WILL_DELAY_S = 60, 30  # agent.uplink.mqtt
RECONNECT_S = (1, 5)  # the first wait, drawn once per process, as agent.uplink.mqtt tells paho to
RECONNECT_MOST_S = 120
UPDATE_AFTER_S, END_AFTER_S = 2.0, 4.0
_POINTS = {Phase.START: 2, Phase.UPDATE: 8, Phase.END: 16}
_CAMERAS = ("cong", "san", "ngo", "sau")


@dataclass(frozen=True, slots=True)
class Said:
    """One message, ready to go as often as it takes."""

    id: UUID
    topic: str
    body: bytes
    beside: bytes
    sequence: int
    made_s: float


@dataclass(slots=True)
class Ledger:
    """What all boxes together made and saw; compared with the archive in the end."""

    bodies: dict[bytes, bytes] = field(default_factory=dict)  # SHA-256 by message id
    pictures: set[bytes] = field(default_factory=set)  # ids of messages that are pictures
    answered_s: list[float] = field(default_factory=list)  # from made to acknowledged, since last emptied
    refused: list[str] = field(default_factory=list)
    sent_again: int = 0
    sent_away: list[str] = field(default_factory=list)


class House:
    """One site; everything happens in the loop's thread."""

    def __init__(self, papers: Papers, port: int, pictures: Sequence[bytes], ledger: Ledger) -> None:
        self.site, self._port, self._pictures, self._ledger = papers.site, port, pictures, ledger
        self._tls = _context(papers)
        self._voice = Voice(papers.private_key())
        self.waiting: dict[UUID, Said] = {}
        self._line: deque[UUID] = deque()  # of those waiting, what is not on the wire
        self._window = Window(WINDOW_BYTES)
        self._connection: Connection | None = None
        self._collector_there = False
        self._wanted = asyncio.Event()
        self._gone = asyncio.Event()
        self._session = ""
        self._first_wait_s = random.randint(*RECONNECT_S)
        self.connected_at_s: float | None = None

    async def live(self) -> None:
        """Come back whenever the line is lost, until cancelled; waits as paho does for the agent."""
        loop, wait_s = asyncio.get_running_loop(), 0.0
        while True:
            await asyncio.sleep(wait_s)
            await self._wanted.wait()
            wait_s = min(wait_s * 2, RECONNECT_MOST_S) if wait_s else self._first_wait_s
            self._session = f"{loop.time():.6f}"
            self._gone.clear()
            try:
                async with asyncio.timeout(10):
                    self._connection = await opened(self._port, self._tls, self._greeting(), self)
            except (OSError, TimeoutError):
                continue
            await self._gone.wait()
            wait_s = self._first_wait_s if self.connected_at_s is not None else wait_s
            self.connected_at_s = None

    def plug_in(self) -> None:
        self._wanted.set()

    def cut(self) -> None:
        """The line goes; the box goes on seeing and keeping."""
        self._wanted.clear()
        if self._connection:
            self._connection.cut()

    def leave(self) -> None:
        self._wanted.clear()
        if self._connection:
            self._connection.close()

    # ---- seeing ----------------------------------------------------------------------------------

    def sees(self) -> None:
        """An object passes: start with its picture now, an update and an end later."""
        loop = asyncio.get_running_loop()
        picture = a_picture(random.getrandbits(62), random.choice(self._pictures))
        began = an_event(self.site, camera=random.choice(_CAMERAS), thumbnail=_announced(picture))
        self._keep_event(began, Phase.START)
        self._keep_picture(picture, began.event_id)
        loop.call_later(UPDATE_AFTER_S, self._keep_event, began, Phase.UPDATE)
        loop.call_later(END_AFTER_S, self._keep_event, began, Phase.END)

    def _keep_event(self, began: DetectionEvent, phase: Phase) -> None:
        revision = list(Phase).index(phase)
        known: dict[str, object] = {"phase": phase, "revision": revision, "path": path(_POINTS[phase])}
        if revision:
            known |= {"id": uuid6.uuid7(), "seen_at": datetime.now(UTC)}
        event = began.model_copy(update=known)
        body, named = self._voice.said(event)
        self._voice.forget(event.id)
        self._keep(Channel.EVENT, event.id, body, properties(event.id.bytes, named=named))

    def _keep_picture(self, picture: bytes, event_id: UUID) -> None:
        given = uuid6.uuid7()
        named = self._voice.number() | {
            "id": str(given),
            "event_id": str(event_id),
            "sha256": sha256(picture).hexdigest(),
        }
        self._ledger.pictures.add(given.bytes)
        self._keep(Channel.THUMBNAIL, given, picture, properties(given.bytes, "image/jpeg", named))

    def _keep(self, channel: Channel, given: UUID, body: bytes, beside: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        self.waiting[given] = Said(given, up(self.site, channel), body, beside, self._voice.sequence, now_s)
        self._ledger.bodies[given.bytes] = sha256(body).digest()
        self._line.append(given)
        self._send()

    # ---- speaking --------------------------------------------------------------------------------

    def beat(self) -> None:
        """Say that it is there, if it can."""
        if self._connection is None or self.connected_at_s is None:
            return
        now = datetime.now(UTC)
        cameras = tuple(
            CameraHealth(camera=name, state=CameraState.OK, frame_age_s=0.2, fps=10.0) for name in _CAMERAS
        )
        following = self._voice.sequence + 1
        oldest = next((said.sequence for said in self.waiting.values()), following)
        facts = {
            "cameras": cameras,
            "instance": self._voice.instance,
            "outbox_waiting": len(self.waiting),
            "sequence_next": following,
            "sequence_waiting": oldest,
        }
        heartbeat = a_heartbeat(self.site, now).model_copy(update=facts)
        body = heartbeat.model_dump_json(exclude_none=True).encode()
        self._connection.publish(up(self.site, Channel.HEARTBEAT), body, properties(expiry_s=180), qos=0)

    def tend(self, now_s: float) -> None:
        """Take back what got no answer in time; keep the connection alive."""
        if self._connection is None or self.connected_at_s is None:
            return
        before = self._window.ids
        if self._window.expire(now_s):
            late = before - self._window.ids
            self._ledger.sent_again += len(late)
            self._line.extendleft(one for one in late if one in self.waiting)
            self._send()

    def ping(self) -> None:
        if self._connection and self.connected_at_s is not None:
            self._connection.ping()

    def _send(self) -> None:
        if self._connection is None or not self._collector_there:
            return
        now_s = asyncio.get_running_loop().time()
        while self._line and (said := self.waiting.get(self._line[0])):
            size = len(said.body)
            if size > self._window.room_bytes and self._window.ids:
                return
            self._line.popleft()
            self._window.sent(said.id, size, now_s)
            self._connection.publish(said.topic, said.body, said.beside)

    def _forget_wire(self) -> None:
        self._window.forget()
        self._line = deque(self.waiting)

    def _greeting(self) -> Greeting:
        will = Will(up(self.site, Channel.STATE), self._state(online=False), WILL_DELAY_S)
        return Greeting(self.site, KEEPALIVE_S, will)

    def _state(self, *, online: bool) -> bytes:
        state = AgentState(online=online, session=self._session, at=datetime.now(UTC))
        return state.model_dump_json().encode()

    # ---- hearing ---------------------------------------------------------------------------------

    def connected(self) -> None:
        assert self._connection
        site = self.site
        self._connection.subscribe(
            (down_ack(site), COLLECTOR_STATE, down_configuration(site), down_command(site))
        )
        self._connection.publish(up(site, Channel.STATE), self._state(online=True), retain=True)
        self._forget_wire()

    def subscribed(self) -> None:
        self.connected_at_s = asyncio.get_running_loop().time()

    def heard(self, topic: str, payload: bytes, packet_id: int) -> None:
        assert self._connection
        if packet_id:
            self._connection.confirm((packet_id,))
        if topic == COLLECTOR_STATE:
            self._collector_there = CollectorState.model_validate_json(payload).online
            if self._collector_there:
                self._forget_wire()
        elif topic == down_ack(self.site):
            self._settle(Acknowledgement.model_validate_json(payload))
        self._send()

    def answered(self, packet_id: int, code: int) -> None:
        """The broker's word deletes nothing; the agent pauses on some codes, here they are only told."""
        if code >= 0x80:
            self._ledger.refused.append(f"puback {code:#x}")

    def lost(self, reason: str) -> None:
        self._connection, self._collector_there = None, False
        self._window.forget()
        self._ledger.sent_away.append(reason)
        self._gone.set()

    def _settle(self, word: Acknowledgement) -> None:
        now_s = asyncio.get_running_loop().time()
        for given in (*word.stored, *word.refused):
            self._window.settled(given)
            if said := self.waiting.pop(given, None):
                self._ledger.answered_s.append(now_s - said.made_s)
        self._ledger.refused += word.refused.values()


def _context(papers: Papers) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(papers.ca)
    context.load_cert_chain(papers.certificate, papers.key)
    return context


def _announced(picture: bytes) -> Thumbnail:
    return Thumbnail(
        sha256=sha256(picture).hexdigest(), size_bytes=len(picture), width=640, height=480,
        taken_at=datetime.now(UTC),
    )  # fmt: skip
