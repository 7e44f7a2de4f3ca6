"""What does a camera show when nothing happens? One frame of a real street, and the sensor's noise."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np

from tests.virtual_camera.clip import DEFAULT_FOLDER

_SIZE, _FPS, _SECONDS = (1280, 720), 25.0, 20
_NOISE_LEVELS = 4.0  # grey levels, standard deviation: a cheap sensor at dusk, before its encoder
_NOISES = 8  # pictures of noise, shifted at random: drawing a new one per frame takes minutes


def record(video: Path, at_s: float, folder: Path = DEFAULT_FOLDER) -> Path:
    """Write the idle scene once; return the file. Its sub stream will be 640x360 at 10 fps."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"idle-{video.stem}-{at_s:g}.avi"
    if path.exists():
        return path
    still = _frame(video, at_s).astype(np.int16)
    numbers, shifts = np.random.default_rng(1), random.Random(1)
    noises = [numbers.normal(0, _NOISE_LEVELS, still.shape).astype(np.int16) for _ in range(_NOISES)]
    partial = path.with_suffix(".part.avi")
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"MJPG"), _FPS, _SIZE)
    for _ in range(int(_FPS) * _SECONDS):
        shift = shifts.randrange(_SIZE[1]), shifts.randrange(_SIZE[0])
        noise = np.roll(shifts.choice(noises), shift, axis=(0, 1))
        writer.write(np.clip(still + noise, 0, 255).astype(np.uint8))
    writer.release()
    partial.replace(path)
    return path


def _frame(video: Path, at_s: float) -> np.ndarray:
    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_MSEC, at_s * 1000)
    read, frame = capture.read()
    if not read:
        raise SystemExit(f"{video} has no frame at {at_s:g} s")
    return cv2.resize(frame, _SIZE, interpolation=cv2.INTER_AREA)
