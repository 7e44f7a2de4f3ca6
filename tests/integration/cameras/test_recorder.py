"""Show 4: a recorder with eight sources behind one endpoint, one of them dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.cameras import adding, credentials, guard, register
from agent.cameras.credentials import Credential
from agent.cameras.discover import Candidate
from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.cameras.stream import WrongPassword
from agent.commands import cameras as command
from agent.health import KNOWN, Problem
from shared.clock import SystemClock
from shared.messages import CameraState
from tests.integration.cameras.conftest import USER, StartCamera, right_login, until
from tests.virtual_camera import VirtualCamera

CLOCK = SystemClock()
CHANNELS, DEAD = 8, 5


@pytest.fixture
def recorder(start_camera: StartCamera) -> VirtualCamera:
    recorder = start_camera("dvr")
    recorder.faults.video_sources = CHANNELS
    recorder.faults.dead_sources = frozenset({DEAD})
    return recorder


def add(home: Path, recorder: VirtualCamera, login: Credential | None = None) -> tuple[adding.Added, ...]:
    candidate = Candidate("127.0.0.1", recorder.identity.endpoint, (recorder.onvif_url,))
    return adding.add(home, candidate, login or right_login(), CLOCK)


@contextmanager
def watching(home: Path) -> Iterator[dict[str, CameraStream]]:
    """Every channel as `agent run` watches it, with the login the register says is its."""
    with ExitStack() as stopped:
        streams = {}
        for entry in register.load(home):
            login = credentials.load(home, entry.login_name)
            address = guard.detect_address(entry, login, CLOCK)
            stream = CameraStream(entry.name, address, CLOCK, slot=FrameSlot(), sampled_fps=2)
            stream.start()
            stopped.callback(stream.stop)
            streams[entry.name] = stream
        yield streams


def causes(streams: dict[str, CameraStream]) -> dict[str, str]:
    return {name: stream.health(CLOCK.monotonic()).cause for name, stream in streams.items()}


def test_seven_run_and_the_eighth_is_named_with_its_cause(recorder: VirtualCamera, tmp_path: Path) -> None:
    added = add(tmp_path, recorder)
    assert [one.entry.name for one in added] == [f"dvr-{number}" for number in range(1, CHANNELS + 1)]
    (dead,) = [one for one in added if one.failure]
    assert dead.entry.name == f"dvr-{DEAD}"
    assert dead.failure is not None
    assert dead.failure.cause == "refused"
    with watching(tmp_path) as streams:
        running = set(streams) - {dead.entry.name}
        until(lambda: all(causes(streams)[name] == "ok" for name in running), "seven channels run")
        until(lambda: causes(streams)[dead.entry.name] == "refused", "the eighth says why")
        health = streams[dead.entry.name].health(CLOCK.monotonic())
        assert health.state is CameraState.DOWN
        assert health.cause in KNOWN
        assert dead.entry.name in Problem(health.cause, health.camera).what()
        recorder.faults.dead_sources = frozenset()
        until(lambda: causes(streams)[dead.entry.name] == "ok", "a camera was plugged in", 90)
    assert recorder.counters.soap_wrong + recorder.counters.rtsp_wrong == 0


def test_the_command_names_the_dead_channel(
    recorder: VirtualCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command._show_added(add(tmp_path, recorder))
    said = capsys.readouterr().out
    assert said.count("✓") == CHANNELS - 1
    (line,) = [line for line in said.splitlines() if line.startswith("✗")]
    assert f"dvr-{DEAD}" in line
    assert f"agent cameras remove dvr-{DEAD}" in said


def test_a_password_changed_on_the_recorder_costs_one_try_for_all_channels(
    recorder: VirtualCamera, tmp_path: Path
) -> None:
    recorder.faults.dead_sources = frozenset()
    add(tmp_path, recorder)
    recorder.change_password("changed by somebody")
    with watching(tmp_path) as streams:
        until(lambda: set(causes(streams).values()) == {"wrong-password"}, "all eight say so")
        CLOCK.sleep(3)  # two first back-offs: whoever retries has done it by now
        assert recorder.counters.rtsp_wrong == 1
        owner = register.load(tmp_path)[0].login_name
        credentials.save(tmp_path, owner, Credential(USER, recorder.password))
        until(lambda: set(causes(streams).values()) == {"ok"}, "one login for all eight")
    assert recorder.counters.rtsp_wrong == 1


def test_a_wrong_password_typed_for_a_recorder_is_said_once(recorder: VirtualCamera, tmp_path: Path) -> None:
    wrong = Credential(USER, SecretStr("wrong"))
    with pytest.raises(WrongPassword):
        add(tmp_path, recorder, wrong)
    assert recorder.counters.soap_credentialed + recorder.counters.rtsp_credentialed == 1
    assert register.load(tmp_path) == ()


def test_a_recorder_added_again_is_the_same_recorder(recorder: VirtualCamera, tmp_path: Path) -> None:
    recorder.faults.video_sources = 2  # enough to tell
    add(tmp_path, recorder)
    before = register.load(tmp_path)
    add(tmp_path, recorder)
    after = register.load(tmp_path)
    assert [(entry.name, entry.login_name) for entry in after] == [
        (entry.name, entry.login_name) for entry in before
    ]


def test_a_recorder_without_the_channel_its_login_is_named_after_keeps_the_login(
    recorder: VirtualCamera, tmp_path: Path
) -> None:
    recorder.faults.video_sources = 3
    add(tmp_path, recorder)
    first, *rest = register.load(tmp_path)
    command._remove_one(tmp_path, first)
    assert {entry.login_name for entry in register.load(tmp_path)} == {rest[0].name}
    assert credentials.load(tmp_path, first.name) is None
    assert credentials.load(tmp_path, rest[0].name) is not None
    for entry in register.load(tmp_path):
        command._remove_one(tmp_path, entry)
    assert credentials.load(tmp_path, rest[0].name) is None
