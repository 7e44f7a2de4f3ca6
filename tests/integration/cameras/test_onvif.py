from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.cameras.credentials import Credential
from agent.cameras.onvif import Camera, know
from agent.cameras.soap import CameraFault, CameraUnreachable
from agent.cameras.stream import WrongPassword
from shared.clock import SystemClock
from tests.conftest import free_port
from tests.integration.cameras.conftest import StartCamera, right_login, wrong_login
from tests.virtual_camera import VirtualCamera


def ask(camera: VirtualCamera, login: Credential | None = None) -> Camera:
    return know([camera.onvif_url], login or right_login(), SystemClock())


def test_a_camera_says_who_it_is_and_what_it_streams(camera: VirtualCamera) -> None:
    known = ask(camera)
    assert known.identity.serial == camera.identity.serial
    assert known.identity.mac == camera.identity.mac
    assert known.identity.name == "cam1"
    (source,) = known.sources
    assert source.detect_url == f"rtsp://127.0.0.1:{camera.rtsp.port}/1/sub"
    assert source.picture_url == f"rtsp://127.0.0.1:{camera.rtsp.port}/1/main"
    assert (source.detect.width, source.picture.width) == (640, 768)
    assert camera.counters.soap_wrong == 0
    assert camera.counters.subscriptions == 0, "some cameras have one event subscription in all"


QUIRKS = [
    {"clock_offset_s": 3600.0},
    {"clock_offset_s": -5 * 365 * 86400.0},
    {"clock_offset_s": 3600.0, "time_needs_login": True},
    {"http_digest_only": True},
    {"http_digest_only": True, "time_needs_login": True, "clock_offset_s": -900.0},
    {"xaddr_host": "10.77.0.12"},
    {"untidy_uri": True},
]


@pytest.mark.parametrize("quirks", QUIRKS, ids=str)
def test_a_quirky_camera_is_understood_without_a_wrong_try(
    camera: VirtualCamera, quirks: dict[str, Any]
) -> None:
    for name, value in quirks.items():
        setattr(camera.faults, name, value)
    known = ask(camera)
    assert known.identity.serial == camera.identity.serial
    assert known.sources[0].detect_url.startswith(f"rtsp://127.0.0.1:{camera.rtsp.port}/1/sub")
    assert known.clock_offset_s == pytest.approx(quirks.get("clock_offset_s", 0.0), abs=30)
    assert camera.counters.soap_wrong == 0


@pytest.mark.parametrize("quirks", [{}, *QUIRKS], ids=str)
def test_a_wrong_password_is_said_exactly_once(camera: VirtualCamera, quirks: dict[str, Any]) -> None:
    for name, value in quirks.items():
        setattr(camera.faults, name, value)
    login = wrong_login()
    for _ in range(3):
        with pytest.raises(WrongPassword):
            ask(camera, login)
    assert login.refused
    assert camera.counters.soap_credentialed == 1
    assert camera.counters.soap_wrong == 1


def test_a_camera_that_wants_a_login_and_gets_none_is_not_tried(camera: VirtualCamera) -> None:
    with pytest.raises(WrongPassword):
        know([camera.onvif_url], None, SystemClock())
    assert camera.counters.soap_credentialed == 0


def test_a_camera_without_a_password_needs_none(start_camera: StartCamera) -> None:
    camera = start_camera(login=None)
    assert know([camera.onvif_url], None, SystemClock()).sources


def test_a_recorder_is_as_many_cameras_as_it_has_sources(camera: VirtualCamera) -> None:
    camera.faults.video_sources = 4
    sources = ask(camera).sources
    assert [source.token for source in sources] == ["VS1", "VS2", "VS3", "VS4"]
    assert len({source.detect_url for source in sources}) == 4


def test_the_first_address_that_answers_is_taken(camera: VirtualCamera) -> None:
    dead = f"http://127.0.0.1:{free_port()}/onvif/device_service"
    assert know([dead, camera.onvif_url], right_login(), SystemClock()).url == camera.onvif_url


def test_nobody_there_is_said_so() -> None:
    with pytest.raises(CameraUnreachable):
        know([f"http://127.0.0.1:{free_port()}/onvif/device_service"], right_login(), SystemClock())


@contextmanager
def serving(answer: bytes) -> Iterator[str]:
    """A device that says the same to everybody, then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/onvif/device_service"
        listener.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nConnection: close\r\n\r\n"
BOMB = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 1000 + b'"><!ENTITY b "' + b"&a;" * 100 + b'">]><x>&b;</x>'


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot here!",
        HEAD + b"<html><body>Router login",
        HEAD + b"<a/>",
        HEAD,
        HEAD + BOMB,
        HEAD + b"<s>" + b"x" * (3 << 20),
        b"RTSP/1.0 200 OK\r\n\r\n",
    ],
    ids=["404", "HTML", "other XML", "empty", "entities", "endless", "not HTTP"],
)
def test_a_device_that_is_no_camera_is_refused_in_words(answer: bytes) -> None:
    with serving(answer) as url, pytest.raises((CameraFault, CameraUnreachable)) as caught:
        know([url], right_login(), SystemClock())
    assert caught.value.what()
    assert caught.value.hint()


def test_importing_the_library_does_not_touch_our_logging(camera: VirtualCamera) -> None:
    handlers = logging.getLogger().handlers[:]
    ask(camera)
    assert logging.getLogger().handlers == handlers
