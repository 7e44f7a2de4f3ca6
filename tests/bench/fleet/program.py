"""What happens to a fleet? Phases one after the other, each with what it took and how late things were."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.bench.fleet import day
from tests.bench.fleet.fleet import EVENTS_A_DAY, Fleet
from tests.bench.fleet.gauge import Reading, share
from tests.bench.fleet.house import END_AFTER_S
from tests.station import Station

MESSAGES_PER_EVENT = 4  # start, update, end, picture
CUT_S = 12.0  # how long a line is away in the compressed day
NETWORK_PART = 5  # one site in five hangs on the cable that breaks


@dataclass(slots=True)
class Phase:
    """What one phase took; processor in per cent of one core, memory in MB."""

    name: str
    seconds: float = 0.0
    sites: int = 0
    stored_a_second: float = 0.0
    broker_percent: float = 0.0
    collector_percent: float = 0.0
    ours_percent: float = 0.0
    broker_mb: float = 0.0
    collector_mb: float = 0.0
    answer_p50_s: float = 0.0
    answer_p99_s: float = 0.0
    heartbeat_late_p50_s: float = 0.0
    heartbeat_late_p99_s: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)


class Program:
    """The phases of one run; each is added to `phases` when it ends."""

    def __init__(self, station: Station, fleet: Fleet) -> None:
        self._station, self._fleet = station, fleet
        self.average = len(fleet.houses) * EVENTS_A_DAY / 86_400
        self.phases: list[Phase] = []

    async def measured(self, name: str, work: Callable[[Phase], Awaitable[None]]) -> Phase:
        station, ledger, phase = self._station, self._fleet.ledger, Phase(name)
        ledger.answered_s.clear()
        pids = station.broker_pid(), station.pid, os.getpid()
        before = [Reading.of(pid) for pid in pids]
        stored, watch = self._stored(), _Heartbeats(self._station)
        watching = asyncio.create_task(watch.run())
        await work(phase)
        watching.cancel()
        for place, now in enumerate((station.broker_pid(), station.pid)):
            if now != pids[place]:  # it was killed: count from its last birth
                before[place] = Reading(before[place].at_s, 0.0, 0.0, 0.0)
        after = [Reading.of(pid) for pid in (station.broker_pid(), station.pid, os.getpid())]
        phase.seconds = after[2].at_s - before[2].at_s
        phase.sites = self._fleet.connected
        phase.stored_a_second = (self._stored() - stored) / phase.seconds
        phase.broker_percent, phase.collector_percent, phase.ours_percent = (
            100 * now.cores_since(then) for now, then in zip(after, before, strict=True)
        )
        phase.broker_mb, phase.collector_mb = after[0].memory_mb, after[1].memory_mb
        phase.answer_p50_s, phase.answer_p99_s = (share(ledger.answered_s, part) for part in (0.5, 0.99))
        phase.heartbeat_late_p50_s = share(watch.late_s, 0.5)
        phase.heartbeat_late_p99_s = share(watch.late_s, 0.99)
        self.phases.append(phase)
        print(shown(phase), flush=True)
        return phase

    async def arrive(self, a_second: float) -> None:
        async def work(phase: Phase) -> None:
            await self._fleet.plug_in(a_second)
            await self._fleet.until(self._all_here, 120)

        await self.measured("arrive, evenly", work)

    async def steady(self, name: str, times: float, seconds: float) -> None:
        async def work(phase: Phase) -> None:
            self._fleet.rate = self.average * times
            await self._pause(seconds)

        await self.measured(name, work)
        self._fleet.rate = 0.0

    async def days(self, count: int, seconds: float, times: float) -> None:
        """Days of so many seconds, at the momentary rate of each hour times so much, with faults."""

        async def work(phase: Phase) -> None:
            for number in range(count):
                faults = asyncio.create_task(self._faults(number, seconds, phase))
                for tenth in range(240):
                    self._fleet.rate = self.average * times * day.busy(tenth / 10)
                    await self._pause(seconds / 240)
                await faults
            self._fleet.rate = 0.0

        await self.measured(f"{count} days of {seconds:.0f} s, {times:g} x", work)

    async def storm(self) -> None:
        """The broker dies; all boxes come back as their jitter has it."""

        async def work(phase: Phase) -> None:
            self._fleet.rate = self.average
            old = self._station.broker_pid()
            os.kill(old, signal.SIGKILL)
            await self._fleet.until(lambda: self._fleet.connected == 0, 30)
            half = await self._fleet.until(lambda: self._fleet.connected * 2 >= len(self._fleet.houses), 120)
            rest = await self._fleet.until(self._all_here, 300)
            phase.more |= {"half_back_s": round(half, 1), "all_back_s": round(half + rest, 1)}
            phase.more["broker_cpu_s"] = round(Reading.of(self._station.broker_pid()).cpu_s, 2)
            self._fleet.rate = 0.0

        await self.measured("storm: the broker is killed", work)

    async def drain(self) -> None:
        async def work(phase: Phase) -> None:
            await self._pause(END_AFTER_S)  # what is being seen still ends
            phase.more["waiting_at_first"] = self._fleet.waiting
            for house in self._fleet.houses:
                house.plug_in()
            await self._fleet.until(lambda: not self._fleet.waiting, 300)

        await self.measured("drain", work)

    async def _faults(self, number: int, seconds: float, phase: Phase) -> None:
        """In each day some lines go, one cable breaks, and the station is killed once."""
        houses = self._fleet.houses
        singles = random.sample(houses, max(1, len(houses) // 50))
        cable = houses[number % NETWORK_PART :: NETWORK_PART]
        await self._pause(seconds * 0.25)
        await self._cut(singles)
        await self._pause(seconds * 0.1)
        await self._cut(cable)
        await self._pause(seconds * 0.1)
        await asyncio.to_thread(self._station.kill)
        await asyncio.to_thread(self._station.start)
        phase.more["cut"] = phase.more.get("cut", 0) + len(singles) + len(cable)
        phase.more["collector_killed"] = number + 1

    async def _cut(self, houses: list[Any]) -> None:
        for house in houses:
            house.cut()
        await self._pause(CUT_S)
        for house in houses:
            house.plug_in()

    async def _pause(self, seconds: float) -> None:
        self._fleet.check()
        await asyncio.sleep(seconds)

    def _all_here(self) -> bool:
        return self._fleet.connected == len(self._fleet.houses)

    def _stored(self) -> int:
        with closing(_archive(self._station)) as archive:
            (count,) = archive.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)


class _Heartbeats:
    """How late are they? As the collector notes it: received minus sent, by one clock here."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.late_s: list[float] = []
        self._seen: dict[str, int] = {}

    async def run(self) -> None:
        began_us = datetime.now(UTC).timestamp() * 1e6
        while True:
            await asyncio.sleep(2.0)
            with closing(_archive(self._station)) as archive:
                rows = archive.execute(
                    "SELECT site, heard_us, clock_skew_s FROM agents WHERE heard_us > ?", (began_us,)
                ).fetchall()
            for site, heard_us, skew_s in rows:
                if self._seen.get(site) != heard_us:
                    self._seen[site] = heard_us
                    self.late_s.append(-skew_s)


def _archive(station: Station) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{station.folder / 'archive.db'}?mode=ro", uri=True, timeout=30)


def shown(phase: Phase) -> str:
    said = ", ".join(f"{name} {value}" for name, value in phase.more.items())
    return (
        f"{phase.name:<28}{phase.seconds:6.0f} s {phase.sites:5d} sites {phase.stored_a_second:7.1f} msg/s"
        f"  broker {phase.broker_percent:5.1f} % {phase.broker_mb:6.1f} MB"
        f"  collector {phase.collector_percent:5.1f} % {phase.collector_mb:6.1f} MB"
        f"  (this program {phase.ours_percent:5.1f} %)"
        f"  answer {phase.answer_p50_s:6.2f} / {phase.answer_p99_s:6.2f} s"
        f"  heartbeat {phase.heartbeat_late_p50_s:6.3f} / {phase.heartbeat_late_p99_s:6.3f} s  {said}"
    )


def written(phases: list[Phase]) -> list[dict[str, Any]]:
    return [asdict(phase) for phase in phases]
