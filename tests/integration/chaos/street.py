"""One seed's world: a station, its broker, and a few houses behind routers of their own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.uplink import identity
from tests.integration.chaos import processes
from tests.integration.chaos.disk import Disk
from tests.integration.chaos.relay import Relay
from tests.station import Station, wait_until

_HOME_MB, _STATION_MB = 12, 400
_NAMES = ("nha-ong-ba", "nha-ba-tu", "nha-chu-sau")
_SPOKEN = 5  # events of a house at the station, before anything goes wrong
_DRAINED_S = 240.0  # two waits of paho's and three of the window's, on a slow machine


@dataclass(slots=True)
class House:
    """One site: its disk, its line, its source, and the ledger beside them."""

    site: str
    disk: Disk
    relay: Relay
    ledger: Path
    agent: processes.Kept

    @property
    def outbox(self) -> Path:
        return self.disk.folder / "outbox.db"

    def set_clock(self, offset_s: float, boot: str) -> None:
        written = self.ledger.with_name("clock.new")
        written.write_text(f"{offset_s} {boot}")
        written.rename(self.ledger.with_name("clock"))

    def be_quiet(self) -> None:
        self.ledger.with_name("quiet").touch()

    def is_drained(self, archive: sqlite3.Connection) -> bool:
        """Nothing waits, nothing lost is untold, and the station has heard so."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{self.outbox}?mode=ro", uri=True)) as db:
            (waits,) = db.execute(
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM lost)"
            ).fetchone()
            instance, following = db.execute("SELECT instance, next FROM life").fetchone()
            heard = archive.execute(
                "SELECT waiting FROM outboxes WHERE site = ? AND instance = ?", (self.site, instance)
            ).fetchone()
            return waits == 0 and heard == (following,)
        return False


class Street:
    """A context manager: everything is built, enrolled and running inside, and ended behind."""

    def __init__(self, folder: Path, houses: int, rate: float) -> None:
        self.folder, self._rate = folder, rate
        self._count = houses
        self.houses: list[House] = []

    def __enter__(self) -> Self:
        self.station_disk = Disk(self.folder / "disk", _STATION_MB)
        self.station = Station(self.station_disk.folder / "station")
        papers = [self.station.enrol(site) for site in _NAMES[: self._count]]
        self.station.stop()
        self.collector = processes.collector(self.station, self.folder / "station.log")
        for paper in papers:
            disk = Disk(self.folder / f"home-{paper.site}", _HOME_MB)
            relay = Relay(self.station.broker_port)
            texts = paper.key.read_bytes(), paper.certificate.read_text(), paper.ca.read_text()
            identity.save(disk.folder, identity.Papers(paper.site, "localhost", relay.port, *texts))
            ledger = self.folder / paper.site / "ledger"
            ledger.parent.mkdir()
            agent = processes.source(disk.folder, ledger, self._rate)
            self.houses.append(House(paper.site, disk, relay, ledger, agent))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for house in self.houses:
            house.agent.close()
            house.relay.close()
            house.disk.close()
        self.collector.close()
        self.station_disk.close()

    def archive(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.station.folder}/archive.db?mode=ro", uri=True)

    def wait_until_all_speak(self) -> None:
        """A slow machine must not make a seed in which nothing was there to be killed."""
        wait_until(lambda: all(self._has_heard(house) for house in self.houses), _DRAINED_S)

    def _has_heard(self, house: House) -> bool:
        with suppress(sqlite3.Error), closing(self.archive()) as archive:
            question = "SELECT count(*) FROM messages WHERE site = ? AND channel = 'ev'"
            (count,) = archive.execute(question, (house.site,)).fetchone()
            return bool(count >= _SPOKEN)
        return False

    def drain(self) -> bool:
        """Make nothing more, and let everything arrive; False when it did not."""
        for house in self.houses:
            house.be_quiet()
        deadline_s = time.monotonic() + _DRAINED_S
        while time.monotonic() < deadline_s:
            with suppress(sqlite3.Error), closing(self.archive()) as archive:
                if all(house.is_drained(archive) for house in self.houses):
                    return True
            time.sleep(0.5)
        return False
