"""Four real streets, what can happen to a camera done to their pixels, and the streets as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.replay import VideoFile
from agent.vision.frame import Image
from agent.vision.image_health import (
    BLURRED,
    COVERED,
    DARK,
    FINE,
    TURNED,
    WEB_OR_RAIN,
    HealthTuning,
    ImageHealth,
)
from tests.fakes import NOON

Change = Callable[[Image], Image]
_READINGS = 36  # six minutes at one per ten seconds: over the longest of the waits
_RANDOM = np.random.default_rng(20261123)
_STREETS = ("one-by-one-person-detection.mp4", "ozlu_input_video.mp4", "vtest.avi")
_BARE = "car-detection.mp4"  # a road from above with hardly a line on it, on a mast that sways


def clip_of(name: str, shared_data: Path, street_clip: Path) -> Path:
    return street_clip if name == street_clip.name else shared_data / "video" / name


def seconds_of(clip: Path) -> list[Image]:
    return [frame.image for frame in VideoFile(clip, "file", NOON, sampled_fps=1)]


def noisy(image: np.ndarray, deviation: float) -> Image:
    return np.clip(image + _RANDOM.normal(0, deviation, image.shape), 0, 255).astype(np.uint8)


def at_dusk(image: Image) -> Image:
    return noisy(image * 0.35, 6)


def in_infrared(image: Image) -> Image:
    """Grey, bright in the middle, black in the corners, grainy."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    y, x = np.mgrid[0:height, 0:width]
    lamp = np.exp(-(((x / width - 0.5) / 0.4) ** 2) - ((y / height - 0.6) / 0.45) ** 2)
    return cv2.merge([noisy(grey * lamp * 1.1, 7)] * 3)


def without_light(image: Image) -> Image:
    return (image * 0.03).astype(np.uint8)


def out_of_focus(image: Image) -> Image:
    return cv2.GaussianBlur(image, (0, 0), 4 * image.shape[1] / 640)


