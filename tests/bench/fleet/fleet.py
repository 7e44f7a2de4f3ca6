"""What drives three thousand boxes? One loop: who sees something, who beats, whose line is cut."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Self

from tests.bench.fleet import pictures
from tests.bench.fleet.house import KEEPALIVE_S, House, Ledger
from tests.station import Papers

HEARTBEAT_S = 60.0
EVENTS_A_DAY = 300  # of one site, as planned
_STEP_S = 0.05


class Fleet:
    """All boxes of a station; a context manager that leaves politely."""

    def __init__(self, papers: Sequence[Papers], port: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.ledger = Ledger()
        some = pictures.some()
        self.houses = [House(each, port, some, self.ledger) for each in papers]
        self._heartbeat_s = heartbeat_s
        self._tasks: list[asyncio.Task[None]] = []
        self.rate: float = 0.0  # events a second, of all
        self.seen = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(house.live()) for house in self.houses]
        self._tasks += [asyncio.create_task(each) for each in (self._see(), self._beat(), self._tend())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for house in self.houses:
            house.leave()
        await asyncio.sleep(0.2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connected(self) -> int:
        return sum(house.connected_at_s is not None for house in self.houses)

    @property
    def waiting(self) -> int:
        return sum(len(house.waiting) for house in self.houses)

    async def plug_in(self, a_second: float) -> None:
        """Let them come at this pace."""
        for house in self.houses:
            house.plug_in()
            await asyncio.sleep(1 / a_second)

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        """Return how long it took. Raises TimeoutError, and AssertionError when a part of us died."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.check()
                await asyncio.sleep(0.05)
        return asyncio.get_running_loop().time() - began_s

    def check(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise AssertionError("a part of the fleet died") from error

    async def _see(self) -> None:
        due = 0.0
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        while True:
            await asyncio.sleep(_STEP_S)
            now_s = loop.time()
            due += self.rate * (now_s - before_s)
            before_s = now_s
            count = _poisson(due)
            due = 0.0
            for _ in range(count):
                random.choice(self.houses).sees()
            self.seen += count

    async def _beat(self) -> None:
        """One after the other, evenly over the interval, as chance spreads them in the field."""
        await _in_turn(self.houses, self._heartbeat_s, House.beat)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        pings = asyncio.create_task(_in_turn(self.houses, KEEPALIVE_S * 0.7, House.ping))
        try:
            while True:
                await asyncio.sleep(1.0)
                now_s = loop.time()
                for house in self.houses:
                    house.tend(now_s)
        finally:
            pings.cancel()


async def _in_turn(houses: Sequence[House], interval_s: float, act: Callable[[House], None]) -> None:
    loop = asyncio.get_running_loop()
    began_s, done = loop.time(), 0
    while True:
        await asyncio.sleep(_STEP_S)
        due = int((loop.time() - began_s) / interval_s * len(houses))
        for turn in range(done, due):
            act(houses[turn % len(houses)])
        done = due


def _poisson(mean: float) -> int:
    if mean > 30:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count += 1
        product *= random.random()
    return count
