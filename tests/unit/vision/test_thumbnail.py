from __future__ import annotations

import hashlib
from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.vision.thumbnail import encode, encode_tight, surroundings
from agent.vision.view import better_view, sharpness
from shared.geometry import Box
from shared.messages import MAX_THUMBNAIL_BYTES
from tests.fakes import Street, frame

boxes = st.builds(
    lambda x, y, w, h: Box.from_corners(x, y, x + w, y + h),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)


def decoded(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@given(boxes, st.integers(1, 4000), st.integers(1, 3000))
def test_the_crop_holds_the_object_and_lies_in_the_picture(box: Box, width: int, height: int) -> None:
    left, top, right, bottom = surroundings(box, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left <= box.x * width + 1
    assert right >= min(box.right * width, width) - 1
    assert top <= box.y * height + 1
    assert bottom >= min(box.bottom * height, height) - 1


@pytest.mark.parametrize(
    "box",
    [
        pytest.param(Box(0.5, 0.5, 0.02, 0.06), id="far away"),
        pytest.param(Box(0.0, 0.1, 0.05, 0.9), id="a narrow one at the edge"),
        pytest.param(Box(0.0, 0.0, 1.0, 1.0), id="all of the picture"),
        pytest.param(Box(0.1, 0.5, 0.8, 0.05), id="a long flat one"),
        pytest.param(Box(0.4, 0.2, 0.1, 0.4), id="a person"),
    ],
)
@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (2560, 1440)])
def test_a_thumbnail_shows_surroundings_in_a_sane_shape(box: Box, size: tuple[int, int]) -> None:
    made = encode(Street(width=size[0], height=size[1]).image(0), box)
    picture = decoded(made.jpeg)
    assert picture.shape[:2] == (made.height, made.width)
    assert 320 <= max(made.width, made.height) <= 640
    assert 0.7 <= made.width / made.height <= 1.8


def test_a_tiny_picture_is_not_blown_up() -> None:
    made = encode(np.full((40, 60, 3), 80, np.uint8), Box(0.4, 0.4, 0.2, 0.2))
    assert (made.width, made.height) == (60, 40)


def test_the_worst_picture_stays_within_the_target() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1440, 2560, 3), dtype=np.uint8)
    assert len(encode(noise, Box(0.1, 0.1, 0.8, 0.8)).jpeg) < MAX_THUMBNAIL_BYTES


def test_what_a_dark_picture_shows_when_brightened_is_not_saved_at_and_a_wall_is_not_blown_up() -> None:
    grain = np.random.default_rng(3).normal(0, 1, (360, 640, 1))
    by_night = np.clip(Street().image(0) * 0.25 + grain, 0, 255).astype(np.uint8)
    box = Box(0.45, 0.4, 0.1, 0.3)
    assert 20_000 <= len(encode(by_night, box).jpeg) <= 40_000
    assert len(encode(np.full((360, 640, 3), 30, np.uint8), box).jpeg) < 3000
    assert len(encode_tight(by_night, box).jpeg) < 10_000


def test_the_hash_is_of_the_bytes_and_the_bytes_say_nothing_else() -> None:
    made = encode(Street().image(0), Box(0.4, 0.4, 0.1, 0.3))
    assert made.sha256 == hashlib.sha256(made.jpeg).hexdigest()
    assert made.jpeg.startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    for forbidden in (b"Exif", b"http://ns.adobe.com", b"\xff\xe1", b"\xff\xfe"):
        assert forbidden not in made.jpeg[:200]


def test_a_sharp_picture_is_sharper_than_the_same_out_of_focus() -> None:
    image, box = Street().image(0), Box(0.2, 0.2, 0.5, 0.5)
    smeared = cv2.GaussianBlur(image, (0, 0), 6)
    assert sharpness(image, box) > 2 * sharpness(smeared, box)
    assert 0 <= sharpness(smeared, box) <= sharpness(image, box) <= 1


@pytest.mark.parametrize("box", [Box(1.0, 1.0, 0.0, 0.0), Box(0.5, 0.5, 0.0, 0.0), Box(0.0, 0.0, 1.0, 1.0)])
def test_a_box_of_any_size_has_a_sharpness(box: Box) -> None:
    assert 0 <= sharpness(Street().image(0), box) <= 1


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param((Box(0.3, 0.3, 0.2, 0.4), 0.8), (Box(0.3, 0.3, 0.1, 0.2), 0.8), id="larger"),
        pytest.param((Box(0.3, 0.3, 0.2, 0.4), 0.8), (Box(0.3, 0.3, 0.2, 0.4), 0.5), id="surer"),
        pytest.param((Box(0.3, 0.3, 0.2, 0.4), 0.8), (Box(0.0, 0.3, 0.2, 0.4), 0.8), id="whole"),
    ],
)
def test_a_view_is_better_when(better: tuple[Box, float], worse: tuple[Box, float]) -> None:
    """All over one even texture, so that nothing but the box differs."""
    grain = np.random.default_rng(5).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    seen = frame(grain, 0.0)
    first = better_view(seen, *worse, None)
    assert first
    second = better_view(seen, *better, first)
    assert second
    assert second.score > first.score
    assert better_view(seen, *worse, second) is None


@settings(deadline=None, max_examples=40)  # each encodes twice
@given(boxes, st.sampled_from([(640, 360), (704, 576), (1920, 1080)]))
def test_a_view_holds_what_a_thumbnail_shows_and_nothing_of_the_frame_beside_it(
    box: Box, size: tuple[int, int]
) -> None:
    seen = frame(_street(*size), 0.0)
    view = better_view(seen, box, 0.9, None)
    if view is None:
        assert box.area == 0 or sharpness(seen.image, box) == 0
        return
    left, top, right, bottom = surroundings(box, *size)
    assert view.image.base is None
    assert view.image.shape == (bottom - top, right - left, 3)
    whole, kept = encode(seen.image, box), encode(view.image, view.box)
    assert abs(kept.width - whole.width) <= 1
    assert abs(kept.height - whole.height) <= 1
    assert kept.box.x * kept.width == pytest.approx(whole.box.x * whole.width, abs=1.5)
    assert kept.box.bottom * kept.height == pytest.approx(whole.box.bottom * whole.height, abs=1.5)
    assert (view.place, view.monotonic_s) == (box, seen.monotonic_s)


@lru_cache
def _street(width: int, height: int) -> np.ndarray:
    return Street(width=width, height=height).image(0)


def test_the_box_in_the_picture_is_where_the_object_is_in_it() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    image[300:420, 900:960] = 255  # one white object in a black street
    encoded = encode(image, Box(900 / 1280, 300 / 720, 60 / 1280, 120 / 720))
    picture = cv2.imdecode(np.frombuffer(encoded.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    rows, columns = np.nonzero(picture > 128)
    height, width = picture.shape
    assert encoded.box.x * width == pytest.approx(columns.min(), abs=2)
    assert encoded.box.right * width == pytest.approx(columns.max() + 1, abs=2)
    assert encoded.box.y * height == pytest.approx(rows.min(), abs=2)
    assert encoded.box.bottom * height == pytest.approx(rows.max() + 1, abs=2)
