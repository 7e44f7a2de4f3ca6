"""What does the eye look at? One picture, with the name of its camera and the time it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Height x width x 3, BGR, uint8."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    `captured_at` is the agent's wall clock (UTC) as measured once per stream session plus monotonic
    time since, so that frames keep order and distance when the wall clock steps; `monotonic_s` is
    the agent's monotonic clock at the same moment.
    """

    camera: str
    image: Image
    captured_at: datetime
    monotonic_s: float

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in pixels."""
        return self.image.shape[1], self.image.shape[0]
