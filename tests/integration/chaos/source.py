"""An agent without its eyes: makes events, and runs the real outbox, publisher and MQTT client.

`python -m tests.integration.chaos.source HOME LEDGER`. The conductor speaks to it through files beside
the ledger: `clock` (how wrong the wall clock is, in seconds, and which boot this is), and `quiet`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import random
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from uuid6 import uuid7

from agent.uplink import identity
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from shared.clock import SystemClock
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Heartbeat, Kind, Phase, Thumbnail
from tests.integration.chaos.ledger import LedgerWriter
from tests.station import JPEG

_HEARTBEAT_S = 1.0
_BUDGET_BYTES = 2_500_000  # below the home's disk: both ends of `_make_room` are reached
_LINE = Line(window_bytes=64 * 1024)


class WrongClock(SystemClock):
    """The wall clock as far off as the conductor says; monotonic time is left alone, as in life."""

    def __init__(self, said: Path) -> None:
        self._said = said

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.read()[0])

    def read(self) -> tuple[float, str]:
        """Return how far off it is, and the boot."""
        try:
            offset_s, boot = self._said.read_text().split()
        except (OSError, ValueError):
            return 0.0, "first"
        return float(offset_s), boot


class Source:
    """Makes the lives of objects, one message at a time."""

    def __init__(self, home: Path, ledger: Path, rate: float) -> None:
        self._ledger, self._rate = LedgerWriter(ledger), rate
        self._clock = WrongClock(ledger.with_name("clock"))
        self._quiet = ledger.with_name("quiet")
        self._chance = random.Random(os.urandom(8))  # what is made need not repeat; the faults do
        self._pictures = 0
        self._sign = identity.Signer(ours := identity.load_here(home))
        self._site = ours.site
        speaker = Speaker(self._site, uuid7, self._signed)
        self._outbox = Outbox(home / "outbox.db", speaker, budget_bytes=_BUDGET_BYTES)
        wire = MqttWire(ours, self._clock, self._outbox.arrived)
        self._publisher = Publisher(
            self._outbox, wire, self._clock, line=_LINE, heartbeat=(self._beat, _HEARTBEAT_S)
        )

    def run(self, stop: threading.Event) -> None:
        self._publisher.start()
        lives = self._lives()
        told = ""
        while not stop.wait(self._chance.expovariate(self._rate)):
            offset_s, boot = self._clock.read()
            if boot != told and not offset_s:
                now = self._clock.now()
                if self._outbox.put_boot(boot, now - timedelta(seconds=self._clock.monotonic()), now):
                    told = boot
            if not self._quiet.exists():
                self._make(*next(lives))
        self._publisher.stop()
        self._outbox.close()

    def _lives(self) -> itertools.chain[tuple[UUID, int, Phase, datetime]]:
        return itertools.chain.from_iterable(self._life() for _ in itertools.count())

    def _life(self) -> list[tuple[UUID, int, Phase, datetime]]:
        event_id, updates = uuid7(), self._chance.randint(0, 2)
        phases = [Phase.START, *[Phase.UPDATE] * updates, Phase.END]
        began = self._clock.now()
        return [(event_id, revision, phase, began) for revision, phase in enumerate(phases)]

    def _make(self, event_id: UUID, revision: int, phase: Phase, began: datetime) -> None:
        picture = self._picture() if phase is not Phase.END else None
        event = self._event(event_id, revision, phase, (began, picture))
        self._ledger.note(what="begun", id=str(event.id))
        kept = self._outbox.put(event, picture)
        self._ledger.note(
            last=True,
            what="made",
            id=str(event.id),
            event_id=str(event_id),
            instance=kept.chain.instance if kept.chain else "",
            sequence=kept.sequence,
            picture=event.thumbnail.sha256 if event.thumbnail else None,
        )

    def _event(
        self, event_id: UUID, revision: int, phase: Phase, seen: tuple[datetime, bytes | None]
    ) -> DetectionEvent:
        (began, picture), now = seen, self._clock.now()
        offset_s, boot = self._clock.read()
        quality = ClockQuality.UNSYNCED if offset_s else ClockQuality.SYNCED
        thumbnail = picture and Thumbnail(
            sha256=sha256(picture).hexdigest(), size_bytes=len(picture), width=16, height=16, taken_at=now
        )
        return DetectionEvent(
            id=uuid7(),
            event_id=event_id,
            revision=revision,
            phase=phase,
            site=self._site,
            camera="cong-truoc",
            kind=Kind.PERSON,
            confidence=0.7,
            started_at=min(began, now),  # the clock may have gone back since
            seen_at=now,
            box=Box(0.1, 0.2, 0.1, 0.3),
            thumbnail=thumbnail or None,
            clock=ClockReading(boot_id=boot, monotonic_s=time.monotonic(), quality=quality),
        )

    def _picture(self) -> bytes:
        """A JPEG unlike any other: a comment of random bytes in it."""
        comment = os.urandom(self._chance.randint(4_000, 30_000))
        return JPEG[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + JPEG[2:]

    def _signed(self, body: bytes) -> str:
        """Every number the outbox gives out passes here first."""
        said = json.loads(body)
        self._ledger.note(
            what="signed",
            instance=said["chain"]["instance"],
            sequence=said["sequence"],
            pictures=int("thumbnail" in said),
        )
        return self._sign(body)

    def _beat(self) -> Heartbeat:
        waiting = self._outbox.waiting()
        return Heartbeat(
            site=self._site,
            sent_at=self._clock.now(),
            boot_id=self._clock.read()[1],
            agent_version="chaos",
            uptime_s=self._clock.monotonic(),
            clock_quality=ClockQuality.SYNCED,
            outbox_waiting=waiting.messages,
            outbox_dropped=waiting.dropped,
            instance=waiting.instance,
            sequence_next=waiting.sequence_next,
            sequence_waiting=waiting.sequence_waiting,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--rate", type=float, default=10.0)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s %(args)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Source(asked.home, asked.ledger, asked.rate).run(stop)


if __name__ == "__main__":
    main()
