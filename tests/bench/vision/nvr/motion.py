"""The NVR's motion: contours in the difference to a running average, a hundred pixels high."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import cv2
import numpy as np

from agent.vision.frame import Image
from tests.bench.vision.nvr.published import Published
from tests.bench.vision.nvr.regions import Pixels

_CONTRASTS: Final = 50  # frames over which black and white are averaged
_CALM: Final = (0.05, 4)  # part of the picture, boxes: it has learnt the scene
_LASTS: Final = 10  # frames in a row with motion, after which it is learnt


class Motion:
    """One per camera."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._average: np.ndarray | None = None
        self._contrasts = deque([(0.0, 255.0)] * _CONTRASTS, _CONTRASTS)
        self._frames = 0  # in a row with motion
        self.is_learning = True

    def boxes(self, image: Image) -> list[Pixels]:
        """Where it moves, in pixels of the frame."""
        published, small = self._published, self._small(image)
        if self._average is None:
            self._average = np.zeros(small.shape, np.float32)
        unlike = cv2.absdiff(small, cv2.convertScaleAbs(self._average))
        _, changed = cv2.threshold(unlike, published.difference, 255, cv2.THRESH_BINARY)
        square: Any = None  # three pixels
        contours, _ = cv2.findContours(
            cv2.dilate(changed, square), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        areas = [cv2.contourArea(one) for one in contours]
        large = [cv2.boundingRect(contours[n]) for n, area in enumerate(areas) if area > published.contour]
        self._learn(small, sum(areas) / small.size, len(large))
        factor = image.shape[0] / published.motion_height
        return [(x * factor, y * factor, (x + w) * factor, (y + h) * factor) for x, y, w, h in large]

    def _small(self, image: Image) -> np.ndarray:
        """Picked, not averaged; stretched from the usual black to the usual white; blurred by a pixel."""
        height, width = image.shape[:2]
        size = (self._published.motion_height * width // height, self._published.motion_height)
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), cv2.COLOR_BGR2GRAY)
        low, high = np.percentile(grey, (4, 96))
        if low < high:
            self._contrasts.append((float(low), float(high)))
            low, high = np.mean(self._contrasts, axis=0)
            grey = ((np.clip(grey, low, high) - low) / (high - low) * 255).astype(np.uint8)
        return cv2.GaussianBlur(grey, (3, 3), 1)

    def _learn(self, small: np.ndarray, share: float, boxes: int) -> None:
        if share < _CALM[0] and boxes <= _CALM[1]:
            self.is_learning = False
        if share > self._published.lightning:
            self.is_learning = True
        self._frames = self._frames + 1 if boxes else 0
        if not boxes or self._frames >= _LASTS:
            alpha = self._published.alpha_learning if self.is_learning else self._published.alpha
            cv2.accumulateWeighted(small, self._average, alpha)
