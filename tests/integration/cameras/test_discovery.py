from __future__ import annotations

from agent.cameras.discover import discover, sweep
from tests.integration.cameras.conftest import StartCamera

LOOPBACK = ("127.0.0.1",)


def test_cameras_on_one_machine_are_each_found_once(start_camera: StartCamera) -> None:
    cameras = [start_camera(f"cam{number}", discoverable=True) for number in (1, 2, 3)]
    announced = []
    found = discover(1.0, LOOPBACK, announced.append)
    ours = {camera.identity.endpoint: camera for camera in cameras}
    seen = [candidate for candidate in found if candidate.endpoint in ours]
    assert len(seen) == 3
    for candidate in seen:
        assert candidate.endpoint
        assert candidate.urls[0] == ours[candidate.endpoint].onvif_url
        assert candidate.name == ours[candidate.endpoint].identity.name
    assert announced == list(found)
    assert all(camera.counters.soap_requests == 0 for camera in cameras), "discovery alone asks nobody"


def test_a_camera_that_announces_a_dead_address_is_found_where_it_answers(start_camera: StartCamera) -> None:
    camera = start_camera("moved", discoverable=True)
    camera.faults.xaddr_host = "10.77.0.12"
    found = discover(1.0, LOOPBACK)
    (candidate,) = (one for one in found if one.endpoint == camera.identity.endpoint)
    assert f"http://10.77.0.12:{camera.onvif_port}/onvif/device_service" in candidate.urls
    assert camera.onvif_url in candidate.urls


def test_a_host_can_be_asked_directly(start_camera: StartCamera) -> None:
    camera = start_camera("alone", discoverable=True)
    found = sweep(["127.0.0.1", "127.0.0.9"], 1.0)
    assert camera.identity.endpoint in {candidate.endpoint for candidate in found}


def test_a_silent_network_is_no_error(start_camera: StartCamera) -> None:
    camera = start_camera("mute", discoverable=True)
    camera.faults.discovery_silent = True
    assert camera.identity.endpoint not in {candidate.endpoint for candidate in discover(0.5, LOOPBACK)}


def test_an_interface_that_is_gone_is_passed_over(start_camera: StartCamera) -> None:
    camera = start_camera("cam1", discoverable=True)
    found = discover(1.0, ("203.0.113.77", *LOOPBACK))
    assert camera.identity.endpoint in {candidate.endpoint for candidate in found}
