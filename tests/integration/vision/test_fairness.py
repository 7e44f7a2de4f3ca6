"""Four real streams and a detector that can carry one and a half: everybody gets the same, and it is said."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from agent.camera_parts import CameraParts
from agent.cameras.camera_events import HintMark
from agent.cameras.masks import LiveMasks
from agent.cameras.reference import ImageCheck
from agent.cameras.register import CameraEntry
from agent.cameras.rtsp import CameraStream
from agent.cameras.stream import StreamAddress
from agent.lookout import Lookout
from agent.uplink.outbox import Outbox
from agent.vision.detect import Detection
from agent.vision.frame import Image
from agent.vision.pipeline import Pipeline, Tuning
from agent.watch import Watch, Watched
from shared.clock import SystemClock
from shared.geometry import Box
from shared.messages import CameraState, Kind
from tests.integration.cameras.conftest import until
from tests.unit.uplink.events import SPEAKER
from tests.virtual_camera import VirtualCamera, prepare

CLOCK = SystemClock()
SLOW_S = 0.12  # eight looks a second, where four streams have twenty frames that want one
LOOKS = 160  # about twenty seconds of it


class SlowDetector:
    """As slow as a big model on a small box; sees somebody new everywhere, so that all are in a hurry."""

    name = "slow"

    def __init__(self) -> None:
        self._chance = random.Random(4)
        self.asked = 0

    def detect(self, image: Image) -> list[Detection]:
        del image
        time.sleep(SLOW_S)
        self.asked += 1
        at = self._chance.uniform(0.1, 0.8), self._chance.uniform(0.1, 0.6)
        return [Detection(Kind.PERSON, 0.7, Box(*at, 0.08, 0.3))]


def _camera(name: str, url: str, home: Path, detector: SlowDetector, bell: threading.Event) -> CameraParts:
    pipeline = Pipeline("nha", name, detector, Tuning(), uuid4)
    hints = HintMark()
    lookout = Lookout(pipeline, CLOCK, arrived=bell, hints=hints)
    stream = CameraStream(name, StreamAddress(url, None), CLOCK, slot=lookout, sampled_fps=5)
    entry = CameraEntry(name=name, onvif_url=url, detect_url=url, picture_url=url)
    check = ImageCheck(home, name, LiveMasks(home, name, CLOCK))
    watched = Watched(
        camera=name,
        lookout=lookout,
        pictures=None,
        pipeline=pipeline,
        clock_offset_s=None,
        seen_s=CLOCK.monotonic(),
        image_check=check,
    )
    return CameraParts(entry, lookout, pipeline, stream, None, check, watched, hints)


@contextmanager
def _watched(cameras: list[CameraParts], outbox: Outbox, bell: threading.Event) -> Iterator[Watch]:
    watched = [camera.watched for camera in cameras]
    watch = Watch(watched, outbox, CLOCK, "boot", arrived=bell, is_synchronised=lambda: True)
    for camera in cameras:
        camera.stream.start()
    watch.start()
    try:
        yield watch
    finally:
        for camera in cameras:
            camera.stream.stop()
        watch.stop()


def test_a_slow_detector_skips_evenly_and_the_health_says_so(tmp_path: Path, street_clip: Path) -> None:
    clip, detector, bell = prepare(street_clip), SlowDetector(), threading.Event()
    with ExitStack() as parts:
        streets = [parts.enter_context(VirtualCamera(clip, f"cam{number}")) for number in range(4)]
        outbox = Outbox(tmp_path / "outbox.db", SPEAKER)
        parts.callback(outbox.close)
        cameras = [
            _camera(f"gate-{number}", street.stream_url("sub"), tmp_path, detector, bell)
            for number, street in enumerate(streets)
        ]
        parts.enter_context(_watched(cameras, outbox, bell))
        until(lambda: all(camera.pipeline.counts.looked > 2 for camera in cameras), "every camera was seen")
        before = [camera.pipeline.counts.looked for camera in cameras]
        begun = detector.asked
        until(lambda: detector.asked >= begun + LOOKS, "so many looks")
        looks = [camera.pipeline.counts.looked - was for camera, was in zip(cameras, before, strict=True)]
        healths = [camera.told(CLOCK.monotonic()) for camera in cameras]
    assert min(looks) >= 0.8 * max(looks), looks
    for health in healths:
        assert (health.state, health.cause) == (CameraState.DEGRADED, "detector-behind"), health
        assert health.frames_skipped > 0.2 * (health.frames_looked + health.frames_skipped)
        assert health.late_p50_ms is not None
        assert health.late_p50_ms >= 1000 * SLOW_S
