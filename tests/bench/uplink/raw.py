"""The floor of the rate bench: one end of a bare broker, in a process of its own.

`python -m tests.bench.uplink.raw send|take PORT CA CERTIFICATE KEY SITE COUNT PICTURES`. The sender says the
same bytes with the same properties as the agent would, with at most WINDOW of them not confirmed by the
broker; the taker confirms what comes and writes when it came. Nothing is checked, nothing is kept.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from hashlib import sha256
from pathlib import Path

import uuid6

from shared.mqtt5 import Greeting, properties
from shared.topics import ALL_UP, Channel, up
from tests.bench.fleet import pictures
from tests.bench.fleet.mqtt5 import Connection, opened
from tests.station import Papers, Voice, a_picture, an_event, announced

WINDOW = 50  # messages; as in the measurement the goal was set by
TAKER_WINDOW = 1_000  # collector.intake.subscriber
Message = tuple[str, bytes, bytes]


def messages(papers: Papers, count: int, *, with_pictures: bool) -> list[Message]:
    voice, some = Voice(papers.private_key()), pictures.some() if with_pictures else []
    made: list[Message] = []
    for number in range(count):
        picture = a_picture(number, some[number % len(some)]) if some else b""
        event = an_event(papers.site, thumbnail=announced(picture, 640, 480) if picture else None)
        body, named = voice.said(event)
        made.append((up(papers.site, Channel.EVENT), body, properties(event.id.bytes, named=named)))
        if picture:
            given = uuid6.uuid7()
            named = voice.number() | {"id": str(given), "event_id": str(event.event_id)}
            named["sha256"] = sha256(picture).hexdigest()
            beside = properties(given.bytes, "image/jpeg", named)
            made.append((up(papers.site, Channel.THUMBNAIL), picture, beside))
    return made


class End:
    """Either end's ears."""

    def __init__(self, count: int) -> None:
        self.ready, self.done = asyncio.Event(), asyncio.Event()
        self.connection: Connection | None = None
        self.came: list[tuple[float, int]] = []
        self._count, self._left = count, count
        self.queue: list[Message] = []
        self.open = 0
        self._to_confirm: list[int] = []

    def connected(self) -> None:
        self.ready.set()

    def subscribed(self) -> None:
        self.ready.set()

    def lost(self, reason: str) -> None:
        if self._left:
            raise SystemExit(reason)

    def heard(self, topic: str, payload: bytes, packet_id: int) -> None:
        if not self._to_confirm:
            asyncio.get_running_loop().call_soon(self._confirm)
        self._to_confirm.append(packet_id)

    def _confirm(self) -> None:
        assert self.connection
        self.connection.confirm(self._to_confirm)
        self.came.append((time.monotonic(), len(self._to_confirm)))
        self._less(len(self._to_confirm))
        self._to_confirm.clear()

    def answered(self, packet_id: int, code: int) -> None:
        assert code < 0x80, hex(code)
        self.open -= 1
        self.send()
        self._less(1)

    def send(self) -> None:
        assert self.connection
        while self.queue and self.open < WINDOW:
            self.connection.publish(*self.queue.pop())
            self.open += 1

    def _less(self, count: int) -> None:
        self._left -= count
        if self._left <= 0:
            self.done.set()


async def run(role: str, port: int, papers: Papers, count: int, *, with_pictures: bool) -> None:
    end = End(count)
    context = ssl.create_default_context(cafile=papers.ca)
    context.load_cert_chain(papers.certificate, papers.key)
    if role == "send":
        end.queue = messages(papers, count // (2 if with_pictures else 1), with_pictures=with_pictures)[::-1]
    end.connection = await opened(port, context, Greeting(papers.site, receive_maximum=TAKER_WINDOW), end)
    await end.ready.wait()
    if role == "take":
        end.ready.clear()
        end.connection.subscribe((ALL_UP,))
        await end.ready.wait()
    print("READY", flush=True)
    began_cpu_s = time.process_time()
    if role == "send":
        await asyncio.to_thread(sys.stdin.readline)
        end.send()
    await end.done.wait()
    print(json.dumps({"gone": end.came, "cpu_s": time.process_time() - began_cpu_s}), flush=True)
    end.connection.close()
    await asyncio.sleep(0.1)


def main() -> None:
    role, port, ca, certificate, key, site, count, with_pictures = sys.argv[1:]
    papers = Papers(site, Path(certificate), Path(key), Path(ca))
    asyncio.run(run(role, int(port), papers, int(count), with_pictures=with_pictures == "1"))


if __name__ == "__main__":
    main()
