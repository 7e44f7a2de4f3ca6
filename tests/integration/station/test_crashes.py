"""What was acknowledged is there, whoever was killed and whatever the disk did."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import pytest
import uuid6

from tests.station import Box, Papers, Station, a_picture, an_event, wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Station]:
    """A station that may be killed."""
    with Station(tmp_path / "station") as station:
        yield station


def kept(station: Station) -> set[bytes]:
    with closing(sqlite3.connect(f"file:{station.folder}/archive.db?mode=ro", uri=True)) as database:
        return {message_id for (message_id,) in database.execute("SELECT id FROM messages")}


def pictures_are_whole(station: Station) -> bool:
    """Every row that points into a pack points at its whole picture."""
    with closing(sqlite3.connect(f"file:{station.folder}/archive.db?mode=ro", uri=True)) as database:
        places = database.execute("SELECT pack, position, size FROM thumbnails").fetchall()
    packs = {path.name: path.read_bytes() for path in (station.folder / "thumbnails").iterdir()}
    return all(
        packs[pack][at : at + 2] == b"\xff\xd8" and packs[pack][at + size - 2 : at + size] == b"\xff\xd9"
        for pack, at, size in places
    )


def send_some(box: Box, count: int) -> dict[UUID, object]:
    """Say `count` events and their pictures once; what is lost on the way is not said again."""
    sent = {}
    for number in range(count):
        event, picture_id = an_event(box.site), uuid6.uuid7()
        box.send_event(event)
        box.send_picture(a_picture(number), event.event_id, picture_id)
        sent[event.id] = sent[picture_id] = event
    return sent


def test_kill_9_of_the_collector_loses_nothing_acknowledged(own: Station) -> None:
    papers = own.enrol("nha-ong-ba")
    chance = random.Random(1)
    acknowledged: set[UUID] = set()
    for _ in range(4):
        with Box(papers, own.broker_port) as box:
            wait_until(lambda box=box: box.heard.collector_online is True)
            send_some(box, 150)
            enough = chance.randint(1, 200)
            wait_until(lambda box=box, enough=enough: len(box.heard.stored) >= enough)
            own.kill()
            acknowledged |= box.heard.stored
        own.restart()
        assert {message_id.bytes for message_id in acknowledged} <= kept(own)
        assert pictures_are_whole(own)
    assert len(acknowledged) >= 4


def test_the_broker_dies_with_the_collector_and_a_new_run_can_start(own: Station) -> None:
    broker = own.broker_pid()
    own.kill()
    wait_until(lambda: not Path(f"/proc/{broker}/exe").exists())
    own.restart()
    assert own.broker_pid() != broker


def test_an_orphan_broker_on_the_port_is_ended_by_the_next_run(own: Station) -> None:
    assert own.stop() == 0
    configuration = own.folder / "broker" / "mosquitto.conf"
    orphan = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(configuration)])
    try:
        wait_until((own.folder / "broker" / "mosquitto.pid").exists)
        own.restart()
        assert orphan.wait(10) is not None
        assert own.broker_pid() != orphan.pid
        papers = own.enrol("nha-ong-ba")
        with Box(papers, own.broker_port) as box:
            event = an_event(box.site)
            box.send_event(event)
            box.wait_for(event.id)
    finally:
        orphan.kill()
        orphan.wait()


# a broker that dies in the middle of a handshake: paho leaves that socket to the garbage collector
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_a_killed_broker_comes_back_and_the_collector_with_it(own: Station) -> None:
    papers = own.enrol("nha-ong-ba")
    for _ in range(2):
        own.kill_broker()
        with Box(papers, own.broker_port) as box:
            wait_until(lambda box=box: box.heard.collector_online is True)
            sent = send_some(box, 20)
            box.wait_for(*sent)
            assert box.heard.stored == sent.keys()
    assert own.is_running


def test_a_term_commits_what_came_says_goodbye_and_ends_with_0(own: Station) -> None:
    papers = own.enrol("nha-ong-ba")
    with Box(papers, own.broker_port) as box:
        wait_until(lambda: box.heard.collector_online is True)
        send_some(box, 200)
        wait_until(lambda: len(box.heard.stored) > 0)
        assert own.stop() == 0
        acknowledged = set(box.heard.stored)
        assert box.heard.collector_online is False
    assert {message_id.bytes for message_id in acknowledged} <= kept(own)
    with closing(sqlite3.connect(own.folder / "archive.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_nothing_is_acknowledged_while_the_database_is_locked_and_all_of_it_after(own: Station) -> None:
    papers = own.enrol("nha-ong-ba")
    with (
        Box(papers, own.broker_port) as box,
        closing(sqlite3.connect(own.folder / "archive.db", isolation_level=None)) as squatter,
    ):
        wait_until(lambda: box.heard.collector_online is True)
        squatter.execute("BEGIN IMMEDIATE")
        sent = send_some(box, 10)
        wait_until(lambda: box.heard.collector_online is False)
        assert box.heard.stored == set()
        squatter.execute("ROLLBACK")
        box.wait_for(*sent)
        wait_until(lambda: box.heard.collector_online is True)
        assert box.heard.stored == sent.keys()
    assert own.is_running
    assert own.log.count("cannot keep anything") == 1, "once a minute, however often it is tried"


def fill(ballast: Path) -> None:
    """Write until the disk takes no more."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_nothing_is_acknowledged_while_the_disk_is_full_and_all_of_it_after(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        with Station(disk / "station") as station:
            papers = station.enrol("nha-ong-ba")
            with Box(papers, station.broker_port) as box:
                wait_until(lambda: box.heard.collector_online is True)
                ballast = disk / "ballast"
                fill(ballast)
                sent = send_some(box, 30)
                wait_until(lambda: box.heard.collector_online is False)
                assert box.heard.stored.isdisjoint(sent)
                time.sleep(1.5)  # another try or two: still nothing may be said
                assert box.heard.stored.isdisjoint(sent)
                ballast.unlink()
                box.wait_for(*sent)
                assert box.heard.stored == sent.keys()
            assert station.is_running
            assert {message_id.bytes for message_id in sent} <= kept(station)
            assert pictures_are_whole(station)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_second_run_on_the_same_folder_is_refused(own: Station) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        own.command("run")
    assert failed.value.returncode == 2
    assert own.is_running


def test_a_station_can_be_stopped_and_a_box_finds_it_again(own: Station) -> None:
    papers: Papers = own.enrol("nha-ong-ba")
    with Box(papers, own.broker_port) as box:
        wait_until(lambda: box.heard.collector_online is True)
        assert own.stop() == 0
        own.restart()
        wait_until(lambda: box.heard.collector_online is True, 40)
        event = an_event(box.site)
        box.send_event(event)
        box.wait_for(event.id)
