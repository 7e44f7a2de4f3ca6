"""A day without a line: what does the station see when it is back, and how soon is the day caught up with?

Run: python -m tests.bench.uplink.outage [--line 128] [--cap 110] [--minutes 5] [--json FILE].
A real station, and the agent's own outbox, publisher and MQTT client behind a line of so many kilobits a
second (`slow_line`). A day of 3,000 events lies in the outbox, each a start with its picture, an update and
an end, and the box goes on seeing 3,000 a day. The line comes back. Measured, all as the station has it:
from the connection until the newest event can be found; how late each heartbeat is, sent every few seconds
here for a percentile that means something; and the payload that left the outbox, against the cap.
Draining the whole day takes hours at this rate: the first minutes are looked at, and what is left is said.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from uuid6 import uuid7

from agent.uplink import identity
from agent.uplink.mqtt import MqttWire
from agent.uplink.outbox import Outbox, Speaker
from agent.uplink.publisher import Line, Publisher
from agent.uplink.wire import Connected, Fact
from collector.archive.folder import StationFolder
from collector.archive.search import Question, Search
from shared.clock import SystemClock
from shared.messages import Heartbeat
from tests.bench.fleet import papers as fleet_papers
from tests.bench.fleet import pictures
from tests.bench.fleet.gauge import share
from tests.bench.uplink.lives import life
from tests.bench.uplink.slow_line import SlowLine
from tests.station import Papers, Station, a_heartbeat, a_picture, wait_until

SITE = "nha-ong-ba"
EVENTS_A_DAY = 3_000
DAY_S = 86_400.0
HEARTBEAT_S = 5.0
KBIT_BYTES = 125.0
NEWEST_GOAL_S, HEARTBEAT_GOAL_S, DRAIN_GOAL = 5.0, 10.0, 0.8


@dataclass(frozen=True, slots=True)
class Found:
    """What the run showed. Seconds; shares of the cap."""

    waiting_mb: float
    connect_s: float  # TCP, TLS and MQTT over the slow line, before anything can be shown
    newest_shown_s: float  # after the connection: the event the box saw last before it
    newest_picture_s: float
    later_shown_p50_s: float  # events seen while the backlog drains, from seen to found
    later_shown_worst_s: float
    heartbeats: int
    heartbeat_p50_s: float
    heartbeat_p99_s: float
    drained_of_cap: float  # payload that left the outbox
    line_of_cap: float  # bytes on the line, TLS and MQTT included
    left_mb: float


class CountingOutbox(Outbox):
    """Knows how many bytes the station has taken off its hands."""

    acknowledged_bytes = 0

    def acknowledged(self, ids: Iterable[UUID]) -> int:
        before = self._size_bytes
        count = super().acknowledged(ids)
        self.acknowledged_bytes += before - self._size_bytes
        return count


class HouseBehind:
    """One box: the agent without its eyes, behind the line."""

    def __init__(self, papers: Papers, home: Path, port: int, cap_bytes_per_s: float) -> None:
        home.mkdir()
        texts = papers.key.read_bytes(), papers.certificate.read_text(), papers.ca.read_text()
        identity.save(home, identity.Papers(papers.site, "localhost", port, *texts))
        ours, clock = identity.load_here(home), SystemClock()
        self.outbox = CountingOutbox(home / "outbox.db", Speaker(SITE, uuid7, identity.Signer(ours)))
        self._pictures = pictures.some()
        self._made = 0
        self.connected_s: list[float] = []
        wire = NotingWire(ours, clock, self.outbox.arrived, self.connected_s)
        self.publisher = Publisher(
            self.outbox,
            wire,
            clock,
            line=Line(64 * 1024, cap_bytes_per_s),
            heartbeat=(self._beat, HEARTBEAT_S),
        )

    def live_through(self, seconds: float) -> None:
        """A day, at once; only here the disk is not waited for."""
        self.outbox._db.execute("PRAGMA synchronous=OFF")
        now, count = datetime.now(UTC), round(EVENTS_A_DAY * seconds / DAY_S)
        for number in range(count):
            self.see(now - timedelta(seconds=seconds * (1 - number / count)))
        self.outbox._db.execute("PRAGMA synchronous=FULL")

    def see(self, at: datetime) -> UUID:
        """Somebody comes and goes; return the event."""
        self._made += 1
        jpeg = a_picture(self._made, self._pictures[self._made % len(self._pictures)])
        for event, picture in life(SITE, at, jpeg, is_whole=True):
            self.outbox.put(event, picture)
        return event.event_id

    def _beat(self) -> Heartbeat:
        waiting = self.outbox.waiting()
        facts = {
            "outbox_waiting": waiting.messages,
            "instance": waiting.instance,
            "sequence_next": waiting.sequence_next,
            "sequence_waiting": waiting.sequence_waiting,
        }
        return a_heartbeat(SITE, datetime.now(UTC)).model_copy(update=facts)


class NotingWire(MqttWire):
    """Notes when the session opened."""

    def __init__(
        self, ours: identity.Identity, clock: SystemClock, woken: threading.Event, at: list[float]
    ) -> None:
        super().__init__(ours, clock, woken)
        self._at = at

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Connected):
            self._at.append(time.monotonic())
        super()._tell(fact)


class Officer:
    """Looks at the station's archive, as its pages do, again and again."""

    def __init__(self, station: Station) -> None:
        self._folder = StationFolder(station.folder)
        self._stop = threading.Event()
        self.shown_s: dict[UUID, float] = {}
        self.pictured_s: dict[UUID, float] = {}
        self.heartbeats_late_s: list[float] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look(self) -> None:
        heard_before = 0
        while not self._stop.wait(0.1):
            with Search.of(self._folder) as search:
                for event in search.page(Question(limit=50)).events:
                    self.shown_s.setdefault(event.event_id, time.monotonic())
                    if event.thumbnail:
                        self.pictured_s.setdefault(event.event_id, time.monotonic())
            uri = f"file:{self._folder.archive_database}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=30)) as archive:
                row = archive.execute("SELECT heard_us, clock_skew_s FROM agents WHERE heard_us").fetchone()
            if row and row[0] != heard_before:
                heard_before = row[0]
                self.heartbeats_late_s.append(-row[1])


