"""What does the camera see as a whole? One picture, small enough for one message."""

from __future__ import annotations

import cv2
import numpy as np

from agent.vision.frame import Image

_LONGEST_PX = 1280  # enough to judge how a camera is aimed
_MOST_BYTES = 180 * 1024  # a message takes 192 KiB
_QUALITIES = (85, 75, 65, 50, 35, 20)
_SHRINK = 0.75


def encode_whole(image: Image) -> tuple[bytes, int, int]:
    """Return a JPEG without any metadata, its width and its height."""
    scale = min(1.0, _LONGEST_PX / max(image.shape[:2]))
    while True:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        picture = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        for quality in _QUALITIES:
            jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(jpeg) <= _MOST_BYTES:
                return jpeg, *size
        scale *= _SHRINK
