"""Is the NVR that we are measured beside the one that is published? (`tests/bench/vision/nvr`)"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from agent.vision.detect import Detection
from agent.vision.frame import Frame, Image
from shared.geometry import Box
from shared.messages import Kind
from tests.bench.vision.nvr.objects import Objects, distance
from tests.bench.vision.nvr.published import Published
from tests.bench.vision.nvr.regions import OBJECTS, Found, clusters, one_per_object, square
from tests.bench.vision.nvr_reference import Counted, Nvr
from tests.fakes import NOON

SIZE = (640, 360)
STREET = np.full((360, 640, 3), 90, np.uint8)
WALKER = (300.0, 100.0, 340.0, 200.0)


def frame(number: int, image: Image = STREET) -> Frame:
    return Frame("file", image, NOON + timedelta(seconds=number / 5), number / 5)


class Somebody:
    """Finds one person, always in the middle of what it is shown."""

    name = "somebody"

    def detect(self, image: Image) -> list[Detection]:
        return [Detection(Kind.PERSON, 0.9, Box(0.45, 0.3, 0.1, 0.4))] if image.size else []


def test_distance_counts_in_the_objects_own_size() -> None:
    left, top, right, bottom = WALKER
    assert distance(WALKER, WALKER) == 0
    assert distance((left + 40, top, right + 40, bottom), WALKER) == pytest.approx(1)  # a width
    assert distance((left, top + 100, right, bottom + 100), WALKER) == pytest.approx(1)  # a height
    assert distance((left - 20, top, right + 20, bottom), WALKER) == pytest.approx(1)  # twice as wide


def test_a_region_is_square_not_under_320_and_as_far_inside_as_it_fits() -> None:
    assert square([WALKER], SIZE, 320, OBJECTS) == (160, 0, 480, 320)
    corner = square([(600.0, 320.0, 640.0, 360.0)], SIZE, 320, OBJECTS)
    assert corner == (320, 40, 640, 360)
    assert square([(0.0, 0.0, 400.0, 100.0)], SIZE, 320, OBJECTS) == (0, 0, 540, 540)


def test_two_side_by_side_share_a_region_and_two_apart_do_not() -> None:
    beside, apart = (350.0, 100.0, 390.0, 200.0), (20.0, 100.0, 60.0, 200.0)
    assert len(list(clusters([WALKER, beside], SIZE, 320))) == 1
    assert len(list(clusters([WALKER, apart], SIZE, 320))) == 2


def test_of_a_whole_box_and_one_cut_by_its_region_the_whole_one_is_kept() -> None:
    whole = Found(Kind.PERSON, 0.7, WALKER)
    cut = Found(Kind.PERSON, 0.9, (300.0, 100.0, 340.0, 180.0), is_cut=True)
    assert one_per_object([cut, whole]) == [whole]


def test_an_object_is_born_at_the_third_hit_and_told_once_its_median_reaches_the_threshold() -> None:
    objects = Objects(Published())
    for number, score in enumerate((0.6, 0.6, 0.6, 0.8)):
        assert not any(one.is_told for one in objects.live)
        objects.update([Found(Kind.PERSON, score, WALKER)], frame(number))
        assert [one.is_born for one in objects.live] == [number >= 2]
    assert objects.live[0].is_told  # between 0.6 and 0.8
    for number in range(4, 9):
        objects.update([], frame(number))
    assert objects.live[0].is_told


def test_who_stands_is_looked_for_once_in_fifty_frames() -> None:
    counted = Counted(Somebody())
    nvr = Nvr(counted, Published())
    rng = np.random.default_rng(1)
    looks = []
    for number in range(200):
        image = STREET.copy()
        if 60 <= number < 66:  # it has learnt the street by then; without motion nobody looks
            image[100:200, 200:300] = rng.integers(0, 255, (100, 100, 3))
        before = counted.looks
        nvr.step(frame(number, image))
        looks.append(counted.looks - before)
    assert not any(looks[:60])
    assert all(looks[62:110])
    assert 1 <= sum(looks[130:]) <= 4
