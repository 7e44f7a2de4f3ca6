"""A quiet street read by its key frames, over real RTSP: a walker is seen from the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras import masks
from agent.cameras.attention import Attention
from agent.cameras.camera_events import HintMark
from agent.cameras.masks import CameraMasks, LiveMasks
from agent.cameras.rtsp import CameraStream
from agent.cameras.stream import StreamAddress
from agent.vision.frame import Frame, Image
from agent.vision.motion import MotionGate
from shared.clock import SystemClock
from tests.bench.cameras.as_camera import FPS, GOP_S, SIZE, encode
from tests.integration.cameras.conftest import until
from tests.integration.cameras.scene import Scene
from tests.virtual_camera import Clip, VirtualCamera, prepare

CLOCK = SystemClock()
STILL_S, WALK_S = 16, 4  # whole groups, so that the clip goes round without a seam
STEP = 12  # pixels a picture
CLOSE_S = 0.5
CORNER = CameraMasks(polygons=(((0.0, 0.8), (0.3, 0.8), (0.3, 1.0), (0.0, 1.0)),))


def street() -> Iterator[Image]:
    """A wall with a pattern; after a while somebody dark walks along it."""
    numbers = np.random.default_rng(4)
    coarse = numbers.integers(90, 210, (9, 16, 3), np.uint8)
    wall = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    for number in range((STILL_S + WALK_S) * FPS):
        picture = wall.copy()
        left = (number - STILL_S * FPS) * STEP + 20
        if left > 20:
            cv2.rectangle(picture, (left, 120), (left + 40, 230), (20, 20, 20), -1)
        yield picture


@pytest.fixture(scope="module")
def street_camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VirtualCamera, Clip]]:
    folder = tmp_path_factory.mktemp("street")
    clip = prepare(encode(street(), folder / "street.ts"), folder)
    with VirtualCamera(clip, "street", login=None) as camera:
        yield camera, clip


class Eye:
    """The real gate in the reader's thread; keeps every frame it was shown."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._gate = MotionGate()
        self.frames: list[Frame] = []
        self.moving: list[Frame] = []

    def put(self, frame: Frame, *, past: bool = False) -> None:
        del past
        moved = self._gate.look(frame).moved
        self._attention.saw(frame.monotonic_s, quiet=not moved)
        self.frames.append(frame)
        if moved:
            self.moving.append(frame)

    def is_asleep(self) -> bool:
        """The two newest frames are a whole group apart."""
        times_s = [frame.monotonic_s for frame in self.frames[-2:]]
        return len(times_s) == 2 and times_s[1] - times_s[0] > GOP_S * 0.9


@contextmanager
def reading(camera: VirtualCamera, attention: Attention, sink: Eye, home: Path) -> Iterator[CameraStream]:
    masks.save(home, "gate", CORNER)
    stream = CameraStream(
        "gate",
        StreamAddress(camera.stream_url("sub")),
        CLOCK,
        slot=sink,
        sampled_fps=5,
        masks=LiveMasks(home, "gate", CLOCK),
    )
    stream.be_thrifty(attention, is_only_stream=False)
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()


def live_s(frame: Frame, camera: VirtualCamera) -> float:
    return (frame.monotonic_s - camera.rtsp.epoch_s) % (STILL_S + WALK_S)


def assert_whole(frames: list[Frame]) -> None:
    """In order, none missing at five a second, masks burnt in."""
    gaps_s = [later.monotonic_s - frame.monotonic_s for frame, later in pairwise(frames)]
    assert min(gaps_s) > 0
    assert max(gaps_s) < 0.35, gaps_s
    for frame in frames:
        height, width = frame.image.shape[:2]
        assert not frame.image[round(height * 0.82) :, : round(width * 0.28)].any()


def test_a_walker_who_comes_while_only_key_frames_are_decoded_is_seen_from_the_first_step(
    street_camera: tuple[VirtualCamera, Clip], tmp_path: Path
) -> None:
    camera, clip = street_camera
    attention = Attention()
    eye, scene = Eye(attention), Scene(clip.sub)
    with reading(camera, attention, eye, tmp_path) as stream:
        until(lambda: eye.is_asleep() and live_s(eye.frames[-1], camera) < STILL_S - 1, "quiet mode")
        health = stream.health(CLOCK.monotonic())
        assert (health.state, health.decoding, health.decoding_why) == ("ok", "quiet-keys", "telling")
        slept = len(eye.frames)
        eye.moving.clear()
        until(lambda: eye.moving and live_s(eye.frames[-1], camera) > STILL_S + WALK_S - 1, "the walk")
    walked = [frame for frame in eye.frames[slept:] if live_s(frame, camera) >= STILL_S - 0.15]
    assert live_s(walked[0], camera) < STILL_S + 0.3
    assert_whole(walked)
    for frame in walked:
        if STILL_S + 0.5 < live_s(frame, camera) < STILL_S + WALK_S - 0.5:
            shown_s = scene.moment_s(frame.image)  # the black corner is the same in all
            assert scene.apart_s(shown_s, live_s(frame, camera)) <= CLOSE_S


def test_the_cameras_own_hint_shows_the_group_that_was_kept(
    street_camera: tuple[VirtualCamera, Clip], tmp_path: Path
) -> None:
    camera, _ = street_camera
    attention = Attention()
    eye, hints = Eye(attention), HintMark(attention)
    with reading(camera, attention, eye, tmp_path):
        until(lambda: eye.is_asleep() and live_s(eye.frames[-1], camera) < STILL_S - 3, "quiet mode")
        key = eye.frames[-1]
        until(lambda: CLOCK.monotonic() - key.monotonic_s > 1.2, "the middle of a group")
        assert eye.frames[-1] is key
        hints.put(CLOCK.monotonic())
        until(lambda: eye.frames[-1].monotonic_s > key.monotonic_s + 1.8, "frames")
    since = [frame for frame in eye.frames if frame.monotonic_s >= key.monotonic_s]
    assert_whole(since)
