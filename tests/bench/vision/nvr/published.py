"""The numbers of the NVR's documentation, as they are when nobody changes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """Frigate 0.18's, with a camera looked at five times a second."""

    fps: float = 5.0
    motion_height: int = 100  # pixels of the picture that motion is looked for in
    difference: int = 30  # grey levels
    contour: float = 10.0  # pixels of that picture
    alpha: float = 0.01  # of the running average, a frame
    alpha_learning: float = 0.2  # while it learns the scene
    lightning: float = 0.8  # of the picture changed: learn it anew
    least_region: int = 320  # pixels of the frame, for models of 320 and more
    min_score: float = 0.5  # of one detection
    threshold: float = 0.7  # of the median of an object's scores, once
    scores: int = 10  # of which it is the median
    distance: float = 2.5  # of the foot, in widths and heights, with how these changed
    born: float = 2.5  # hits more than misses: half a second's frames
    disappears: int = 25  # frames: five seconds
    position: float = 0.6  # overlap with where it stood, over which it stands still
    stationary: int = 50  # frames that it stood still; and every so many frames it is looked for again
