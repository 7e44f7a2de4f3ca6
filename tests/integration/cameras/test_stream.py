from __future__ import annotations

import threading
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from agent.cameras import credentials
from agent.cameras.credentials import Credential
from agent.cameras.look import look
from agent.cameras.pictures import MainPictures
from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.cameras.stream import StreamAddress, StreamRefused, StreamUnreachable, WrongPassword
from agent.vision.frame import Frame
from shared.clock import SystemClock
from shared.messages import CameraState
from tests.conftest import free_port
from tests.integration.cameras.conftest import StartCamera, right_login, until, wrong_login
from tests.integration.cameras.relay import Relay
from tests.integration.cameras.scene import Scene
from tests.virtual_camera import Clip, VirtualCamera

CLOCK = SystemClock()
CLOSE_S = 0.5  # five pictures of the clip: what a starved machine may blur, far under a stall


class Viewer:
    """A stream being read, its frames kept; stopped with the test."""

    def __init__(self, url: str, login: Credential | None, *, sampled_fps: float = 5) -> None:
        self.slot = FrameSlot()
        self.frames: list[Frame] = []
        self.stream = CameraStream(
            "gate", StreamAddress(url, login), CLOCK, slot=self.slot, sampled_fps=sampled_fps
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)

    @property
    def cause(self) -> str:
        return self.stream.health(CLOCK.monotonic()).cause

    def await_cause(self, cause: str) -> None:
        until(lambda: self.cause == cause, f"cause {cause}, last {self.cause}")

    def await_frames(self, more: int) -> list[Frame]:
        """Return the next so many frames."""
        before = len(self.frames)
        until(lambda: len(self.frames) >= before + more, f"{more} more frames ({self.cause})")
        return self.frames[before:]

    def _take(self) -> None:
        while not self._done.is_set():
            if frame := self.slot.take(0.1):
                self.frames.append(frame)

    def __enter__(self) -> Self:
        self.stream.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.stream.stop()
        self._thread.join(10)


@pytest.fixture(scope="session")
def scene(clip: Clip) -> Scene:
    return Scene(clip.sub)


def assert_shows_its_moment(frames: list[Frame], camera: VirtualCamera, scene: Scene) -> None:
    """Every frame shows what the street showed when the frame says it was seen."""
    assert frames
    for frame in frames:
        live_s = frame.monotonic_s - camera.rtsp.epoch_s
        assert scene.apart_s(scene.moment_s(frame.image), live_s) <= CLOSE_S
    order = [frame.monotonic_s for frame in frames]
    assert order == sorted(set(order))


def test_frames_show_the_moment_they_say_they_were_seen(camera: VirtualCamera, scene: Scene) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        frames = viewer.await_frames(15)
        viewer.await_cause("ok")
    assert_shows_its_moment(frames, camera, scene)
    assert frames[0].image.shape == (480, 640, 3)
    spread_s = {frame.captured_at.timestamp() - frame.monotonic_s for frame in frames}
    assert max(spread_s) - min(spread_s) < 1e-3, "the wall clock is read once per session"
    assert camera.counters.rtsp_credentialed == 1
    assert camera.counters.rtsp_wrong == 0


def test_only_so_many_frames_per_second_are_handed_on(camera: VirtualCamera) -> None:
    with Viewer(camera.stream_url("sub"), right_login(), sampled_fps=2) as viewer:
        frames = viewer.await_frames(6)
    gaps_s = [later.monotonic_s - frame.monotonic_s for frame, later in pairwise(frames)]
    assert min(gaps_s) > 0.3


def test_a_frozen_camera_is_noticed_and_its_return_too(camera: VirtualCamera, scene: Scene) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(3)
        camera.faults.frozen = True
        viewer.await_cause("stalled")
        assert viewer.stream.health(CLOCK.monotonic()).state is CameraState.DOWN
        camera.faults.frozen = False
        frames = viewer.await_frames(5)
        viewer.await_cause("ok")
    assert_shows_its_moment(frames, camera, scene)


def test_a_killed_camera_is_noticed_and_its_return_too(camera: VirtualCamera, scene: Scene) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(3)
        camera.faults.refuse_rtsp = True
        viewer.await_cause("refused")
        camera.faults.refuse_rtsp = False
        frames = viewer.await_frames(5)
    assert_shows_its_moment(frames, camera, scene)


def test_a_dropped_connection_is_taken_up_again(camera: VirtualCamera) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(3)
        camera.rtsp.drop_connections()
        until(lambda: camera.counters.rtsp_plays == 2, "a second session")
        viewer.await_frames(3)


