"""Which bytes show an object best? A crop with its surroundings, as a JPEG of 40 kB or less; or it alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from agent.vision.frame import Image
from shared.geometry import Box
from shared.messages import Thumbnail

_MARGIN = 0.6  # of the object's size, on each side: what it stands beside must be recognisable
_TIGHT_MARGIN = 0.05  # the box is the detector's guess; it may not cut a hat
_LEAST_PX = (320, 240)  # width, height; less shows an object in nowhere
_LONGEST_PX = 640  # a 40 kB JPEG holds no more detail
_NARROWEST, _WIDEST = 0.75, 1.78  # width through height: fits a page, from portrait to 16:9
_TARGET_BYTES = 40_000  # a day of 500 events is then 20 MB of a household's uplink
_QUALITIES = (
    95,
    92,
    88,
    84,
    80,
    75,
    70,
    65,
    60,
    52,
    44,
    36,
    28,
)  # first that fits; by day none better is needed
_LEAST_BYTES = 20_000  # less, and there is room for what only shows when a dark picture is brightened
_FINER = (97, 98, 99, 100)  # first that fills it; what stays under with the last has no more to show
_SHRINK = 0.75  # per try, for leaves and rain: 5 of 93 street pictures were over at the worst quality


@dataclass(frozen=True, slots=True)
class EncodedThumbnail:
    """A JPEG as it will travel; `sha256` is what the event promises, `box` is where in it the object is."""

    jpeg: bytes
    width: int
    height: int
    box: Box

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.jpeg).hexdigest()

    def announced(self, taken_at: datetime) -> Thumbnail:
        """Return what the event says of this picture, taken at that moment (UTC)."""
        return Thumbnail(
            sha256=self.sha256,
            size_bytes=len(self.jpeg),
            width=self.width,
            height=self.height,
            box=self.box,
            taken_at=taken_at,
        )


def encode(image: Image, box: Box) -> EncodedThumbnail:
    """Cut the object with its surroundings out of a BGR picture of any size."""
    return _encode(image, box, surroundings(box, image.shape[1], image.shape[0]), least_bytes=_LEAST_BYTES)


def encode_tight(image: Image, box: Box) -> EncodedThumbnail:
    """Cut out the object alone, as large as it is there: never enlarged, nothing made up."""
    height, width = image.shape[:2]
    x, y = box.w * _TIGHT_MARGIN, box.h * _TIGHT_MARGIN
    left = min(max(0, int((box.x - x) * width)), width - 1)
    top = min(max(0, int((box.y - y) * height)), height - 1)
    right = min(width, max(left + 1, math.ceil((box.right + x) * width)))
    bottom = min(height, max(top + 1, math.ceil((box.bottom + y) * height)))
    return _encode(image, box, (left, top, right, bottom))


def _encode(
    image: Image, box: Box, cut: tuple[int, int, int, int], *, least_bytes: int = 0
) -> EncodedThumbnail:
    left, top, right, bottom = cut
    crop = image[top:bottom, left:right]
    scale = min(1.0, _LONGEST_PX / max(crop.shape[:2]))
    while True:
        picture = _scaled(crop, scale)
        jpeg = _fitting(picture, least_bytes)
        if len(jpeg) <= _TARGET_BYTES:
            within = in_crop(box, cut, image.shape[1], image.shape[0])
            return EncodedThumbnail(jpeg, picture.shape[1], picture.shape[0], within.rounded())
        scale *= _SHRINK


def surroundings(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in pixels: the box, its margin, in a sane shape, inside the picture."""
    wanted_w = max(box.w * width * (1 + 2 * _MARGIN), _LEAST_PX[0])
    wanted_h = max(box.h * height * (1 + 2 * _MARGIN), _LEAST_PX[1])
    wanted_w = max(wanted_w, wanted_h * _NARROWEST)
    wanted_h = max(wanted_h, wanted_w / _WIDEST)
    crop_w, crop_h = min(round(wanted_w), width), min(round(wanted_h), height)
    x, y = box.centre
    left = min(max(0, round(x * width - crop_w / 2)), width - crop_w)
    top = min(max(0, round(y * height - crop_h / 2)), height - crop_h)
    return left, top, left + crop_w, top + crop_h


def in_crop(box: Box, crop: tuple[int, int, int, int], width: int, height: int) -> Box:
    """Where is the object in the crop (left, top, right, bottom in pixels)? Fractions of the crop."""
    left, top, right, bottom = crop
    return Box.from_corners(
        (box.x * width - left) / (right - left),
        (box.y * height - top) / (bottom - top),
        (box.right * width - left) / (right - left),
        (box.bottom * height - top) / (bottom - top),
    )


def _scaled(crop: Image, scale: float) -> Image:
    if scale >= 1:
        return crop
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fitting(picture: Image, least_bytes: int) -> bytes:
    """Return the best quality within the target, or the smallest there is.

    cv2 writes a bare JFIF header: no Exif, no maker's note, no place, no time.
    """
    jpeg = b""
    for quality in _QUALITIES:
        jpeg = _jpeg(picture, quality)
        if len(jpeg) <= _TARGET_BYTES:
            break
    for quality in _FINER:
        if len(jpeg) >= least_bytes or len(finer := _jpeg(picture, quality)) > _TARGET_BYTES:
            break
        jpeg = finer
    return jpeg


def _jpeg(picture: Image, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
