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
from collector.liveness.wording import message
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

    def told_by_mail(self) -> list[str]:
        """What one target reads now, line by line without the title."""
        now_us = microseconds(self.clock.now())
        found = queue.due(self.connection, TARGET, now_us)
        with self.connection:
            queue.settle(self.connection, TARGET, found, now_us, is_sent=True)
        _, body = message(self.folder, "Trạm", found.flips)
        return [line for line in body.splitlines() if line]

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
    assert station.due() == [("", "", State.UP)]
    station.minutes(12, *sites[1:])
    assert station.due() == [("nha-0", "", State.SILENT)]


def test_a_tenth_of_the_sites_is_one_alarm_that_names_them_and_one_all_clear(station: Station) -> None:
    sites = [f"nha-{number:03}" for number in range(120)]
    hamlets = {site: (f"Nhà {site[4:]}", "Thôn Đông" if site < "nha-008" else "Thôn Tây") for site in sites}
    seed.sites(station.folder, NOON, hamlets)
    station.minutes(2, *sites)
    station.minutes(11, *sites[12:])
    assert station.due() == []  # still settling: who falls a minute later is counted in
    station.minutes(3, *sites[12:])
    told = station.told_by_mail()
    assert len(told) == 2
    assert told[0].startswith("12 cơ sở: nhiều nơi mất kết nối cùng lúc")
    assert "Thôn Đông 8 (Nhà 000, Nhà 001, Nhà 002, …), Thôn Tây 4 (Nhà 008, " in told[0]
    assert "12 sites: many silent at once" in told[1]
    station.restart()
    station.minutes(3, *sites[12:])
    station.minutes(3, *sites)
    told = station.told_by_mail()
    assert [line.split(" (")[0] for line in told] == [
        "12 trong 12 cơ sở có tín hiệu lại, 0 chưa",
        "12 of 12 sites are back, 0 are not yet",
    ]
    station.minutes(15, *sites)
    assert station.told_by_mail() == []


def test_who_falls_with_others_over_a_restart_is_told_with_them(station: Station) -> None:
    sites = [f"nha-{number:03}" for number in range(120)]
    station.minutes(2, *sites)
    station.minutes(1, *sites[6:])
    station.minutes(9, *sites[12:])  # six are silent by now, six more will be in a minute
    station.restart()
    station.minutes(6, *sites[12:])
    assert station.due() == [("", "", State.OUTAGE)]


def test_a_station_that_slept_an_hour_raises_no_alarm_for_sites_that_return_slowly(station: Station) -> None:
    sites = [f"nha-{number:03}" for number in range(60)]
    station.minutes(3, *sites)
    station.clock.advance(timedelta(hours=1))
    station.restart()
    for minute in range(9):
        station.minutes(1, *sites[: 7 * minute])
    station.minutes(15, *sites)
    assert station.due() == [("", "station", State.DEAF)]
    assert {state for site in sites for state in station.told(site)} <= {State.UP, State.LATE}


def test_a_site_that_comes_and_goes_is_one_alarm_and_one_all_clear(station: Station) -> None:
    told = []
    for _ in range(12):
        station.minutes(1, "nha-a", "nha-b")
        station.minutes(3, "nha-b")
        told += station.due()
    station.minutes(70, "nha-a", "nha-b")
    assert told + station.due() == [("nha-a", "", State.UNSTABLE), ("nha-a", "", State.UP)]


def test_a_line_that_comes_and_goes_for_everybody_is_one_alarm(station: Station) -> None:
    sites = [f"nha-{number:03}" for number in range(30)]
    told = []
    for _ in range(12):
        station.minutes(1, *sites)
        station.minutes(3)
        told += station.due()
    assert told == [("", "", State.OUTAGE)]


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
