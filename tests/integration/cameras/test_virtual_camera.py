"""The tests of the tests' camera: what it promises, everything else here builds on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import av

from tests.conftest import REPOSITORY
from tests.integration.cameras.conftest import StartCamera, until
from tests.virtual_camera import VirtualCamera


def ask(port: int, *lines: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(65536).decode()


def first_packets(url: str, count: int) -> list[tuple[bytes, bool]]:
    options = {"rtsp_transport": "tcp", "probesize": "32"}
    with av.open(url, options=options, timeout=(20, 20)) as container:
        packets = container.demux(video=0)
        return [(bytes(packet), packet.is_keyframe) for packet, _ in zip(packets, range(count), strict=False)]


def test_video_over_udp_is_refused(start_camera: StartCamera) -> None:
    camera = start_camera(login=None)
    url = camera.stream_url("sub")
    answer = ask(
        camera.rtsp.port,
        f"SETUP {url}/track1 RTSP/1.0",
        "CSeq: 1",
        "Transport: RTP/AVP;unicast;client_port=5000-5001",
    )
    assert answer.startswith("RTSP/1.0 461 ")


def test_no_video_without_the_password(camera: VirtualCamera) -> None:
    answer = ask(camera.rtsp.port, f"DESCRIBE {camera.stream_url('sub')} RTSP/1.0", "CSeq: 1")
    assert answer.startswith("RTSP/1.0 401 ")
    assert "Digest realm=" in answer


def test_eight_viewers_see_the_same_picture_at_the_same_moment(start_camera: StartCamera) -> None:
    camera = start_camera(login=None)
    seen: list[list[tuple[bytes, bool]]] = []
    threads = [
        threading.Thread(target=lambda: seen.append(first_packets(camera.stream_url("sub"), 45)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(seen) == 8
    assert all(packets[0][1] for packets in seen), "a viewer did not begin at a key frame"
    common = set.intersection(*({data for data, _ in packets} for packets in seen))
    assert len(common) >= 20


def test_a_session_nobody_keeps_alive_ends(start_camera: StartCamera) -> None:
    camera = start_camera(login=None)
    camera.rtsp.session_timeout_s = 0.2
    with socket.create_connection(("127.0.0.1", camera.rtsp.port), timeout=10) as connection:
        try:
            rest = connection.recv(1)
        except ConnectionResetError:
            rest = b""
    assert rest == b""


def test_the_command_says_when_it_is_ready_and_stops_when_told(street_clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.virtual_camera", "--video", str(street_clip), "--no-discovery"]
    environment = os.environ | {"VIRTUAL_CAMERA_PASSWORD": "secret"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=environment) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        answer = ask(ready["rtsp_port"], f"DESCRIBE {ready['main']} RTSP/1.0", "CSeq: 1")
        assert answer.startswith("RTSP/1.0 401 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_killed_camera_closes_its_port_and_comes_back_on_the_same(camera: VirtualCamera) -> None:
    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", camera.rtsp.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    camera.faults.refuse_rtsp = True
    until(lambda: not listens(), "the port closes")
    camera.faults.refuse_rtsp = False
    until(listens, "the port opens again")
