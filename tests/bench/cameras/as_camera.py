"""What would a camera have sent? Any pictures, encoded as cheap cameras do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from agent.vision.frame import Image

FPS = 10  # a sub stream
SIZE = (640, 360)
GOP_S = 2  # as most are shipped
CRF, NOISE = 28, 2.0


def encode(
    pictures: Iterable[Image],
    path: Path,
    *,
    rate: str = "variable",
    options: str = "bframes=0",
    crf: int = CRF,
) -> Path:
    """Write an MPEG transport stream: its packets look like those out of RTSP (Annex B)."""
    rates = {
        "variable": {"crf": str(crf), "maxrate": "512k", "bufsize": "1024k"},
        "constant": {"b": "400k", "maxrate": "400k", "bufsize": "800k"},
    }
    with av.open(str(path), "w", format="mpegts") as container:
        settings = {"preset": "veryfast", "profile": "high", **rates[rate]}
        gop = FPS * GOP_S
        settings["x264-params"] = f"keyint={gop}:min-keyint={gop}:scenecut=0:{options}"
        stream = container.add_stream("libx264", rate=FPS, options=settings)
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def footage(
    video: Path, from_s: float = 0.0, seconds: float = 60.0, *, speed: float = 1.0
) -> Iterator[Image]:
    """Yield the video's pictures as the camera would take them; `speed`: everybody in a hurry."""
    capture = cv2.VideoCapture(str(video))
    step = (capture.get(cv2.CAP_PROP_FPS) or 25.0) / FPS * speed
    capture.set(cv2.CAP_PROP_POS_MSEC, from_s * 1000)
    read_to, due = 0, 0.0
    for _ in range(int(seconds * FPS)):
        picture = None
        while read_to <= due:
            read, picture = capture.read()
            if not read:
                return
            read_to += 1
        due += step
        if picture is not None:
            yield np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def noisy(pictures: Iterable[Image], level: float = NOISE) -> Iterator[Image]:
    """Add a sensor's noise (standard deviation in grey levels): without it an idle stream costs nothing."""
    numbers = np.random.default_rng(1)
    noises = [numbers.normal(0, level, (SIZE[1], SIZE[0], 1)).astype(np.int16) for _ in range(8)]
    for picture in pictures:
        shift = int(numbers.integers(SIZE[1])), int(numbers.integers(SIZE[0]))
        noise = np.roll(noises[int(numbers.integers(len(noises)))], shift, axis=(0, 1))
        yield np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
