"""The lean ends of the rate bench, each a process of its own.

`python -m tests.bench.uplink.raw send|take|keep PORT CA CERTIFICATE KEY SITE EVENTS MESSAGES`, so many
messages of each event (`lives`). All say the same bytes and properties as the agent would. `send` and `take`
are the floor: two ends of a bare broker, at most WINDOW of each sender's messages not confirmed by it; the
taker confirms what comes and writes when it came. `keep` is one of many boxes before a station: done with a
message when the collector says it is kept.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import uuid6

from shared.messages import Acknowledgement
from shared.mqtt5 import Greeting, properties
from shared.topics import ALL_UP, Channel, down_ack, up
from tests.bench.fleet.mqtt5 import Connection, opened
from tests.bench.uplink.lives import lives
from tests.station import Papers, Voice

WINDOW = 50  # messages; as in the measurement the goal was set by
KEEP_WINDOW_BYTES = 1_000_000  # what sixteen boxes have open, each with `agent.settings.window_kb`
TAKER_WINDOW = 1_000  # collector.intake.subscriber
KEEPALIVE_S = 300  # the broker's most: an end that is ready waits for the others, and nobody pings
Message = tuple[UUID, str, bytes, bytes]


def messages(papers: Papers, events: int, of_each: int) -> list[Message]:
    voice, made = Voice(papers.private_key()), []
    for event, picture in lives(papers.site, events, of_each):
        body, named = voice.said(event)
        beside = properties(event.id.bytes, named=named)
        made.append((event.id, up(papers.site, Channel.EVENT), body, beside))
        if picture:
            given = uuid6.uuid7()
            named = voice.number() | {"id": str(given), "event_id": str(event.event_id)}
            named["sha256"] = sha256(picture).hexdigest()
            beside = properties(given.bytes, "image/jpeg", named)
            made.append((given, up(papers.site, Channel.THUMBNAIL), picture, beside))
    return made


class End:
    """What both ends have: a connection, and how much is left."""

    def __init__(self, count: int) -> None:
        self.ready, self.done = asyncio.Event(), asyncio.Event()
        self.connection: Connection | None = None
        self.came: list[tuple[float, int]] = []
        self._left = count

    def connected(self) -> None:
        self.ready.set()

    def subscribed(self) -> None:
        self.ready.set()

    def lost(self, reason: str) -> None:
        if self._left > 0:
            raise SystemExit(f"{reason}: {self._left} messages left")

    def heard(self, topic: str, payload: bytes, packet_id: int) -> None:
        raise NotImplementedError

    def answered(self, packet_id: int, code: int) -> None:
        assert code < 0x80, hex(code)

    def gone(self, count: int) -> None:
        self.came.append((time.monotonic(), count))
        self._left -= count
        if self._left <= 0:
            self.done.set()


class Taker(End):
    """Confirms what comes, all of one reading at once."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._to_confirm: list[int] = []

    def heard(self, topic: str, payload: bytes, packet_id: int) -> None:
        if not self._to_confirm:
            asyncio.get_running_loop().call_soon(self._confirm)
        self._to_confirm.append(packet_id)

    def _confirm(self) -> None:
        assert self.connection
        self.connection.confirm(self._to_confirm)
        self.gone(len(self._to_confirm))
        self._to_confirm.clear()


class Sender(End):
    """Says its queue, the broker's word is enough."""

    def __init__(self, queue: list[Message]) -> None:
        super().__init__(len(queue))
        self.queue = queue
        self._unanswered = 0

    def answered(self, packet_id: int, code: int) -> None:
        super().answered(packet_id, code)
        self._unanswered -= 1
        self.send()
        self.settled()

    def settled(self) -> None:
        self.gone(1)

    def send(self) -> None:
        while self.queue and self.may_say():
            self.say(self.queue.pop())

    def may_say(self) -> bool:
        return self._unanswered < WINDOW

    def say(self, message: Message) -> None:
        assert self.connection
        self.connection.publish(*message[1:])
        self._unanswered += 1


class Keeper(Sender):
    """Says its queue; only the collector's word counts."""

    def __init__(self, queue: list[Message]) -> None:
        super().__init__(queue)
        self._open: dict[UUID, int] = {}
        self._bytes = 0

    def heard(self, topic: str, payload: bytes, packet_id: int) -> None:
        assert self.connection
        self.connection.confirm((packet_id,))
        word = Acknowledgement.model_validate_json(payload)
        assert not word.refused, word.refused
        sizes = [self._open.pop(given) for given in word.stored]
        self._bytes -= sum(sizes)
        self.send()
        self.gone(len(sizes))

    def settled(self) -> None:
        """The broker's word is not enough."""

    def may_say(self) -> bool:
        return super().may_say() and self._bytes < KEEP_WINDOW_BYTES

    def say(self, message: Message) -> None:
        super().say(message)
        self._open[message[0]] = len(message[2])
        self._bytes += len(message[2])


async def run(role: str, port: int, papers: Papers, events: int, of_each: int) -> None:
    end: Taker | Sender = Taker(events * of_each)
    if role != "take":
        queue = messages(papers, events, of_each)[::-1]
        end = Sender(queue) if role == "send" else Keeper(queue)
    greeting = Greeting(papers.site, KEEPALIVE_S, receive_maximum=TAKER_WINDOW)
    end.connection = await opened(port, papers.context(), greeting, end)
    await end.ready.wait()
    if role != "send":
        end.ready.clear()
        end.connection.subscribe((ALL_UP if role == "take" else down_ack(papers.site),))
        await end.ready.wait()
    print("READY", flush=True)
    began_cpu_s = time.process_time()
    if isinstance(end, Sender):
        await asyncio.to_thread(sys.stdin.readline)
        end.send()
    await end.done.wait()
    print(json.dumps({"gone": end.came, "cpu_s": time.process_time() - began_cpu_s}), flush=True)
    end.connection.close()
    await asyncio.sleep(0.1)


def main() -> None:
    role, port, ca, certificate, key, site, events, of_each = sys.argv[1:]
    papers = Papers(site, Path(certificate), Path(key), Path(ca))
    asyncio.run(run(role, int(port), papers, int(events), int(of_each)))


if __name__ == "__main__":
    main()
