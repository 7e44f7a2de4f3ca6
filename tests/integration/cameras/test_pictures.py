from __future__ import annotations

from agent.cameras.pictures import NEAR_S, MainPictures
from agent.cameras.stream import StreamAddress
from shared.clock import SystemClock
from tests.integration.cameras.conftest import right_login, until
from tests.integration.cameras.scene import Scene
from tests.virtual_camera import Clip, VirtualCamera

CLOCK = SystemClock()


def test_the_main_stream_gives_the_picture_of_any_moment_it_still_holds(
    camera: VirtualCamera, clip: Clip
) -> None:
    scene = Scene(clip.main)
    pictures = MainPictures("gate", StreamAddress(camera.stream_url("main"), right_login()), CLOCK)
    pictures.start()
    try:
        began_s = CLOCK.monotonic()
        assert pictures.at(began_s) is None
        until(lambda: pictures.at(CLOCK.monotonic()) is not None, "a first picture")
        first_s = CLOCK.monotonic()
        until(lambda: pictures.at(first_s + 3.0) is not None, "three seconds more")
        for wanted_s in (first_s, first_s + 0.7, first_s + 1.9, first_s + 2.6):
            image = pictures.at(wanted_s)
            assert image is not None
            assert image.shape == (576, 768, 3)
            shown_s = scene.moment_s(image)
            assert scene.apart_s(shown_s, wanted_s - camera.rtsp.epoch_s) <= NEAR_S
        assert pictures.at(began_s - 60) is None
        assert pictures.at(CLOCK.monotonic() + 60) is None
    finally:
        pictures.stop()


def test_after_a_break_the_old_session_is_forgotten(camera: VirtualCamera) -> None:
    pictures = MainPictures("gate", StreamAddress(camera.stream_url("main"), right_login()), CLOCK)
    pictures.start()
    try:
        until(lambda: pictures.at(CLOCK.monotonic()) is not None, "a first picture")
        before_s = CLOCK.monotonic()
        camera.rtsp.drop_connections()
        until(lambda: camera.counters.rtsp_plays == 2, "a second session")
        until(lambda: pictures.at(CLOCK.monotonic()) is not None, "a picture of the second session")
        assert CLOCK.monotonic() - before_s < NEAR_S or pictures.at(before_s - NEAR_S) is None
    finally:
        pictures.stop()
