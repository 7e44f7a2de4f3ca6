from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.cameras import masks
from agent.cameras.masks import CameraMasks, LiveMasks
from agent.cameras.pictures import MainPictures
from agent.cameras.rtsp import CameraStream, FrameSlot
from agent.cameras.stream import StreamAddress
from agent.vision.frame import Frame, Image
from shared.clock import SystemClock
from shared.errors import FileUnreadable
from tests.integration.cameras.conftest import right_login, until
from tests.virtual_camera import VirtualCamera

CLOCK = SystemClock()
LEFT_HALF = CameraMasks(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
TOP = CameraMasks(polygons=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (0.0, 0.25)),))


def left(image: Image) -> Image:
    return image[:, : image.shape[1] // 2]


def right(image: Image) -> Image:
    return image[:, round(image.shape[1] * 0.52) :]


def test_a_masked_neighbour_is_black_in_every_frame_and_picture(
    tmp_path: Path, camera: VirtualCamera
) -> None:
    masks.save(tmp_path, "gate", LEFT_HALF)
    live, slot = LiveMasks(tmp_path, "gate", CLOCK), FrameSlot()
    stream = CameraStream(
        "gate",
        StreamAddress(camera.stream_url("sub"), right_login()),
        CLOCK,
        slot=slot,
        sampled_fps=10,
        masks=live,
    )
    pictures = MainPictures("gate", StreamAddress(camera.stream_url("main"), right_login()), CLOCK, live)
    stream.start()
    pictures.start()
    try:
        for _ in range(10):
            frame = slot.take(60)
            assert frame is not None
            assert not left(frame.image).any()
            assert right(frame.image).mean() > 30
        until(lambda: pictures.at(CLOCK.monotonic()) is not None, "a main picture")
        full = pictures.at(CLOCK.monotonic())
        assert full is not None
        assert full.shape == (576, 768, 3)
        assert not left(full).any()
        assert right(full).mean() > 30
    finally:
        stream.stop()
        pictures.stop()


def test_a_new_mask_is_in_force_within_seconds_and_a_broken_file_opens_none(
    tmp_path: Path, camera: VirtualCamera
) -> None:
    live, slot = LiveMasks(tmp_path, "gate", CLOCK), FrameSlot()
    stream = CameraStream(
        "gate",
        StreamAddress(camera.stream_url("sub"), right_login()),
        CLOCK,
        slot=slot,
        sampled_fps=10,
        masks=live,
    )
    stream.start()

    def newest() -> Frame:
        frame = slot.take(60)
        assert frame is not None
        return frame

    try:
        assert left(newest().image).any()
        masks.save(tmp_path, "gate", LEFT_HALF)
        until(lambda: not left(newest().image).any(), "the mask in force", patience_s=20)
        (tmp_path / masks.FILE).write_text("not toml [")
        with pytest.raises(FileUnreadable):
            LiveMasks(tmp_path, "gate", CLOCK)
        for _ in range(15):  # over the second after which the file is looked at
            assert not left(newest().image).any()
        (tmp_path / masks.FILE).unlink()
        for _ in range(15):
            assert not left(newest().image).any()
        masks.save(tmp_path, "gate", TOP)
        until(lambda: bool(left(newest().image)[300:].any()), "the other mask in force", patience_s=20)
        last = newest().image
        assert not last[: last.shape[0] // 4].any()
        assert np.count_nonzero(last[last.shape[0] // 3 :]) > 0
    finally:
        stream.stop()
