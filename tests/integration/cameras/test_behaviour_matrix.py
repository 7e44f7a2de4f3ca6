"""What plain ONVIF libraries fail at, row by row (measured in the study of 2026-11), on real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cameras import adding, credentials
from agent.cameras.discover import Candidate
from agent.cameras.look import look
from agent.cameras.onvif import Camera, know
from agent.cameras.soap import CameraLocked, CameraUnreachable, FewTriesLeft, PasswordOrClock
from agent.cameras.stream import StreamAddress, WrongPassword
from shared.clock import SystemClock
from tests.conftest import free_port
from tests.integration.cameras.conftest import StartCamera, right_login, wrong_login
from tests.virtual_camera import VirtualCamera

CLOCK = SystemClock()
DAY_S = 86_400.0

ROWS: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "clock an hour ahead": {"clock_offset_s": 3600.0},
    "clock a day behind": {"clock_offset_s": -DAY_S},
    "clock a day ahead, its time wants a login": {"clock_offset_s": DAY_S, "time_needs_login": True},
    "local time called UTC": {"local_time_s": 7 * 3600.0},
    "local time called UTC, a quarter zone": {"local_time_s": -(5 * 3600.0 + 45 * 60)},
    "no Date in its answers": {"dateless": True, "clock_offset_s": 100.0},
    "HTTP Digest only": {"http_digest_only": True},
    "HTTP Digest only, time too, clock off": {
        "http_digest_only": True,
        "time_needs_login": True,
        "clock_offset_s": -900.0,
    },
    "XAddr of an address that does not answer": {"xaddr_host": "192.0.2.1"},
    "newline, space and &amp; in the stream's address": {"untidy_uri": True},
    "Media2 beside Media1": {"media2": "also"},
    "Media2 only": {"media2": "only"},
    "Media2 announced and broken": {"media2": "broken"},
    "profiles lie about the codec": {"said_encoding": "MPEG4"},
    "snapshot at a stranger's": {"snapshot_uri": "http://gwelltimes.com/snap.jpg"},
}
rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


def ail(camera: VirtualCamera, row: dict[str, Any]) -> None:
    for name, value in row.items():
        setattr(camera.faults, name, value)


def ask(camera: VirtualCamera, login: credentials.Credential) -> Camera:
    return know([camera.onvif_url], login, CLOCK)


@rows
def test_the_camera_is_known_and_its_stream_is_seen(camera: VirtualCamera, row: dict[str, Any]) -> None:
    ail(camera, row)
    known = ask(camera, right_login())
    assert known.identity.serial == camera.identity.serial
    assert known.identity.endpoint == camera.identity.endpoint
    assert known.clock_offset_s == pytest.approx(row.get("clock_offset_s", 0.0), abs=30)
    (source,) = known.sources
    assert source.detect_url.startswith(f"rtsp://127.0.0.1:{camera.rtsp.port}/1/sub")
    facts = look(StreamAddress(source.detect_url, right_login()), CLOCK)
    assert (facts.codec, facts.width) == ("h264", 640), "the codec is the stream's word, not the profile's"
    assert camera.counters.soap_wrong == 0
    assert camera.counters.rtsp_wrong == 0
    assert camera.counters.subscriptions == 0, "some cameras have one event subscription in all"
    assert camera.counters.snapshots == 0, "pictures come from the main stream: a snapshot cannot lie"


@rows
def test_a_wrong_password_is_one_message(camera: VirtualCamera, tmp_path: Path, row: dict[str, Any]) -> None:
    ail(camera, row)
    login = wrong_login()
    candidate = Candidate("127.0.0.1", camera.identity.endpoint, (camera.onvif_url,))
    for _ in range(3):
        with pytest.raises(WrongPassword):
            adding.add(tmp_path, candidate, login, CLOCK)
        with pytest.raises(WrongPassword):
            look(StreamAddress(camera.stream_url("sub"), login), CLOCK)
    spent = camera.counters.soap_credentialed + camera.counters.rtsp_credentialed
    assert (spent, camera.counters.soap_wrong) == (1, 1)


def test_a_password_refused_over_rtsp_is_not_said_over_onvif(camera: VirtualCamera) -> None:
    login = wrong_login()
    with pytest.raises(WrongPassword):
        look(StreamAddress(camera.stream_url("sub"), login), CLOCK)
    with pytest.raises(WrongPassword):
        ask(camera, login)
    assert (camera.counters.rtsp_credentialed, camera.counters.soap_credentialed) == (1, 0)


def test_how_many_tries_are_left_is_passed_on(camera: VirtualCamera) -> None:
    camera.faults.locks_after = 5
    with pytest.raises(FewTriesLeft) as caught:
        ask(camera, wrong_login())
    assert caught.value.facts["attempts"] == 4
    assert "4" in caught.value.what()


def test_a_locked_camera_is_said_to_be_locked(camera: VirtualCamera) -> None:
    camera.faults.locks_after = 1
    with pytest.raises(WrongPassword):
        ask(camera, wrong_login())
    with pytest.raises(CameraLocked):
        ask(camera, right_login())


def test_when_the_clock_may_be_the_reason_it_is_named(camera: VirtualCamera) -> None:
    camera.faults.local_time_s, camera.faults.dateless = 7 * 3600.0, True
    with pytest.raises(PasswordOrClock) as caught:
        ask(camera, right_login())
    assert caught.value.facts["hours"] == pytest.approx(7, abs=0.02)
    assert camera.counters.soap_credentialed == 1


def test_no_call_waits_for_ever(camera: VirtualCamera) -> None:
    camera.faults.http_silent = True
    began_s = time.monotonic()
    with pytest.raises(CameraUnreachable):
        ask(camera, right_login())
    assert time.monotonic() - began_s < 60, "5 s are its limit; the rest is a busy machine's"


def test_another_camera_at_an_announced_address_gets_no_login(start_camera: StartCamera) -> None:
    moved, squatter = start_camera("moved"), start_camera("squatter")
    urls = [f"http://127.0.0.1:{free_port()}/onvif/device_service", squatter.onvif_url, moved.onvif_url]
    known = know(urls, right_login(), CLOCK, moved.identity.endpoint)
    assert known.identity.serial == moved.identity.serial
    assert squatter.counters.soap_credentialed == 0


def test_service_descriptions_are_parsed_once_per_process(
    camera: VirtualCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(camera, right_login())
    parsed: list[Callable[..., object]] = []
    monkeypatch.setattr("zeep.wsdl.Document.__init__", lambda *_, **__: parsed.append(ask))
    ask(camera, right_login())
    assert not parsed