@dataclass(frozen=True, slots=True)
class Mark:
    """How far it was at one moment."""

    at_s: float
    acknowledged_bytes: int
    passed_bytes: int


def run(folder: Path, line_kbps: float, cap_kbps: float, minutes: float) -> Found:
    station = Station(folder / "station", start=False)
    (papers,) = fleet_papers.issue(station.folder, [SITE], folder / "papers")
    cap_bytes_per_s = cap_kbps * KBIT_BYTES
    with station, SlowLine(station.broker_port, line_kbps * KBIT_BYTES) as line:
        station.start()
        house = HouseBehind(papers, folder / "home", line.port, cap_bytes_per_s)
        house.live_through(DAY_S)
        waiting_mb = house.outbox.waiting().size_bytes / 1e6
        print(f"a day lies in the outbox: {waiting_mb:.0f} MB", flush=True)
        newest, officer = house.see(datetime.now(UTC)), Officer(station)
        plugged_s = time.monotonic()
        line.plug_in()
        house.publisher.start()
        wait_until(lambda: house.connected_s, 60)
        first = Mark(time.monotonic(), house.outbox.acknowledged_bytes, line.passed_bytes)
        seen_s = _live_on(house, first.at_s + minutes * 60)
        last = Mark(time.monotonic(), house.outbox.acknowledged_bytes, line.passed_bytes)
        house.publisher.stop()
        officer.stop()
    elapsed_s = last.at_s - first.at_s
    connected_s = house.connected_s[0]
    later_s = [officer.shown_s.get(event, float("inf")) - at_s for event, at_s in seen_s.items()]
    return Found(
        waiting_mb,
        connected_s - plugged_s,
        officer.shown_s[newest] - connected_s,
        officer.pictured_s.get(newest, float("inf")) - connected_s,
        share(later_s, 0.5),
        max(later_s),
        len(officer.heartbeats_late_s),
        share(officer.heartbeats_late_s, 0.5),
        share(officer.heartbeats_late_s, 0.99),
        (last.acknowledged_bytes - first.acknowledged_bytes) / elapsed_s / cap_bytes_per_s,
        (last.passed_bytes - first.passed_bytes) / elapsed_s / cap_bytes_per_s,
        house.outbox.waiting().size_bytes / 1e6,
    )


def _live_on(house: HouseBehind, until_s: float) -> dict[UUID, float]:
    """See at a day's rate while the backlog drains; return when each was seen."""
    seen_s: dict[UUID, float] = {}
    pause_s = DAY_S / EVENTS_A_DAY
    while time.monotonic() + pause_s < until_s:
        time.sleep(pause_s)
        event = house.see(datetime.now(UTC))
        seen_s[event] = time.monotonic()
    time.sleep(max(0.0, until_s - time.monotonic()))
    return seen_s


def shown(found: Found) -> str:
    return (
        f"connected {found.connect_s:.1f} s after the line was back; newest event found"
        f" {found.newest_shown_s:.1f} s after that (goal {NEWEST_GOAL_S:g}),"
        f" with its picture {found.newest_picture_s:.1f} s\n"
        f"seen while the backlog drains: found after {found.later_shown_p50_s:.1f} s,"
        f" {found.later_shown_worst_s:.1f} s at worst\n"
        f"{found.heartbeats} heartbeats late by {found.heartbeat_p50_s:.2f} s,"
        f" p99 {found.heartbeat_p99_s:.2f} s (goal {HEARTBEAT_GOAL_S:g})\n"
        f"drained at {found.drained_of_cap:.2f} of the cap (goal {DRAIN_GOAL});"
        f" on the line {found.line_of_cap:.2f}; {found.left_mb:.0f} MB of {found.waiting_mb:.0f} MB left"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--line", type=float, default=128, help="kilobits a second of the line")
    parser.add_argument("--cap", type=float, default=110, help="agent.settings.uplink_kbps")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), asked.line, asked.cap, asked.minutes)
    print(shown(found))
    if asked.json:
        asked.json.write_text(json.dumps(asdict(found), indent=2))


if __name__ == "__main__":
    main()
