"""What of the bare broker's rate is left when nothing may be lost? Alternating rounds, the median of each.

Run: python -m tests.bench.uplink.rate [LOAD...] [--rounds 5] [--events 8000] [--outboxes] [--json FILE].
Raw: lean senders -> mosquitto -> a lean taker, QoS 1. Durable: lean senders -> the same mosquitto -> the real
collector: checked, committed, acknowledged -> done with at the sender. Same bytes and properties, TLS with
client certificates, the same broker configuration, the same number of senders; each a process.
With --outboxes the agent's own outbox, publisher and client send instead, and a row must be deleted there:
then four boxes' signatures, databases and paho run on the processors of the station they are to load.
Loads: messages of 500 B; of 500 B with a picture of 30 kB; and whole events as boxes make them, a start
with its picture, an update and an end, which is what a processor's time per event is judged by.
A rate is that between the 10th and the 90th hundredth of the messages.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.uplink import identity
from collector.archive.folder import StationFolder
from shared.identity import COLLECTOR
from tests.bench.fleet import papers as fleet_papers
from tests.bench.fleet.gauge import Reading
from tests.station import Papers, Station, wait_until

SENDERS = 4
CPU_GOAL = 5.0  # times the broker's own, for a whole event


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. `window_kb` is an outbox's; with pictures, what fifteen boxes of 3,000 have open."""

    name: str
    messages: int  # of one event
    window_kb: int
    share: float  # of the events asked for: large ones take longer
    goal: float | None  # of the raw rate


LOADS = {
    load.name: load
    for load in (
        Load("500B", 1, 64, 1.0, 0.40),
        Load("30kB", 2, 512, 0.25, 0.25),
        Load("whole", 4, 512, 0.25, None),
    )
}


@dataclass(frozen=True, slots=True)
class Round:
    """Of one run; processor time in microseconds per event, an event being one message or a pair."""

    rate: float
    broker_us: float
    collector_us: float
    sender_us: float


