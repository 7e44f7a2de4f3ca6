"""Which real place, without anybody in it, and which real walker do the tests of the eye put together?"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from agent.cameras.replay import VideoFile
from agent.vision.frame import Image
from shared.geometry import Box
from tests.augment import Sprite, cut_out, emptied
from tests.fakes import NOON

_STRIDE = ((4.9, 0.911, 0.5485), (5.9, 0.8325, 0.505), (6.9, 0.79, 0.455))
"""Seconds into Debian's street clip, and where the lone walker's middle is then; read off the frames."""


def empty_place(clip: Path, *, fps: float = 0.5) -> Image:
    """The place a clip shows, without those who pass."""
    return emptied([frame.image for frame in VideoFile(clip, "file", NOON, sampled_fps=fps)])


def stride(street_clip: Path, empty: Image) -> list[Sprite]:
    """One walker of the street clip, cut out at ten moments of two seconds; five of them a second."""
    sprites = []
    for frame in VideoFile(street_clip, "file", NOON, sampled_fps=5):
        for (t0, x0, y0), (t1, x1, y1) in pairwise(_STRIDE):
            if t0 <= frame.monotonic_s < t1:
                part = (frame.monotonic_s - t0) / (t1 - t0)
                x, y = x0 + (x1 - x0) * part, y0 + (y1 - y0) * part
                around = Box.from_corners(x - 0.04, y - 0.12, x + 0.04, y + 0.12)
                sprites.append(trimmed(cut_out(frame.image, empty, around)))
        if frame.monotonic_s > _STRIDE[-1][0]:
            break
    return sprites


def trimmed(sprite: Sprite) -> Sprite:
    """Without the margin where nothing shows, so that its height is the person's."""
    rows, columns = (
        (sprite[..., 3] > 100).any(axis=1).nonzero()[0],
        (sprite[..., 3] > 100).any(axis=0).nonzero()[0],
    )
    return sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def walk(
    start: tuple[float, float], speed: tuple[float, float], *, from_s: float, until_s: float
) -> Callable[[float], tuple[float, float] | None]:
    """Feet that go in a straight line, for `augment.pasted`; speed in fractions of the frame a second."""

    def at(t: float) -> tuple[float, float] | None:
        if not from_s <= t < until_s:
            return None
        return start[0] + speed[0] * (t - from_s), start[1] + speed[1] * (t - from_s)

    return at
