"""What should the installer still change about this picture? Codes; their sentences are in the catalogue."""

from __future__ import annotations

import cv2
import numpy as np

from agent.vision.frame import Image

_SIZE = (320, 180)
_DARK, _BRIGHT = 45.0, 250  # grey levels: of the median, and of what is burnt out
_BURNT_SHARE = 0.2  # of the picture; a lamp or a white wall takes less
_SOFT = 40.0  # variance of the Laplacian at 320x180; a street in focus gives 300 and more
_SKY_SHARE = 0.35  # of the height; higher up no one walks
_SKY_STRUCTURE = 3.0  # grey levels; clouds stay under it, roofs and trees do not


def aim_hints(image: Image) -> tuple[str, ...]:
    """Return what is wrong: `dark`, `burnt`, `soft`, `sky`; masked parts do not count."""
    small = np.asarray(cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
    seen = grey[small.max(axis=2) > 0]
    if not seen.size:
        return ("dark",)
    found = []
    if float(np.median(seen)) < _DARK:
        found.append("dark")
    if float((seen >= _BRIGHT).mean()) > _BURNT_SHARE:
        found.append("burnt")
    if float(cv2.Laplacian(grey, cv2.CV_32F).var()) < _SOFT:
        found.append("soft")
    if _sky_rows(grey) > _SKY_SHARE:
        found.append("sky")
    return tuple(found)


def _sky_rows(grey: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> float:
    """Share of the height, from the top down, that is bright and smooth."""
    smooth = np.abs(cv2.Laplacian(cv2.blur(grey, (5, 5)), cv2.CV_32F)).mean(axis=1) < _SKY_STRUCTURE / 2
    bright = np.median(grey, axis=1) >= max(110.0, float(np.median(grey)))
    ground = np.flatnonzero(~(smooth & bright))
    return float(ground[0] if ground.size else len(grey)) / len(grey)
