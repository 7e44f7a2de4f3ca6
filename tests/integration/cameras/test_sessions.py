"""Is the camera left alone when it should be, and told when we go? Counted at the camera."""

from __future__ import annotations

import gc
import threading

import psutil
import pytest

from agent.cameras.knock import Answer, knock
from agent.cameras.look import look
from agent.cameras.pictures import MainPictures
from agent.cameras.stream import StreamAddress, StreamBusy
from shared.clock import SystemClock
from tests.conftest import free_port
from tests.integration.cameras.conftest import StartCamera, right_login, until
from tests.integration.cameras.test_stream import Viewer
from tests.virtual_camera import VirtualCamera

CLOCK = SystemClock()
RECONNECTS = 40


def test_a_knock_tells_apart_who_is_there_and_spends_no_login(
    camera: VirtualCamera, start_camera: StartCamera
) -> None:
    hung = start_camera("hung")
    hung.faults.hang = True
    assert knock(camera.stream_url("sub")) is Answer.THERE
    assert knock(hung.stream_url("sub")) is Answer.MUTE
    assert knock(f"rtsp://127.0.0.1:{free_port()}/sub") is Answer.CLOSED
    assert knock("rtsp://no-such-host.invalid/sub") is Answer.SILENT
    assert camera.counters.rtsp_credentialed == 0
    assert camera.counters.rtsp_wrong == 0


def test_while_a_camera_is_away_no_login_is_spent_and_its_return_is_seen_at_once(
    camera: VirtualCamera,
) -> None:
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(3)
        camera.faults.hang = True
        camera.rtsp.drop_connections()
        viewer.await_cause("stalled")
        knocked = camera.counters.rtsp_connections
        until(lambda: camera.counters.rtsp_connections >= knocked + 4, "four more knocks")
        assert camera.counters.rtsp_credentialed == 1
        camera.faults.hang = False
        viewer.await_frames(3)
    assert camera.counters.rtsp_credentialed == 2


def test_every_way_out_of_a_session_tells_the_camera(camera: VirtualCamera) -> None:
    main = MainPictures("gate", StreamAddress(camera.stream_url("main"), right_login()), CLOCK)
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        main.start()
        viewer.await_frames(2)
        until(lambda: main.at(CLOCK.monotonic() - 0.3) is not None, "a picture")
        camera.faults.frozen = True
        viewer.await_cause("stalled")
        until(lambda: camera.counters.rtsp_teardowns >= 2, "the end of both stalled sessions")
        camera.faults.frozen = False
        viewer.await_frames(2)
        main.stop()
    look(StreamAddress(camera.stream_url("sub"), right_login()), CLOCK)
    until(lambda: camera.counters.rtsp_teardowns == camera.counters.rtsp_plays, "a TEARDOWN for every PLAY")


def test_a_session_that_broke_off_is_waited_out(camera: VirtualCamera) -> None:
    camera.faults.most_sessions = 1
    camera.rtsp.session_timeout_s = 12.0
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(3)
        camera.rtsp.drop_connections()
        viewer.await_cause("busy")
        with pytest.raises(StreamBusy):
            look(StreamAddress(camera.stream_url("sub"), right_login()), CLOCK)
        viewer.await_frames(3)
    assert camera.counters.rtsp_busy <= 4, "asked a few times, not hammered"


def test_a_bad_answer_to_our_sign_of_life_ends_nothing(camera: VirtualCamera) -> None:
    camera.rtsp.session_timeout_s = 4.0
    camera.faults.keepalive_refused = True
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        until(lambda: camera.counters.rtsp_keepalives >= 3, "three signs of life")
        viewer.await_frames(5)
    assert camera.counters.rtsp_plays == 1


def test_a_key_frame_that_does_not_come_is_said(camera: VirtualCamera) -> None:
    camera.faults.no_key_frames = True
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_cause("connecting")
        viewer.await_cause("no-key-frame")
        assert not viewer.frames
        camera.faults.no_key_frames = False
        viewer.await_frames(2)
        viewer.await_cause("ok")
    assert camera.counters.rtsp_plays == 1, "a new session would not bring it sooner"


def test_a_stream_goes_on_at_another_address_at_once(
    camera: VirtualCamera, start_camera: StartCamera
) -> None:
    other = start_camera("other")
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        viewer.await_frames(2)
        viewer.stream.move_to(StreamAddress(other.stream_url("sub"), right_login()))
        until(lambda: other.counters.rtsp_plays == 1, "a session over there")
        viewer.await_frames(2)
    assert camera.counters.rtsp_teardowns == 1


def test_reconnecting_again_and_again_leaves_nothing_behind(camera: VirtualCamera) -> None:
    ours = psutil.Process()
    with Viewer(camera.stream_url("sub"), right_login()) as viewer:
        for number in range(RECONNECTS):
            next_one = camera.counters.rtsp_plays + 1
            camera.rtsp.drop_connections()
            viewer.stream._reader._backoff.forget()
            viewer.stream._reader._wake.set()  # the waits between them are tested elsewhere
            until(lambda least=next_one: camera.counters.rtsp_plays >= least, "the next session")
            if number == 5:  # by then every library has loaded what it needs
                gc.collect()
                before = ours.memory_info().rss, ours.num_fds(), threading.active_count()
        gc.collect()
        rss, fds, threads = ours.memory_info().rss, ours.num_fds(), threading.active_count()
    assert threads <= before[2]
    assert fds <= before[1] + 2, "one session and one knock may be just under way"
    assert rss - before[0] < 8 << 20, "a session's buffers are 1 MB: one lost each time would be 35"
