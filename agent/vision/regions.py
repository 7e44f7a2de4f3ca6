"""Where should the detector look? At the whole frame, or at a part of it where somebody small may be.

A detector shrinks what it gets: a person of 5 % of the height is a dozen pixels to it, and not found.
Given a part of the frame instead, he is three times as tall. Crops never come on top: each look is
either the whole frame or one crop, in turn, so a frame costs one inference at most, and whoever is
elsewhere is seen at every second look. What a look cannot show counts as missed for nobody (`shows`).
While the gate is blind nobody knows where somebody small may be: then the quarters of the frame take
their turns too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.vision.detect import Detection
from agent.vision.frame import Image
from shared.geometry import Box

_EDGE = 0.01  # of the crop: a box that near to its edge was cut by it
_PATROL = tuple(Box(x, y, 0.55, 0.55) for y in (0.0, 0.45) for x in (0.0, 0.45))
"""The four quarters, each shown to a detector of 416 without shrinking a sub-stream of 640; they overlap by
a tenth, so that whoever is far away lies wholly in one."""


@dataclass(frozen=True, slots=True)
class RegionTuning:
    """Numbers of the crops, in fractions of the frame."""

    small_region: float = 0.18  # height of what moved: a walker of 8 % fills two or three rows of cells
    small_object: float = 0.08  # height under which a detector of 416 pixels begins to miss people
    least: float = 0.33  # of width and height: narrower, and a sub-stream's pixels show no more
    margin: float = 3.0  # times the region: people are found by their surroundings too
    max_waiting: int = 4  # crops in a round; each waits for twice as many looks


@dataclass(frozen=True, slots=True)
class Look:
    """What the detector is given. `crop`: none for the whole frame; `small`: what crops are for."""

    crop: Box | None = None
    small: tuple[Box, ...] = ()

    def shows(self, box: Box) -> bool:
        """Would an object there be found by this look? If not, its absence says nothing."""
        if self.crop is None:
            return all(box.overlap(small) == 0 for small in self.small)
        return _inside(box, self.crop)


class Regions:
    """One per camera: whose turn is it?"""

    def __init__(self, tuning: RegionTuning | None = None) -> None:
        self._tuning = tuning or RegionTuning()
        self._whole_next = True
        self._turn = 0

    def next(
        self, moved: Sequence[Box], living: Sequence[Box], *, busy: bool = False, patrol: bool = False
    ) -> Look:
        """`moved`: where the gate saw something; `living`: where the tracks should be now.

        `busy`: somebody large enough for a whole look walks or drives. Half the looks would lose him:
        measured, cars that come towards the camera at 5 looks a second were taken for one another.
        `patrol`: whoever is small may be anywhere.
        """
        tuning = self._tuning
        if busy:
            self._whole_next = False
            return Look()
        known = [box for box in living if box.h >= tuning.small_object]
        small = [box for box in living if box.h < tuning.small_object]
        wanted = small + [
            box
            for box in moved
            if box.h <= tuning.small_region and not any(box.overlap(big) for big in known)
        ]
        if patrol:
            round_ = [None, *_PATROL, *_crops(wanted, tuning)]
            self._turn = (self._turn + 1) % len(round_)
            return Look(round_[self._turn], tuple(small))
        if self._whole_next or not wanted:
            self._whole_next = False
            return Look(None, tuple(small))
        self._whole_next = True
        crops = _crops(wanted, tuning)
        self._turn = (self._turn + 1) % len(crops)
        return Look(crops[self._turn], tuple(small))


def cut(image: Image, crop: Box) -> Image:
    """The part of the picture; a view, not a copy."""
    height, width = image.shape[:2]
    rows = slice(round(crop.y * height), round(crop.bottom * height))
    return image[rows, round(crop.x * width) : round(crop.right * width)]


def in_frame(detections: Sequence[Detection], crop: Box) -> list[Detection]:
    """Turn what was found in a crop into fractions of the frame, without what the crop's edge cut."""
    return [
        replace(
            detection,
            box=Box.from_corners(
                crop.x + box.x * crop.w,
                crop.y + box.y * crop.h,
                crop.x + box.right * crop.w,
                crop.y + box.bottom * crop.h,
            ),
        )
        for detection in detections
        for box in [detection.box]
        if not _is_cut(box, crop)
    ]


def _is_cut(box: Box, crop: Box) -> bool:
    """An edge the crop shares with the frame cuts nothing that the whole frame would show."""
    return (
        (box.x < _EDGE and crop.x > 0)
        or (box.y < _EDGE and crop.y > 0)
        or (box.right > 1 - _EDGE and crop.right < 1)
        or (box.bottom > 1 - _EDGE and crop.bottom < 1)
    )


def _crops(wanted: Sequence[Box], tuning: RegionTuning) -> list[Box]:
    """One crop around each, of the frame's shape; what lies in another's crop needs none of its own."""
    crops: list[Box] = []
    for box in wanted:
        if len(crops) < tuning.max_waiting and not any(_inside(box, crop) for crop in crops):
            size = min(max(tuning.least, tuning.margin * box.h, 1.2 * box.w), 1.0)
            x = min(max(box.centre[0] - size / 2, 0.0), 1 - size)
            y = min(max(box.centre[1] - size / 2, 0.0), 1 - size)
            crops.append(Box(x, y, size, size))
    return crops


def _inside(box: Box, crop: Box) -> bool:
    return crop.x <= box.x and crop.y <= box.y and box.right <= crop.right and box.bottom <= crop.bottom
