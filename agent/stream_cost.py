"""What does one camera cost this box before any inference? Decoding and the gate, on a video file.

Without a video of the place, one is made here: 640x360 at 10 frames per second in H.264, as sub-streams
are, of a grainy picture that something walks through.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from agent.cameras.replay import VideoFile
from agent.detectors.tiers import CameraCost
from agent.vision.motion import MotionGate

_WIDTH, _HEIGHT, _FPS, _SECONDS = 640, 360, 10, 6
_BIT_RATE = 500_000  # what cameras send for such a picture
_GRAIN = 6.0  # grey levels of sensor noise


def camera_cost(video: Path | None, fps: float) -> CameraCost:
    """Measure decoding and the gate on this video. Raises VideoUnreadable."""
    if video is not None:
        return _cost(video, fps)
    with tempfile.TemporaryDirectory(prefix="anninh-bench-") as folder:
        made = Path(folder) / "camera.mp4"
        _film(made)
        return _cost(made, fps)


def _cost(video: Path, fps: float) -> CameraCost:
    gate, gate_ms = MotionGate(), []
    first_s = last_s = 0.0
    began_s = time.process_time()
    for frame in VideoFile(video, "bench", datetime.now(UTC), sampled_fps=fps):
        first_s, last_s = first_s or frame.monotonic_s, frame.monotonic_s
        before_s = time.process_time()
        gate.look(frame)
        gate_ms.append(1000 * (time.process_time() - before_s))
    all_ms = 1000 * (time.process_time() - began_s)
    played_s = max(last_s - first_s, 1 / fps)
    return CameraCost((all_ms - sum(gate_ms)) / played_s, statistics.median(gate_ms))


def _film(path: Path) -> None:
    random = np.random.default_rng(1)
    scene = cv2.resize(random.integers(40, 200, (18, 32, 3), np.uint8), (_WIDTH, _HEIGHT))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(_FPS))
        assert isinstance(stream, VideoStream)  # noqa: S101 -- what libx264 makes
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = _WIDTH, _HEIGHT, "yuv420p", _BIT_RATE
        stream.codec_context.gop_size = 2 * _FPS
        stream.codec_context.max_b_frames = 0  # cameras send none
        for number in range(_FPS * _SECONDS):
            picture = scene + random.normal(0, _GRAIN, scene.shape)
            left = 8 * number
            picture[150:300, left : left + 50] = 30
            image = np.clip(picture, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
