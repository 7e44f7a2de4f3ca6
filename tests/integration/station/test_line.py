"""Does the station's line to its broker say all that is laid down, at once, and come back?"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.archive.folder import StationFolder
from collector.intake.line import Line, Way
from shared.identity import COLLECTOR
from shared.mqtt5 import Greeting, Heard
from shared.topics import down_ack
from tests.station import ANSWER_TIMEOUT_S, Station, wait_until

KEEPALIVE_S = 180  # a line that is not woken would speak again after half of it
MORE_THAN_THE_BROKER_TAKES_AT_ONCE = 2_500


class Ears:
    def __init__(self) -> None:
        self.up, self.losses, self.came = threading.Event(), list[str](), list[Heard]()
        self.may_hear = True

    def connected(self) -> None:
        self.up.set()

    def subscribed(self, codes: bytes) -> None: ...

    def heard(self, message: Heard) -> None:
        self.came.append(message)

    def lost(self, reason: str) -> None:
        self.up.clear()
        self.losses.append(reason)


class Bare:
    """A station's broker without the station."""

    def __init__(self, folder: Path) -> None:
        station = Station(folder / "station")
        station.stop()  # it has written the broker's configuration
        self.folder, self.port = StationFolder.existing(station.folder), station.broker_port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(["mosquitto", "-c", str(self.folder.broker_configuration)])

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Bare]:
    bare = Bare(tmp_path)
    bare.start()
    yield bare
    bare.kill()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def line(broker: Bare, ears: Ears) -> Iterator[Line]:
    context = ssl.create_default_context(cafile=broker.folder.ca_certificate)
    context.load_cert_chain(broker.folder.collector_certificate, broker.folder.collector_key)
    way = Way("127.0.0.1", broker.port, context, (0.1, 0.2))
    line = Line(way, Greeting(COLLECTOR, KEEPALIVE_S), ears)
    thread = threading.Thread(target=line.run)
    thread.start()
    assert ears.up.wait(ANSWER_TIMEOUT_S)
    ears.losses.clear()  # the broker takes its time to start
    yield line
    line.stop()
    thread.join(ANSWER_TIMEOUT_S)
    assert not thread.is_alive()


def test_what_another_thread_lays_down_goes_out_though_nothing_comes_in(line: Line) -> None:
    told = threading.Event()
    assert line.publish(down_ack("nha"), b"word", told=told)
    assert told.wait(ANSWER_TIMEOUT_S)


def test_more_than_the_broker_takes_at_once_is_held_and_all_of_it_goes(line: Line, ears: Ears) -> None:
    words = [threading.Event() for _ in range(MORE_THAN_THE_BROKER_TAKES_AT_ONCE)]
    for told in words:
        assert line.publish(down_ack("nha"), b"word", told=told)
    assert all(told.wait(ANSWER_TIMEOUT_S) for told in words)
    assert not ears.losses


def test_messages_larger_than_a_write_come_whole(line: Line, ears: Ears) -> None:
    line.subscribe((down_ack("nha"),))
    bodies = [os.urandom(200_000) for _ in range(10)]
    for body in bodies:
        line.publish(down_ack("nha"), body)
    wait_until(lambda: len(ears.came) == len(bodies))
    assert [message.payload for message in ears.came] == bodies


def test_who_has_no_room_hears_nothing_and_still_speaks(line: Line, ears: Ears) -> None:
    line.subscribe((down_ack("nha"),))
    ears.may_hear = False
    bodies = [os.urandom(20_000) for _ in range(200)]
    for body in bodies:
        assert line.publish(down_ack("nha"), body)
    time.sleep(1.0)
    assert len(ears.came) < len(bodies), "what was on its way, and no more"
    ears.may_hear = True
    wait_until(lambda: len(ears.came) == len(bodies))
    assert [message.payload for message in ears.came] == bodies
    assert not ears.losses


def test_a_broker_that_is_killed_is_found_again_and_nothing_is_taken_meanwhile(
    line: Line, broker: Bare, ears: Ears
) -> None:
    broker.kill()
    wait_until(lambda: not ears.up.is_set())
    assert not line.publish(down_ack("nha"), b"word")
    broker.start()
    assert ears.up.wait(ANSWER_TIMEOUT_S)
    assert line.connection == 2
    line.confirm((1,), 1)  # of the connection that is gone: said to nobody
    told = threading.Event()
    assert line.publish(down_ack("nha"), b"word", told=told)
    assert told.wait(ANSWER_TIMEOUT_S)
