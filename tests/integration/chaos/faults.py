"""What can go wrong, and when? Drawn from the seed before anything starts, so that it can be drawn again."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.integration.chaos.processes import kill_broker
from tests.integration.chaos.relay import Way
from tests.integration.chaos.street import House, Street

_YEAR_S = 365 * 86_400.0
_KILLS_EACH = 3  # of agents, broker and collector, in every seed at least
_SHORT_S = 15.0
_TELLING = ("kill_agent", "kill_broker", "kill_collector", "cut", "swallow", "break_outbox", "jump")
_WITHIN = 0.85  # of the seed's time: the last faults are over before it ends


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the methods of `Hand`, at a moment, for so long, with numbers of its own."""

    at_s: float
    name: str
    house: int
    lasts_s: float
    chance: int


def drawn(seed: int, seconds: float, houses: int, *, can_fill: bool) -> list[Fault]:
    """Return what will happen in this seed; in a short one, what is most telling."""
    chance = random.Random(seed)
    names = _names(chance, can_fill=can_fill) if seconds > _SHORT_S else list(_TELLING)
    return sorted(
        (
            Fault(
                chance.uniform(0.05, _WITHIN) * seconds,
                name,
                chance.randrange(houses),
                chance.uniform(1.0, seconds / 8),
                chance.randrange(2**32),
            )
            for name in names
        ),
        key=lambda fault: fault.at_s,
    )


def _names(chance: random.Random, *, can_fill: bool) -> list[str]:
    names = ["kill_agent", "kill_broker", "kill_collector"] * _KILLS_EACH
    names += ["cut"] * 6 + [
        "swallow",
        "swallow",
        "jump",
        "jump",
        "break_outbox",
        "truncate_log",
        "break_archive",
    ]
    names += ["fill_home", "fill_home_and_kill", "fill_station"] if can_fill else []
    names += chance.choices(["kill_agent", "cut", "jump", "break_outbox"], k=3)
    return names


class Hand:
    """Does what was drawn. Every fault returns how it is undone, or nothing."""

    def __init__(self, street: Street) -> None:
        self._street = street
        self.done: Counter[str] = Counter()
        self._boots = itertools.count()

    def run(self, faults: list[Fault], seconds: float) -> None:
        """Do all of it in time, undo all of it in the end."""
        begun_s, number = time.monotonic(), itertools.count()
        due: list[tuple[float, int, Callable[[], object]]] = []
        for fault in faults:
            heapq.heappush(due, (fault.at_s, next(number), lambda fault=fault: self._do(fault)))
        while due:
            at_s, _, act = heapq.heappop(due)
            time.sleep(max(0.0, begun_s + at_s - time.monotonic()))
            undo = act()
            if callable(undo):
                later_s = time.monotonic() - begun_s + self._lasts_s
                heapq.heappush(due, (later_s, next(number), undo))
        time.sleep(max(0.0, begun_s + seconds - time.monotonic()))
        for house in self._street.houses:
            house.set_clock(0.0, f"last-{next(self._boots)}")

    def _do(self, fault: Fault) -> Callable[[], None] | None:
        self.done[fault.name] += 1
        self._lasts_s = fault.lasts_s
        house, chance = self._street.houses[fault.house], random.Random(fault.chance)
        undo: Callable[[], None] | None = getattr(self, f"_{fault.name}")(house, chance)
        return undo

    def _kill_agent(self, house: House, _: random.Random) -> None:
        house.agent.kill()

    def _kill_broker(self, _h: House, _: random.Random) -> None:
        self.done["broker killed"] += kill_broker(self._street.station)

    def _kill_collector(self, _h: House, _: random.Random) -> None:
        self._street.collector.kill()

    def _cut(self, house: House, chance: random.Random) -> None:
        way = chance.choice([Way.UP, Way.DOWN])
        house.relay.cut_after(way, chance.randint(1, 40_000 if way is Way.UP else 1_000))  # acks are small

    def _swallow(self, house: House, chance: random.Random) -> Callable[[], None]:
        house.relay.swallow(chance.choice(list(Way)))
        reset = chance.random() < 0.5
        return lambda: house.relay.mend(reset=reset)

    def _jump(self, house: House, chance: random.Random) -> Callable[[], None]:
        """A box that wakes in the wrong year, and after a while learns the right one."""
        boot = f"boot-{next(self._boots)}"
        house.agent.kill()
        house.set_clock(chance.choice([-20, -3, -0.1, 0.5, 8]) * _YEAR_S, boot)
        return lambda: house.set_clock(0.0, boot)

    def _fill_home(self, house: House, _: random.Random) -> Callable[[], None]:
        house.disk.fill()
        return house.disk.free

    def _fill_home_and_kill(self, house: House, _: random.Random) -> Callable[[], None]:
        """On a full disk a box must also be able to start."""
        house.disk.fill()
        time.sleep(1.0)
        house.agent.kill()
        return house.disk.free

    def _fill_station(self, _h: House, _: random.Random) -> Callable[[], None]:
        self._street.station_disk.fill()
        return self._street.station_disk.free

    def _break_outbox(self, house: House, chance: random.Random) -> None:
        """Bytes overwritten, as by a card that dies page by page."""
        house.agent.hold()
        for path in (house.outbox, house.outbox.with_name("outbox.db-wal")):
            if path.exists() and (size := path.stat().st_size):
                for _ in range(chance.randint(1, 3)):
                    _overwrite(path, chance.randrange(size), chance.randbytes(chance.randint(100, 9_000)))
        house.agent.release()

    def _truncate_log(self, house: House, chance: random.Random) -> None:
        """A card that lied about its last writes: the file is whole, and older than it was."""
        house.agent.hold()
        with suppress(FileNotFoundError):
            path = house.outbox.with_name("outbox.db-wal")
            os.truncate(path, int(path.stat().st_size * chance.choice([0, chance.random()])))
        house.agent.release()

    def _break_archive(self, _h: House, _: random.Random) -> Callable[[], None]:
        """The station's database cannot be read for a while, and is then put back as it was."""
        collector, folder = self._street.collector, self._street.station.folder
        collector.hold()
        time.sleep(0.3)  # the broker ends with it
        self._street.station_disk.free()  # an empty file would be a new database, and a right one
        parts = [path for path in folder.glob("archive.db*") if path.suffix != ".kept"]
        for path in parts:
            path.rename(path.with_name(f"{path.name}.kept"))
        (folder / "archive.db").write_bytes(b"not a database, not any more " * 1000)
        collector.release()

        def put_back() -> None:
            collector.hold()
            for path in parts:
                path.with_name(f"{path.name}.kept").rename(path)
            collector.release()

        return put_back


def _overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        room = path.stat().st_size - at
        file.seek(at)
        file.write(content[:room])
