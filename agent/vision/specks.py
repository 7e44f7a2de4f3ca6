"""Which of the few changed pixels are somebody far away? Specks that stay together and go somewhere.

A person at the far end of the view is ten pixels of the gate's halved picture: as many as a drop of
rain, a clock's digit or a leaf. What tells him apart is time. A drop is gone at the next look, a digit
and a leaf stay where they are; he is there look after look, a little further on each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.geometry import Box


@dataclass(frozen=True, slots=True)
class SpeckTuning:
    """Numbers of the far view; lengths in pixels of the gate's halved picture, 160 across."""

    reach: float = 3.0  # from look to look at 5 fps: a walker of 6 % of the height goes 0.6
    gone: float = 2.5  # from where he was first seen; a leaf sways by less, a digit not at all
    least_age_s: float = 0.7  # that is four looks in a row: no two drops fall so
    patience_s: float = 0.5  # behind a lamp post
    most: int = 24  # followed at once; more is weather


@dataclass(frozen=True, slots=True)
class _Speck:
    x: float
    y: float
    from_x: float
    from_y: float
    born_s: float
    seen_s: float
    box: tuple[int, int, int, int]  # left, top, width, height


class Specks:
    """One per gate: follows small blobs from look to look."""

    def __init__(self, tuning: SpeckTuning | None = None) -> None:
        self._tuning = tuning or SpeckTuning()
        self._known: list[_Speck] = []

    def clear(self) -> None:
        self._known = []

    def walking(self, lasting: NDArray[np.uint8], moving: NDArray[np.uint8], at_s: float) -> list[Box]:
        """Who goes somewhere? `lasting`: 255 where this look and the last both differ from the scene;

        `moving`: where this look differs from just now; a ghost that fades out of the scene does not.
        """
        tuning = self._tuning
        known = [speck for speck in self._known if at_s - speck.seen_s <= tuning.patience_s]
        grown = cv2.dilate(lasting, np.ones((3, 3), np.uint8))
        if not cv2.countNonZero(cv2.bitwise_and(grown, moving)):  # nearly always, and naming takes longest
            self._known = known
            return []
        _, labels, stats, centres = cv2.connectedComponentsWithStats(grown)
        alive = set(np.unique(labels[moving > 0]).tolist()) - {0}
        order = sorted(alive, key=lambda label: -int(stats[label, cv2.CC_STAT_AREA]))
        followed = []
        for label in order[: tuning.most]:
            x, y = (float(value) for value in centres[label])
            left, top, width, height, _ = (int(value) for value in stats[label])
            nearest = min(known, key=lambda speck: math.hypot(x - speck.x, y - speck.y), default=None)
            if nearest and math.hypot(x - nearest.x, y - nearest.y) <= tuning.reach:
                known.remove(nearest)
                followed.append(replace(nearest, x=x, y=y, seen_s=at_s, box=(left, top, width, height)))
            else:
                followed.append(_Speck(x, y, x, y, at_s, at_s, (left, top, width, height)))
        self._known = followed + known
        rows, columns = lasting.shape
        return [
            Box.from_corners(x / columns, y / rows, (x + w) / columns, (y + h) / rows)
            for speck in followed
            if self._goes(speck)
            for x, y, w, h in [speck.box]
        ]

    def _goes(self, speck: _Speck) -> bool:
        far_enough = math.hypot(speck.x - speck.from_x, speck.y - speck.from_y) >= self._tuning.gone
        return far_enough and speck.seen_s - speck.born_s >= self._tuning.least_age_s
