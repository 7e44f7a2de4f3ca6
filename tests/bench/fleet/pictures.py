"""What do thumbnails weigh? Pictures of noise and shapes, through the agent's own encoder: 20 to 40 kB."""

from __future__ import annotations

import cv2
import numpy as np

from agent.vision.thumbnail import encode
from shared.geometry import Box

_SIZES = ((0.05, 0.12), (0.06, 0.18), (0.1, 0.3), (0.2, 0.4))  # a far walker, a near one, a motorbike, a car


def some(count: int = 12) -> list[bytes]:
    """Return JPEGs that are alike in size to those of a street, the same ones each time."""
    chance = np.random.default_rng(7)
    made = []
    for number in range(count):
        coarse = chance.integers(0, 255, (27 + 9 * number, 48 + 16 * number, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
        grain = chance.normal(0, 4, image.shape)
        made.append(
            encode(
                np.clip(image + grain, 0, 255).astype(np.uint8), Box(0.4, 0.3, *_SIZES[number % len(_SIZES)])
            ).jpeg
        )
    return made
