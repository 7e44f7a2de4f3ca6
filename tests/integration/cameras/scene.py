"""Which moment of the clip does a picture show? The judge of freshness: by its pixels, not by a stopwatch."""

from __future__ import annotations

import av
import cv2
import numpy as np

from agent.vision.frame import Image
from tests.virtual_camera.clip import Track

_SMALL = (80, 60)  # enough to tell two moments of a street apart, cheap enough to compare hundreds


class Scene:
    """All pictures of a track, small and grey."""

    def __init__(self, track: Track) -> None:
        self._duration_s = len(track.samples) / track.fps
        self._fps = track.fps
        decoder = av.CodecContext.create("h264", "r")
        pictures = []
        for sample in track.samples:
            nals = (track.sps, track.pps, *sample.nals) if sample.is_key else sample.nals
            packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))
            pictures += [_small(frame.to_ndarray(format="bgr24")) for frame in decoder.decode(packet)]
        pictures += [_small(frame.to_ndarray(format="bgr24")) for frame in decoder.decode(None)]
        self._pictures = np.stack(pictures)

    def moment_s(self, image: Image) -> float:
        """Seconds from the clip's start of the picture most like this one."""
        difference = np.abs(self._pictures - _small(image)).mean(axis=(1, 2))
        return float(np.argmin(difference)) / self._fps

    def apart_s(self, one_s: float, other_s: float) -> float:
        """How far two moments are apart in a clip that goes round."""
        apart = abs(one_s - other_s) % self._duration_s
        return min(apart, self._duration_s - apart)


def _small(image: Image) -> np.ndarray:
    small = cv2.resize(image, _SMALL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
