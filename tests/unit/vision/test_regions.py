"""Whose turn is it, what does a look show, and where do boxes found in a crop lie in the frame?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from agent.vision.detect import Detection
from agent.vision.regions import Look, Regions, RegionTuning, cut, in_frame
from shared.geometry import Box
from shared.messages import Kind

FAR = Box(0.7, 0.2, 0.02, 0.06)
NEAR = Box(0.1, 0.3, 0.15, 0.5)


def test_without_anybody_small_every_look_is_of_the_whole_frame() -> None:
    regions = Regions()
    assert [regions.next([NEAR], [NEAR]).crop for _ in range(6)] == [None] * 6


def test_somebody_far_away_gets_every_second_look_and_the_rest_of_the_frame_the_others() -> None:
    regions = Regions()
    crops = [regions.next([FAR], []).crop for _ in range(8)]
    assert [crop is None for crop in crops] == [True, False] * 4


def test_a_crop_holds_what_it_is_for_has_the_frames_shape_and_stays_inside() -> None:
    for corner in (Box(0.0, 0.0, 0.02, 0.05), Box(0.98, 0.95, 0.02, 0.05), FAR):
        regions = Regions()
        regions.next([corner], [])
        crop = regions.next([corner], []).crop
        assert crop is not None
        assert crop.w == crop.h >= RegionTuning().least
        assert crop.x >= 0
        assert crop.y >= 0
        assert crop.right <= 1 + 1e-9
        assert crop.bottom <= 1 + 1e-9
        assert crop.overlap(corner) > 0


def test_several_far_away_take_turns_and_two_close_together_share_one_crop() -> None:
    apart = [Box(0.1, 0.1, 0.02, 0.05), Box(0.8, 0.1, 0.02, 0.05), Box(0.8, 0.8, 0.02, 0.05)]
    regions = Regions()
    crops = [crop for crop in (regions.next(apart, []).crop for _ in range(12)) if crop]
    assert len(set(crops)) == 3
    assert all(one != another for one, another in pairwise(crops))
    together = Regions()
    shared = {together.next([FAR, Box(0.74, 0.22, 0.02, 0.06)], []).crop for _ in range(8)}
    assert len(shared - {None}) == 1


def test_many_far_away_are_a_bounded_round() -> None:
    many = [Box(0.05 + 0.09 * number, 0.08 * number, 0.01, 0.04) for number in range(10)]
    regions = Regions()
    assert len({regions.next(many, []).crop for _ in range(60)} - {None}) <= RegionTuning().max_waiting


def test_what_moves_on_somebody_already_known_to_be_large_needs_no_crop() -> None:
    regions = Regions()
    hand = Box(0.12, 0.4, 0.03, 0.05)
    assert [regions.next([hand], [NEAR]).crop for _ in range(4)] == [None] * 4


def test_while_somebody_large_walks_nobody_is_looked_at_alone() -> None:
    regions = Regions()
    assert [regions.next([FAR], [FAR], busy=True) for _ in range(4)] == [Look()] * 4


def test_on_patrol_the_whole_and_every_part_take_turns_so_that_nobody_small_is_left_out() -> None:
    regions = Regions()
    looks = [regions.next([], [], patrol=True) for _ in range(10)]
    assert sum(look.crop is None for look in looks) == 2
    for place in (Box(x, y, 0.03, 0.09) for x in np.arange(0, 0.97, 0.08) for y in np.arange(0, 0.9, 0.08)):
        waits = [number for number, look in enumerate(looks) if look.crop and look.shows(place)]
        assert waits
        assert max(later - sooner for sooner, later in pairwise([-1, *waits, 10])) <= 5


def test_on_patrol_somebody_small_who_is_known_keeps_his_turn() -> None:
    regions = Regions()
    crops = [regions.next([], [FAR], patrol=True).crop for _ in range(6)]
    assert sum(crop is not None and crop.w < 0.4 for crop in crops) == 1


def test_a_look_at_a_part_says_nothing_of_who_is_elsewhere_nor_a_whole_one_of_who_is_too_small() -> None:
    regions = Regions()
    whole, part = regions.next([], [FAR, NEAR]), regions.next([], [FAR, NEAR])
    assert whole.crop is None
    assert whole.shows(NEAR)
    assert not whole.shows(FAR)
    assert part.shows(FAR)
    assert not part.shows(NEAR)


def test_what_is_found_in_a_crop_lies_where_it_is_in_the_frame() -> None:
    crop = Box(0.5, 0.25, 0.4, 0.4)
    picture = np.zeros((360, 640, 3), np.uint8)
    picture[180:198, 448:464] = 255  # 0.7, 0.5, 0.025, 0.05
    part = cut(picture, crop)
    rows, columns = part[..., 0].any(axis=1).nonzero()[0], part[..., 0].any(axis=0).nonzero()[0]
    height, width = part.shape[:2]
    seen = Box.from_corners(
        columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    )
    found = in_frame([Detection(Kind.PERSON, 0.8, seen)], crop)[0].box
    assert (found.x, found.y, found.w, found.h) == pytest.approx((0.7, 0.5, 0.025, 0.05), abs=0.002)


def test_who_is_cut_by_the_crops_edge_is_left_to_the_next_whole_look_but_not_by_the_frames_own() -> None:
    def kept(box: Box, crop: Box) -> int:
        return len(in_frame([Detection(Kind.PERSON, 0.8, box)], crop))

    inside, left, low = Box(0.4, 0.4, 0.1, 0.2), Box(0.0, 0.4, 0.1, 0.2), Box(0.4, 0.8, 0.1, 0.2)
    middle, corner = Box(0.3, 0.3, 0.4, 0.4), Box(0.0, 0.6, 0.4, 0.4)
    assert [kept(box, middle) for box in (inside, left, low)] == [1, 0, 0]
    assert [kept(box, corner) for box in (inside, left, low)] == [1, 1, 1]