class Bench:
    """One station, its senders, and both ways to use them."""

    def __init__(self, folder: Path, load: Load, events: int, *, outboxes: bool) -> None:
        folder.mkdir()
        self._folder, self._load, self._outboxes = folder, load, outboxes
        self._events = int(events * load.share)
        self._station = Station(folder / "station", start=False)
        names = [f"nha-{number}" for number in range(SENDERS)]
        self._papers = fleet_papers.issue(self._station.folder, names, folder / "papers")
        self._station.start()  # it writes the broker's configuration
        self._station.stop()
        self._round = 0

    def raw(self) -> Round:
        place = StationFolder(self._station.folder)
        broker = subprocess.Popen(["mosquitto", "-c", str(place.broker_configuration)])
        try:
            wait_until(place.broker_pid.exists)
            time.sleep(0.3)
            taker = Papers(COLLECTOR, place.collector_certificate, place.collector_key, place.ca_certificate)
            ends = [self._raw("take", taker, SENDERS)]
            ends += [self._raw("send", each) for each in self._papers]
            before = Reading.of(broker.pid)
            told = _told(ends)
            broker_s = Reading.of(broker.pid).cpu_s - before.cpu_s
        finally:
            broker.terminate()
            broker.wait(10)
            place.broker_pid.unlink(missing_ok=True)
        return self._result(told[:1], broker_s, told[0]["cpu_s"], sum(each["cpu_s"] for each in told[1:]))

    def durable(self) -> Round:
        self._round += 1
        self._station.start()
        try:
            if self._outboxes:
                ends = [self._source(each) for each in self._papers]
            else:
                ends = [self._raw("keep", each) for each in self._papers]
            pids = self._station.broker_pid(), self._station.pid
            for end in ends:
                _await_ready(end)
            before = [Reading.of(pid).cpu_s for pid in pids]
            told = _told(ends, ready=True)
            used = [Reading.of(pid).cpu_s - then for pid, then in zip(pids, before, strict=True)]
        finally:
            self._station.stop()
        return self._result(told, *used, sum(each["cpu_s"] for each in told))

    def _result(self, told: Sequence[dict], broker_s: float, collector_s: float, sender_s: float) -> Round:
        gone = sorted((at, count) for each in told for at, count in each["gone"])
        per = 1e6 / self._events
        rate = _middle(gone) * self._events / sum(count for _, count in gone)
        return Round(rate, broker_s * per, collector_s * per, sender_s * per)

    def _raw(self, role: str, one: Papers, shares: int = 1) -> subprocess.Popen[str]:
        papers = one.ca, one.certificate, one.key, one.site
        events = self._events // SENDERS * shares
        return _process("raw", role, self._station.broker_port, *papers, events, self._load.messages)

    def _source(self, one: Papers) -> subprocess.Popen[str]:
        home = self._folder / f"home-{self._round}-{one.site}"
        home.mkdir()
        texts = one.key.read_bytes(), one.certificate.read_text(), one.ca.read_text()
        identity.save(home, identity.Papers(one.site, "localhost", self._station.broker_port, *texts))
        load = self._load
        return _process("source", home, self._events // SENDERS, load.messages, load.window_kb)


def _process(module: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.bench.uplink.{module}", *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _await_ready(end: subprocess.Popen[str]) -> None:
    assert end.stdout
    assert end.stdout.readline() == "READY\n", "an end did not start"


def _told(ends: Sequence[subprocess.Popen[str]], *, ready: bool = False) -> list[dict]:
    """Let all begin at once, and return what each has to say in the end."""
    for end in ends:
        if not ready:
            _await_ready(end)
    for end in ends:
        assert end.stdin
        end.stdin.write("go\n")
        end.stdin.flush()
    told = [json.loads(end.stdout.readline()) for end in ends if end.stdout]
    for end in ends:
        end.communicate(timeout=30)
    return told


def _middle(gone: Sequence[tuple[float, int]]) -> float:
    """Return the messages a second between the 10th and the 90th hundredth of them."""
    total, so_far, marks = sum(count for _, count in gone), 0, []
    for at, count in gone:
        so_far += count
        if (not marks and so_far >= total * 0.1) or (len(marks) == 1 and so_far >= total * 0.9):
            marks.append((at, so_far))
    (first, before), (last, after) = marks
    return (after - before) / (last - first)


def compared(load: Load, raw: Sequence[Round], durable: Sequence[Round]) -> dict[str, object]:
    def median(rounds: Sequence[Round], what: str) -> float:
        return statistics.median(getattr(each, what) for each in rounds)

    ratio = median(durable, "rate") / median(raw, "rate")
    against_raw = median(durable, "collector_us") / median(raw, "broker_us")
    against_same = median(durable, "collector_us") / median(durable, "broker_us")
    us = {what: median(durable, f"{what}_us") for what in ("broker", "collector", "sender")}
    print(
        f"{load.name}: raw {median(raw, 'rate'):7.0f}/s  durable {median(durable, 'rate'):7.0f}/s"
        f"  ratio {ratio:.2f} (goal {load.goal or 'none'})\n"
        f"  processor µs per event: raw broker {median(raw, 'broker_us'):.0f},"
        f" taker {median(raw, 'collector_us'):.0f}, senders {median(raw, 'sender_us'):.0f};"
        f" durable broker {us['broker']:.0f}, collector {us['collector']:.0f}, agents {us['sender']:.0f}\n"
        f"  collector / broker: {against_same:.1f} in the same run, {against_raw:.1f} to the raw one"
        f" (goal for a whole event {CPU_GOAL:g})",
        flush=True,
    )
    rounds = {"raw": [asdict(each) for each in raw], "durable": [asdict(each) for each in durable]}
    return {
        "load": load.name,
        "ratio": ratio,
        "cpu_ratio": against_same,
        "cpu_ratio_raw": against_raw,
    } | rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=8000)
    parser.add_argument("--outboxes", action="store_true")
    parser.add_argument("loads", nargs="*", metavar="LOAD", default=list(LOADS), help=", ".join(LOADS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for load in (LOADS[name] for name in asked.loads):
            bench = Bench(Path(folder) / load.name, load, asked.events, outboxes=asked.outboxes)
            raw, durable = [], []
            for _ in range(asked.rounds):
                raw.append(bench.raw())
                durable.append(bench.durable())
            found.append(compared(load, raw, durable))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