def test_what_a_long_hole_held_back_is_never_taken_for_new(camera: VirtualCamera, scene: Scene) -> None:
    with Relay(camera.rtsp.port) as relay:
        url = f"rtsp://127.0.0.1:{relay.port}/sub"
        with Viewer(url, right_login()) as viewer:
            viewer.await_frames(3)
            relay.begin_hole()
            viewer.await_cause("stalled")
            relay.end_hole()
            viewer.await_frames(5)
    assert_shows_its_moment(viewer.frames, camera, scene)


def test_what_a_short_hole_held_back_carries_the_time_it_was_seen(
    camera: VirtualCamera, scene: Scene
) -> None:
    with Relay(camera.rtsp.port) as relay:
        url = f"rtsp://127.0.0.1:{relay.port}/sub"
        with Viewer(url, right_login()) as viewer:
            viewer.await_frames(3)
            relay.begin_hole()
            CLOCK.sleep(1.2)
            relay.end_hole()
            viewer.await_frames(8)
    assert_shows_its_moment(viewer.frames, camera, scene)


def test_a_new_resolution_arrives_with_the_next_session(camera: VirtualCamera) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(2)
        camera.faults.sub_shows_main = True
        camera.rtsp.drop_connections()
        until(lambda: viewer.frames[-1].size == (768, 576), "the new size")


def test_a_rate_too_low_to_watch_is_said(camera: VirtualCamera) -> None:
    with Viewer(camera.stream_url("sub"), right_login(), sampled_fps=30) as viewer:
        viewer.await_frames(1)
        viewer.await_cause("low-fps")
        assert viewer.stream.health(CLOCK.monotonic()).state is CameraState.DEGRADED


def test_both_streams_together_say_a_wrong_password_once_and_never_again(
    camera: VirtualCamera, tmp_path: Path
) -> None:
    credentials.save(tmp_path, "gate", wrong_login())
    login = credentials.load(tmp_path, "gate")
    assert login is not None
    main = MainPictures("gate", StreamAddress(camera.stream_url("main"), login), CLOCK)
    with ExitStack() as rest, Viewer(camera.stream_url("sub"), login) as viewer:
        main.start()
        rest.callback(main.stop)
        viewer.await_cause("wrong-password")
        CLOCK.sleep(3)  # two first back-offs: whoever retries has done it by now
    assert camera.counters.rtsp_credentialed == 1
    assert camera.counters.rtsp_wrong == 1

    restarted = credentials.load(tmp_path, "gate")
    connections = camera.counters.rtsp_connections
    with Viewer(camera.stream_url("sub"), restarted) as viewer:
        viewer.await_cause("wrong-password")
    assert camera.counters.rtsp_connections == connections


def test_a_login_typed_anew_is_taken_up_without_a_restart(camera: VirtualCamera, tmp_path: Path) -> None:
    credentials.save(tmp_path, "gate", wrong_login())
    with Viewer(camera.stream_url("sub"), credentials.load(tmp_path, "gate")) as viewer:
        viewer.await_cause("wrong-password")
        credentials.save(tmp_path, "gate", right_login())
        viewer.await_frames(2)
    assert camera.counters.rtsp_wrong == 1


def test_the_stream_itself_says_what_it_carries(camera: VirtualCamera) -> None:
    facts = look(StreamAddress(camera.stream_url("main"), right_login()), CLOCK)
    assert (facts.codec, facts.width, facts.height) == ("h264", 768, 576)
    assert facts.fps == pytest.approx(10, abs=3)


def test_each_failure_has_its_name(camera: VirtualCamera, start_camera: StartCamera) -> None:
    with pytest.raises(StreamRefused):
        look(StreamAddress(f"rtsp://127.0.0.1:{free_port()}/sub"), CLOCK)
    with pytest.raises(StreamRefused):
        look(StreamAddress(camera.stream_url("nothing"), right_login()), CLOCK)
    with pytest.raises(WrongPassword):
        look(StreamAddress(camera.stream_url("sub")), CLOCK)
    hung = start_camera("hung")
    hung.faults.hang = True
    with pytest.raises(StreamUnreachable):
        look(StreamAddress(hung.stream_url("sub"), right_login()), CLOCK)


def test_no_password_is_in_any_error_or_on_any_stream_of_output(
    camera: VirtualCamera, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    failures = []
    for url in (camera.stream_url("sub"), camera.stream_url("nothing"), f"rtsp://127.0.0.1:{free_port()}/x"):
        try:
            look(StreamAddress(url, Credential("admin", wrong_login().password)), CLOCK)
        except (WrongPassword, StreamRefused) as error:
            failures.append(f"{error} {error!r} {error.__cause__!r} {error.__suppress_context__}")
    with Viewer(camera.stream_url("sub"), wrong_login()) as viewer:
        viewer.await_cause("wrong-password")
    printed = capfd.readouterr()
    assert len(failures) == 3
    assert "wrong@" not in "".join([*failures, printed.out, printed.err, caplog.text])
    assert all(line.endswith("None True") for line in failures)
