"""One word where the light shows one, and none where it does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.vision.colour import ColourVote, colour_of
from shared.geometry import Box
from shared.messages import Colour, Kind

BOX = Box(0.3, 0.3, 0.4, 0.5)
PAINT = {  # red, green, blue: what a car of that colour reads in daylight
    Colour.RED: (190, 30, 35),
    Colour.BLUE: (40, 70, 170),
    Colour.GREEN: (40, 120, 55),
    Colour.YELLOW: (225, 195, 40),
    Colour.ORANGE: (230, 120, 30),
    Colour.BROWN: (95, 60, 35),
    Colour.PURPLE: (110, 50, 150),
    Colour.PINK: (235, 120, 180),
    Colour.BLACK: (22, 22, 24),
    Colour.WHITE: (240, 240, 238),
}


def a_street(paint: tuple[int, int, int], seed: int = 0, light: float = 1.0) -> np.ndarray:
    """A street by day in many colours, with noise, and one object of this paint in it."""
    noise = np.random.default_rng(seed)
    picture = np.full((360, 640, 3), (150, 160, 165), np.float32)
    picture[:90] = (235, 210, 190)  # sky, in BGR
    picture[90:160, :200] = (60, 120, 70)  # trees
    picture[90:160, 400:] = (90, 120, 190)  # brick
    picture[300:] = 245  # a lit wall
    picture[108:288, 192:448] = paint[::-1]
    picture += noise.normal(0, 6, picture.shape)
    return (picture * light).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", PAINT)
@pytest.mark.parametrize("kind", [Kind.PERSON, Kind.CAR, Kind.MOTORCYCLE, Kind.BUS])
def test_a_plain_colour_by_day_is_named(colour: Colour, kind: Kind) -> None:
    assert colour_of(a_street(PAINT[colour]), BOX, kind) is colour


@pytest.mark.parametrize("colour", PAINT)
@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.03, 1.0, 0.98)])  # some infrared pictures are bluish
def test_infrared_has_no_colours(colour: Colour, tint: tuple[float, float, float]) -> None:
    grey = cv2.cvtColor(a_street(PAINT[colour]), cv2.COLOR_BGR2GRAY)
    picture = (grey[..., None] * np.array(tint)).clip(0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    assert colour_of(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), BOX, Kind.CAR) is Colour.UNKNOWN


@pytest.mark.parametrize("colour", PAINT)
def test_the_dark_has_no_colours(colour: Colour) -> None:
    assert colour_of(a_street(PAINT[colour], light=0.15), BOX, Kind.CAR) is Colour.UNKNOWN


def test_nobody_wears_silver() -> None:
    said = {colour_of(a_street((grey, grey, grey)), BOX, Kind.PERSON) for grey in range(30, 240, 10)}
    assert Colour.SILVER not in said


@pytest.mark.parametrize(
    "box", [Box(0.5, 0.5, 0.004, 0.004), Box(0.0, 0.0, 0.0, 0.0), Box(1.0, 1.0, 0.0, 0.0)]
)
def test_an_object_of_a_few_pixels_has_no_word(box: Box) -> None:
    assert colour_of(a_street(PAINT[Colour.RED]), box, Kind.CAR) is Colour.UNKNOWN


def test_before_any_look_there_is_no_word() -> None:
    assert ColourVote(Kind.CAR).word is Colour.UNKNOWN


def test_one_look_at_something_else_does_not_change_the_word() -> None:
    vote = ColourVote(Kind.CAR)
    for colour in (Colour.RED, Colour.RED, Colour.BLUE, Colour.RED):
        vote.add(a_street(PAINT[colour]), BOX, Kind.CAR)
    assert vote.word is Colour.RED


def test_when_most_looks_were_infrared_the_word_is_withheld() -> None:
    vote = ColourVote(Kind.CAR)
    vote.add(a_street(PAINT[Colour.RED]), BOX, Kind.CAR)
    grey = cv2.cvtColor(cv2.cvtColor(a_street(PAINT[Colour.RED]), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    vote.add(grey, BOX, Kind.CAR)
    assert vote.word is Colour.UNKNOWN


def test_only_the_newest_looks_count() -> None:
    vote = ColourVote(Kind.CAR)
    for colour in [Colour.RED] * 9 + [Colour.BLUE] * 9:
        vote.add(a_street(PAINT[colour]), BOX, Kind.CAR)
    assert vote.word is Colour.BLUE
