"""From the first command to the first event of three cameras: three commands, one login per camera.

A household of its own (network namespaces): three cameras with different passwords, found by real
multicast. The box is enrolled beforehand. `pytest -s` prints what was counted and how long it took.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.installer import Installer, Tally
from tests.e2e.street import PREPARED_MODELS, Street
from tests.lan import Lan
from tests.virtual_camera.camera import VirtualCamera
from tests.virtual_camera.clip import prepare
from tests.virtual_camera.state import Login

pytestmark = [pytest.mark.timeout(300), pytest.mark.root]
_NAMES = ("cong", "ngo", "san")
_TYPING_S = 0.3  # per key, on a ladder


@pytest.fixture
def household(needs_root: None, tmp_path: Path, street_clip: Path) -> Iterator[tuple[Street, Lan, ExitStack]]:
    """A station and an enrolled box, in the agent's network namespace."""
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    with Lan(cameras=len(_NAMES)) as lan, ExitStack() as cameras:
        street = Street(tmp_path / "street", street_clip, quiet=True)
        with lan.inside("agent"), street.children:
            street.found_station()
            street.start_collector()
            street.enrol()
            street.take_model()
            yield street, lan, cameras


def test_three_cameras_watch_after_three_commands_and_one_login_each(
    household: tuple[Street, Lan, ExitStack], street_clip: Path
) -> None:
    street, lan, running = household
    clip = prepare(street_clip)
    logins = {member: Login("admin", secrets.token_urlsafe(9)) for member in lan.cameras}
    cameras = []
    for member, name in zip(lan.cameras, _NAMES, strict=True):
        with lan.inside(member):
            camera = VirtualCamera(
                clip,
                name,
                address=lan.address(member),
                onvif_port=80,
                rtsp_port=554,
                login=logins[member],
                discoverable=True,
            )
            cameras.append(running.enter_context(camera))
    installer = Installer(
        street.environment, {lan.address(member): login.password for member, login in logins.items()}
    )
    began_s = time.monotonic()
    found = installer.do("agent discover")
    assert all(lan.address(member) in found for member in lan.cameras), found
    found_s = time.monotonic()
    installer.do("agent cameras add")
    added_s = time.monotonic()
    watching = installer.type("agent run")
    try:
        watched = street.wait_until(lambda: _all_seen(street), "every camera has an event")
        seen_s = time.monotonic()
    finally:
        exit_code = watching.interrupt()
    _show(installer.tally, found_s - began_s, added_s - found_s, seen_s - added_s)
    assert exit_code in {0, 130}
    assert len(watched) == len(_NAMES)
    assert len(installer.tally.commands) == 3
    assert sorted(installer.tally.passwords) == sorted(map(lan.address, lan.cameras))
    assert not installer.tally.other
    for camera in cameras:
        assert (camera.counters.soap_wrong, camera.counters.rtsp_wrong) == (0, 0)


def _all_seen(street: Street) -> set[str] | None:
    seen = {event["camera"] for event in street.search("--limit", "100")}
    return seen if len(seen) == len(_NAMES) else None


def _show(tally: Tally, discover_s: float, add_s: float, event_s: float) -> None:
    total_s = discover_s + add_s + event_s
    print(f"\ncommands   {len(tally.commands)}: {', '.join(tally.commands)}")
    print(f"logins     {len(tally.passwords)} passwords, {tally.names} user names (Enter)")
    print(f"questions  {tally.questions}, of them {tally.confirmations} yes or no")
    print(f"seconds    discover {discover_s:.1f}, add {add_s:.1f}, to an event of each {event_s:.1f}")
    print(f"total      {total_s:.1f} s, and {tally.keys} keys: {tally.keys * _TYPING_S:.0f} s of typing")