def behind_a_hand(image: Image) -> Image:
    height, width = image.shape[:2]
    hand = np.zeros((height, width), np.float32)
    cv2.ellipse(hand, (width // 3, height // 2), (int(width * 0.45), int(height * 0.7)), 20, 0, 360, 1.0, -1)
    hand = cv2.GaussianBlur(hand, (0, 0), 25)[..., None]
    return (image * (1 - hand) + np.array([70, 90, 140]) * hand).astype(np.uint8)


def wholly_behind_a_hand(image: Image) -> Image:
    return cv2.GaussianBlur(noisy(np.full_like(image, (70, 90, 140)), 3), (0, 0), 3)


def moved(right: float = 0.0, degrees: float = 0.0, zoom: float = 1.0) -> Change:
    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
        matrix[0, 2] += right * width
        return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)

    change.__name__ = f"moved_{right}_{degrees}_{zoom}"
    return change


def behind_a_web(image: Image) -> Image:
    height, width = image.shape[:2]
    web, centre = np.zeros((height, width), np.float32), np.array([width * 0.4, height * 0.35])
    spokes = [np.array([np.cos(a), np.sin(a)]) for a in np.linspace(0, 2 * np.pi, 17)[:-1]]
    for spoke in spokes:
        cv2.line(web, *(tuple((centre + spoke * far).astype(int).tolist()) for far in (0, width)), 1.0, 2)
    for ring in range(1, 16):
        points = np.array([centre + spoke * ring * width * 0.055 for spoke in spokes]).astype(np.int32)
        cv2.polylines(web, [points], isClosed=True, color=1.0, thickness=2)
    web = cv2.GaussianBlur(web, (0, 0), 1.2 * width / 640)[..., None]
    return np.clip(image + web * 130, 0, 255).astype(np.uint8)


def in_heavy_rain(image: Image) -> Image:
    height, width = image.shape[:2]
    rain = np.zeros((height, width), np.float32)
    for _ in range(700):
        x, y = int(_RANDOM.integers(0, width)), int(_RANDOM.integers(-20, height))
        long = int(_RANDOM.integers(15, 45) * width / 640)
        cv2.line(
            rain, (x, y), (x + long // 7, y + long), float(_RANDOM.uniform(0.4, 1)), max(1, width // 500)
        )
    rain = cv2.GaussianBlur(rain, (0, 0), 0.8)[..., None]
    return np.clip(image * 0.92 + rain * 110, 0, 255).astype(np.uint8)


def with_a_bus(image: Image) -> Image:
    """A quarter to a third of the picture, close by."""
    bus, (height, width) = image.copy(), image.shape[:2]
    bus[int(height * 0.25) : int(height * 0.85), int(width * 0.1) : int(width * 0.75)] = (40, 120, 200)
    for window in range(6):
        left = int(width * (0.13 + 0.1 * window))
        bus[int(height * 0.32) : int(height * 0.5), left : left + int(width * 0.07)] = (60, 50, 40)
    return bus


def causes(health: ImageHealth, images: Iterable[Image]) -> list[str]:
    """What stands after each reading."""
    stood = []
    for image in images:
        health.look(image)
        stood.append(health.cause)
    return stood


@pytest.mark.parametrize("name", [*_STREETS, _BARE])
def test_a_street_as_it_is_never_raises_a_ticket(name: str, shared_data: Path, street_clip: Path) -> None:
    images = seconds_of(clip_of(name, shared_data, street_clip))
    assert set(causes(ImageHealth(images[0]), images * 2)) == {FINE}


@pytest.mark.parametrize("name", [*_STREETS, _BARE])
@pytest.mark.parametrize("light", [at_dusk, in_infrared])
def test_dusk_and_infrared_are_not_a_fault(
    name: str, light: Change, shared_data: Path, street_clip: Path
) -> None:
    images = seconds_of(clip_of(name, shared_data, street_clip))
    seen = causes(ImageHealth(images[0]), (light(image) for image in islice(cycle(images), _READINGS)))
    assert set(seen) == {FINE}


@pytest.mark.parametrize("name", _STREETS)
@pytest.mark.parametrize(
    ("done", "cause"),
    [
        (without_light, DARK),
        (out_of_focus, BLURRED),
        (behind_a_hand, COVERED),
        (wholly_behind_a_hand, COVERED),
        (moved(right=0.05), TURNED),
        (moved(right=0.3), TURNED),
        (moved(degrees=8), TURNED),
        (moved(degrees=25), TURNED),
        (behind_a_web, WEB_OR_RAIN),
        (in_heavy_rain, WEB_OR_RAIN),
    ],
)
def test_what_was_done_to_a_camera_is_named(
    name: str, done: Change, cause: str, shared_data: Path, street_clip: Path
) -> None:
    images = seconds_of(clip_of(name, shared_data, street_clip))[: 2 * _READINGS]
    health = ImageHealth(images[0])
    seen = causes(health, (done(image) for image in islice(cycle(images), _READINGS)))
    assert seen[0] == FINE  # one reading is no ticket
    assert seen[-1] == cause
    assert set(seen) == {FINE, cause}
    assert causes(health, islice(cycle(images), 5))[-1] == FINE  # mended: the ticket closes


@pytest.mark.parametrize("done", [without_light, wholly_behind_a_hand, moved(right=0.1), moved(degrees=25)])
def test_even_a_bare_road_raises_a_ticket_of_some_kind(done: Change, shared_data: Path) -> None:
    images = seconds_of(shared_data / "video" / _BARE)
    seen = causes(ImageHealth(images[0]), (done(image) for image in islice(cycle(images), _READINGS)))
    assert seen[-1] in {DARK, COVERED, TURNED}


@pytest.mark.parametrize("name", _STREETS)
def test_a_bus_before_the_lens_is_not_a_cover(name: str, shared_data: Path, street_clip: Path) -> None:
    images = seconds_of(clip_of(name, shared_data, street_clip))[: 2 * _READINGS]
    seen = causes(ImageHealth(images[0]), (with_a_bus(image) for image in images))
    assert COVERED not in seen
    assert TURNED not in seen


def test_a_hand_that_is_taken_away_in_time_is_forgotten(street_clip: Path) -> None:
    images = seconds_of(street_clip)
    health, wait = ImageHealth(images[0]), HealthTuning().readings[COVERED]
    for _ in range(4):
        assert set(causes(health, [behind_a_hand(image) for image in images[: wait - 1]])) == {FINE}
        assert set(causes(health, images[:2])) == {FINE}


def test_masks_neither_hide_a_turned_camera_nor_turn_a_good_one(street_clip: Path) -> None:
    images = seconds_of(street_clip)
    height, width = images[0].shape[:2]
    masked = np.zeros((height, width), np.bool_)
    masked[:, : width // 2] = True

    def black(image: Image) -> Image:
        return np.where(masked[..., None], np.uint8(0), image)

    health = ImageHealth(black(images[0]), masked)
    for image in images[:_READINGS]:
        health.look(black(image), masked)
    assert health.cause == FINE
    for image in images[:_READINGS]:
        health.look(black(moved(right=0.08)(image)), masked)
    assert health.cause == TURNED
