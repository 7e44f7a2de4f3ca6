"""Is the virtual LAN a LAN? What every other test here takes for granted."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from tests.lan import AGENT, Lan, needs_iptables

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]


def reaches(lan: Lan, address: str, patience_s: float = 2) -> bool:
    with lan.inside(AGENT):
        try:
            socket.create_connection((address, 80), timeout=patience_s).close()
        except OSError:
            return False
        return True


def names() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_a_camera_is_reached_until_its_cable_is_cut_and_again_when_it_is_mended() -> None:
    with Lan(1) as lan:
        with lan.inside("cam1"):
            server = socket.create_server((lan.address("cam1"), 80))
        with server:
            assert reaches(lan, lan.address("cam1"))
            lan.unplug("cam1")
            assert not reaches(lan, lan.address("cam1"), 0.5)
            lan.plug("cam1")
            assert reaches(lan, lan.address("cam1"))


def test_a_camera_moves_and_keeps_its_mac() -> None:
    with Lan(1) as lan:
        lan.move("cam1", "10.77.0.212")
        with lan.inside("cam1"):
            server = socket.create_server(("10.77.0.212", 80))
        with server:
            assert lan.address("cam1") == "10.77.0.212"
            assert reaches(lan, "10.77.0.212")
            arp = lan.run_in(AGENT, ["ip", "neigh", "show", "10.77.0.212"], capture_output=True, text=True)
            assert lan.mac("cam1") in arp.stdout


def test_packets_are_lost_as_often_as_asked_and_heal() -> None:
    needs_iptables()
    with Lan(1) as lan:
        with lan.inside("cam1"):
            heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            heard.bind((lan.address("cam1"), 9))
        with heard, lan.inside(AGENT), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            heard.settimeout(0.3)
            arrived = []
            for fraction in (0.5, 0.0):
                lan.lose(fraction, "cam1", protocol="udp")
                for _ in range(200):
                    sender.sendto(b"x", (lan.address("cam1"), 9))
                arrived.append(count(heard))
        assert 60 <= arrived[0] <= 140  # 200 coins: five and a half standard deviations
        assert arrived[1] == 200


def count(heard: socket.socket) -> int:
    number = 0
    try:
        while True:
            heard.recv(10)
            number += 1
    except TimeoutError:
        return number


def test_nothing_of_the_outside_is_reached() -> None:
    with Lan(1) as lan:
        assert lan.run_in(AGENT, ["ip", "route", "get", "1.1.1.1"], capture_output=True).returncode


def test_nothing_is_left_after_a_failure() -> None:
    lan = Lan(1)
    children = []

    def fail() -> None:
        with lan:
            children.append(lan.start_in("cam1", ["python", "-c", "import time; time.sleep(600)"]))
            assert lan.namespace("cam1") in names()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert lan.namespace("cam1") not in names()
    assert children[0].poll() is not None


def test_a_thread_that_steps_inside_does_not_take_the_others_with_it() -> None:
    seen = []
    with Lan(1) as lan:
        with lan.inside("cam1"):
            thread = threading.Thread(target=lambda: seen.append(socket.if_nameindex()))
            thread.start()
            thread.join()
        thread = threading.Thread(target=lambda: seen.append(socket.if_nameindex()))
        thread.start()
        thread.join()
    assert [name for _, name in seen[0]] == ["lo", "eth0"]
    assert seen[0] != seen[1]


def test_what_a_killed_run_left_is_swept_away_by_the_next() -> None:
    program = "import os\nfrom tests.lan import Lan\nLan(1).__enter__()\nos._exit(9)"
    killed = subprocess.Popen([sys.executable, "-c", program])
    killed.wait()
    assert f"anlan-{killed.pid}-" in names()
    with Lan(0):
        assert f"anlan-{killed.pid}-" not in names()
