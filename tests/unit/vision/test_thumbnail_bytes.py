"""What is in a picture besides the picture? Nothing: looked at byte by byte, on real streets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.vision.thumbnail import encode, encode_tight
from shared.geometry import Box

_TELLING = {0xFE, *range(0xE1, 0xF0)}  # a comment, Exif, XMP, maker's notes: anything but JFIF
_SCAN = 0xDA


def segments(jpeg: bytes) -> Iterator[int]:
    """The markers before the picture itself."""
    at = 2
    while jpeg[at + 1] != _SCAN:
        assert jpeg[at] == 0xFF
        yield jpeg[at + 1]
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")


@pytest.fixture
def streets(shared_data: Path) -> list[np.ndarray]:
    found = sorted((shared_data / "coco_val128").rglob("*.jpg"))[:40]
    return [cv2.imread(str(path)) for path in found]


@pytest.mark.parametrize("cut", [encode, encode_tight])
def test_real_pictures_carry_no_word_of_whence_they_come(cut: object, streets: list[np.ndarray]) -> None:
    for image in streets:
        made = cut(image, Box(0.3, 0.3, 0.3, 0.4))  # type: ignore[operator]
        assert not _TELLING & set(segments(made.jpeg))
        assert made.jpeg.endswith(b"\xff\xd9")
        assert len(made.jpeg) <= 40_000


def test_what_a_mask_blackened_stays_black_in_both_pictures() -> None:
    image = np.random.default_rng(3).integers(60, 255, (480, 640, 3), np.uint8)
    image[:, :320] = 0  # the neighbour's window, as the reader masks it
    for made in (encode(image, Box(0.4, 0.3, 0.2, 0.4)), encode_tight(image, Box(0.4, 0.3, 0.2, 0.4))):
        seen = cv2.imdecode(np.frombuffer(made.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert seen[:, : seen.shape[1] // 2 - 16].max() < 24
        assert seen[:, seen.shape[1] // 2 + 16 :].mean() > 80


def test_a_tight_crop_shows_the_object_and_hardly_more() -> None:
    image = np.zeros((400, 800, 3), np.uint8)
    made = encode_tight(image, Box(0.5, 0.25, 0.1, 0.5))
    assert (made.width, made.height) == (88, 220)
    assert made.box.w > 0.85
    assert made.box.h > 0.85
