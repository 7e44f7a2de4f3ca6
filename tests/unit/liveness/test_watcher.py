"""What the watcher writes: each flip once, over restarts, and the alarms it calls for."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from collector.archive import flips as book
from collector.archive.flips import State
from collector.archive.folder import StationFolder
from collector.liveness import queue
from collector.liveness.watcher import Watcher
from shared.clock import microseconds
from shared.messages import CameraState
from tests import seed
from tests.fakes import NOON, FakeClock

TARGET = "t1"


class Station:
    """A station whose heartbeats and time the test makes."""

    def __init__(self, root: Path) -> None:
        self.clock, self.listening = FakeClock(), True
        self.folder = seed.station(root / "station", NOON)
        self.restart()

    def restart(self) -> None:
        self.watcher = Watcher(self.folder, [TARGET], self.clock, lambda: self.listening)
        self.connection = sqlite3.connect(self.folder.liveness_database)
        self.watcher.remember(self.connection)

    def minutes(self, count: int, *sites: str, cameras: CameraState = CameraState.OK) -> None:
        """Each minute a heartbeat of each of these, and a look."""
        for _ in range(count):
            beats = [seed.heartbeat(site, self.clock.now(), [seed.camera("cong", cameras)]) for site in sites]
            if beats:
                seed.keep(self.folder, beats)
            self.clock.advance(timedelta(seconds=50))
            self.watcher.look(self.connection)
            self.clock.advance(timedelta(seconds=10))

    def told(self, site: str, camera: str = "") -> list[State]:
        return [flip.state for flip in book.history(self.folder, site) if flip.camera == camera]

    def due(self) -> list[tuple[str, str, State]]:
        found = queue.due(self.connection, TARGET, microseconds(self.clock.now()))
        with self.connection:
            queue.settle(self.connection, TARGET, found, microseconds(self.clock.now()), is_sent=True)
        return [(flip.site, flip.camera, flip.state) for flip in found.flips]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def test_a_silence_is_told_once_over_restarts_and_so_is_its_end(station: Station) -> None:
    station.minutes(3, "nha-a", "nha-b")
    station.minutes(7, "nha-b")
    station.restart()
    station.minutes(8, "nha-b")
    station.restart()
    assert station.told("nha-a") == [State.UP, State.LATE, State.SILENT]
    assert station.due() == [("nha-a", "", State.SILENT)]
    station.minutes(5, "nha-a", "nha-b")
    assert station.told("nha-a") == [State.UP, State.LATE, State.SILENT, State.UP]
    assert station.due() == [("nha-a", "", State.UP)]
    assert station.due() == []
    assert station.told("nha-b") == [State.UP]


def test_the_stations_own_sleep_is_not_the_sites_silence(station: Station) -> None:
    station.minutes(3, "nha-a")
    station.clock.advance(timedelta(hours=3))
    station.restart()
    station.minutes(3, "nha-a")
    assert station.told("nha-a") == [State.UP]
    assert station.told("", "station") == [State.DEAF, State.UP]
    assert station.due() == [("", "station", State.DEAF)]
    station.listening = False
    station.minutes(30)
    station.listening = True
    station.minutes(3, "nha-a")
    assert station.told("nha-a") == [State.UP]


def test_an_outage_of_many_is_one_alarm_and_what_stays_silent_another(station: Station) -> None:
    sites = [f"nha-{number}" for number in range(8)]
    station.minutes(3, *sites)
    station.minutes(16, *sites[6:])
    assert station.told("") == [State.OUTAGE]
    assert station.due() == [("", "", State.OUTAGE)]
    station.restart()
    station.minutes(6, *sites[1:])
    assert station.told("") == [State.OUTAGE, State.UP]
    assert station.told("nha-0")[-1] is State.SILENT
    assert sorted(station.due()) == [("", "", State.UP), ("nha-0", "", State.SILENT)]


def test_a_camera_without_a_picture_is_told_once(station: Station) -> None:
    station.minutes(3, "nha-a")
    station.minutes(6, "nha-a", cameras=CameraState.DOWN)
    station.restart()
    station.minutes(3, "nha-a", cameras=CameraState.DOWN)
    assert station.told("nha-a", "cong") == [State.UP, State.DOWN]
    assert station.due() == [("nha-a", "cong", State.DOWN)]


def test_what_cannot_be_sent_waits_and_is_tried_again(station: Station) -> None:
    station.minutes(3, "nha-a", "nha-b")
    station.minutes(15, "nha-b")
    now_us = microseconds(station.clock.now())
    found = queue.due(station.connection, TARGET, now_us)
    assert len(found.flips) == 1
    queue.settle(station.connection, TARGET, found, now_us, is_sent=False)
    assert not queue.due(station.connection, TARGET, now_us + 29_000_000).flips
    again = queue.due(station.connection, TARGET, now_us + 31_000_000)
    assert (again.flips, again.tries) == (found.flips, 1)
    queue.forget(station.connection, ["another"], now_us)
    assert not queue.due(station.connection, TARGET, now_us + 31_000_000).flips


def test_a_station_that_never_ran_has_no_flips(tmp_path: Path) -> None:
    folder = StationFolder(tmp_path)
    assert book.latest(folder) == {}
    assert book.history(folder) == []
