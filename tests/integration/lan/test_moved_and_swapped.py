"""Is a camera found again at its new address, and noticed when another has its place? On a virtual LAN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cameras import adding, credentials, guard, register
from agent.cameras.discover import discover
from agent.cameras.follow import Followed, Follower
from agent.cameras.register import CameraEntry
from agent.cameras.rtsp import CameraStream, FrameSlot
from shared.clock import SystemClock
from tests.integration.cameras.conftest import PASSWORD, USER, right_login, until
from tests.lan import AGENT, Lan
from tests.virtual_camera import Clip, VirtualCamera, prepare
from tests.virtual_camera.state import Login

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("needs_root")]

CLOCK = SystemClock()
PAST_PATIENCE_S = 30.0  # what the follower waits before it searches is not what is tested here


@dataclass
class House:
    """A LAN with cameras that may move, and an agent that watches them."""

    lan: Lan
    clip: Clip
    home: Path
    cameras: dict[str, VirtualCamera]
    streams: dict[str, CameraStream]
    follower: Follower

    def cause(self, name: str) -> str:
        return self.streams[name].health(CLOCK.monotonic()).cause

    def follow(self) -> None:
        """Two rounds, as if half a minute lay between them."""
        with self.lan.inside(AGENT):
            self.follower.round(CLOCK.monotonic())
            self.follower.round(CLOCK.monotonic() + PAST_PATIENCE_S)

    def switch_off(self, name: str) -> None:
        self.cameras.pop(name).stop()

    def switch_on(self, name: str, address: str | None = None) -> VirtualCamera:
        if address:
            self.lan.move(name, address)
        with self.lan.inside(name):
            camera = VirtualCamera(
                self.clip,
                name,
                address=self.lan.address(name),
                onvif_port=80,
                rtsp_port=554,
                login=Login(USER, PASSWORD),
                discoverable=True,
            ).start()
        self.cameras[name] = camera
        return camera

    def address_of(self, name: str) -> str:
        return next(entry.host for entry in register.load(self.home) if entry.name == name)


@pytest.fixture
def house(street_clip: Path, tmp_path: Path) -> Iterator[House]:
    """Two cameras, added and watched."""
    clip = prepare(street_clip)
    with ExitStack() as everything:
        lan = everything.enter_context(Lan(2))
        house = House(lan, clip, tmp_path, {}, {}, Follower(tmp_path, (), CLOCK))
        everything.callback(lambda: [camera.stop() for camera in house.cameras.values()])
        for name in lan.cameras:
            house.switch_on(name)
        with lan.inside(AGENT):
            for candidate in discover(1.0):
                adding.add(tmp_path, candidate, right_login(), CLOCK)
            everything.enter_context(watching(house))
        for name in lan.cameras:
            until(lambda name=name: house.cause(name) == "ok", f"{name} is watched")
        yield house


@contextmanager
def watching(house: House) -> Iterator[None]:
    """Wired as agent/service.py does."""

    def address(entry: CameraEntry) -> guard.StreamAddress:
        return guard.detect_address(entry, credentials.load(house.home, entry.login_name), CLOCK)

    followed = []
    for entry in register.load(house.home):
        slot = FrameSlot()
        stream = CameraStream(entry.name, address(entry), CLOCK, slot=slot, sampled_fps=2)
        stream.start()
        house.streams[entry.name] = stream
        followed.append(
            Followed(
                entry,
                lambda stream=stream: stream.health(CLOCK.monotonic()).cause,
                lambda entry, stream=stream: stream.move_to(address(entry)),
            )
        )
    house.follower = Follower(house.home, followed, CLOCK)
    try:
        yield
    finally:
        for stream in house.streams.values():
            stream.stop()


def test_a_camera_is_known_by_the_mac_on_the_wire(house: House) -> None:
    macs = {entry.name: entry.mac for entry in register.load(house.home)}
    assert macs == {name: house.lan.mac(name) for name in house.lan.cameras}


def test_a_camera_whose_address_changed_is_found_again_without_a_login(house: House) -> None:
    house.switch_off("cam1")
    until(lambda: house.cause("cam1") in {"unreachable", "refused"}, "cam1 is missed")
    moved = house.switch_on("cam1", "10.77.0.212")
    house.follow()
    assert house.address_of("cam1") == "10.77.0.212"
    until(lambda: house.cause("cam1") == "ok", "cam1 is watched again")
    assert moved.counters.soap_credentialed == 0
    assert moved.counters.rtsp_wrong == 0
    assert house.cause("cam2") == "ok"


def test_a_camera_without_discovery_is_found_by_its_mac(house: House) -> None:
    house.switch_off("cam1")
    moved = house.switch_on("cam1", "10.77.0.213")
    moved.faults.discovery_silent = True
    until(lambda: house.cause("cam1") == "unreachable", "cam1 is missed")
    house.follow()
    until(lambda: house.cause("cam1") == "ok", "cam1 is watched again")
    assert house.address_of("cam1") == "10.77.0.213"


def test_two_cameras_that_swapped_addresses_are_never_taken_for_each_other(house: House) -> None:
    first, second = house.lan.address("cam1"), house.lan.address("cam2")
    for name in house.lan.cameras:
        house.switch_off(name)
    for name in house.lan.cameras:
        until(lambda name=name: house.cause(name) in {"unreachable", "refused"}, f"{name} is missed")
    house.lan.move("cam1", "10.77.0.99")  # nobody has two addresses, and no address two cameras
    there = house.switch_on("cam2", first), house.switch_on("cam1", second)
    for name in house.lan.cameras:
        until(lambda name=name: house.cause(name) == "camera-swapped", f"{name}: {house.cause(name)}")
    assert sum(camera.counters.rtsp_credentialed for camera in there) == 0, "no login to a stranger"
    house.follow()
    assert (house.address_of("cam1"), house.address_of("cam2")) == (second, first)
    for name in house.lan.cameras:
        until(lambda name=name: house.cause(name) == "ok", f"{name} is watched again")


def test_a_replaced_camera_is_watched_once_a_person_says_so(house: House) -> None:
    address = house.lan.address("cam1")
    house.switch_off("cam1")
    until(lambda: house.cause("cam1") in {"unreachable", "refused"}, "cam1 is missed")
    house.lan.move("cam1", "10.77.0.98")
    house.lan.unplug("cam1")  # the old one is in the bin
    house.switch_off("cam2")
    house.switch_on("cam2", address)
    until(lambda: house.cause("cam1") == "camera-swapped", "it is noticed")
    with house.lan.inside(AGENT):
        candidate = next(one for one in discover(1.0) if one.sender == address)
        register.save(
            house.home, [entry for entry in register.load(house.home) if entry.name == "cam1"]
        )  # cam2 plays a camera nobody has seen before
        (added,) = adding.add(house.home, candidate, right_login(), CLOCK)
    assert (added.entry.name, added.replaced) == ("cam1", True)
    house.follow()
    until(lambda: house.cause("cam1") == "ok", "the new one is watched")
