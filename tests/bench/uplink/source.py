"""One box of the rate bench, a process of its own: the agent's outbox, publisher and MQTT client, unchanged.

`python -m tests.bench.uplink.source HOME EVENTS MESSAGES WINDOW_KB`: fills its outbox, connects, says READY,
waits for a line on its input, sends, and writes when which messages were deleted from the outbox.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from uuid6 import uuid7

from agent.uplink import identity
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from shared.clock import SystemClock
from tests.bench.uplink.lives import lives


class TimedOutbox(Outbox):
    """Notes when rows go."""

    def __init__(self, path: Path, speaker: Speaker) -> None:
        super().__init__(path, speaker)
        self.gone: list[tuple[float, int]] = []

    def acknowledged(self, ids: Iterable[UUID]) -> int:
        count = super().acknowledged(ids)
        self.gone.append((time.monotonic(), count))
        return count


def fill(outbox: Outbox, site: str, events: int, of_each: int) -> None:
    """Put real events; only here the disk is not waited for."""
    outbox._db.execute("PRAGMA synchronous=OFF")
    for event, picture in lives(site, events, of_each):
        outbox.put(event, picture)
    outbox._db.execute("PRAGMA synchronous=FULL")


def main() -> None:
    home, events, of_each, window_kb = Path(sys.argv[1]), *map(int, sys.argv[2:])
    ours, clock = identity.load(home), SystemClock()
    outbox = TimedOutbox(home / "outbox.db", Speaker(ours.site, uuid7, identity.Signer(ours)))
    fill(outbox, ours.site, events, of_each)
    wire = MqttWire(ours, clock, outbox.arrived)
    publisher = Publisher(outbox, wire, clock, line=Line(window_kb * 1024))
    print("READY", flush=True)
    sys.stdin.readline()
    began_cpu_s = time.process_time()
    publisher.start()
    while outbox.waiting().messages:
        time.sleep(0.05)
    publisher.stop()
    used = time.process_time() - began_cpu_s
    print(json.dumps({"gone": outbox.gone, "cpu_s": used, "at": str(datetime.now(UTC))}), flush=True)
    outbox.close()


if __name__ == "__main__":
    main()
