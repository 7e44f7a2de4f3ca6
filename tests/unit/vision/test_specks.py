"""Which few changed pixels are somebody far away? Those that stay together and go somewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agent.vision.specks import Specks, SpeckTuning
from shared.geometry import Box

Spot = tuple[float, float] | None
_SHAPE = (90, 160)


def changed(*spots: Spot, size: tuple[int, int] = (2, 5)) -> np.ndarray:
    """White where something is: a far walker is two pixels wide and five high."""
    picture = np.zeros(_SHAPE, np.uint8)
    for spot in spots:
        if spot is not None:
            x, y = round(spot[0]), round(spot[1])
            picture[y : y + size[1], x : x + size[0]] = 255
    return picture


def followed(at: Callable[[int], Spot], looks: int = 15) -> list[list[Box]]:
    specks = Specks()
    return [specks.walking(changed(at(n)), changed(at(n)), n / 5) for n in range(looks)]


def test_a_far_walker_is_told_once_he_has_gone_his_way_and_from_then_on() -> None:
    told = followed(lambda n: (50 + 0.65 * n, 30))
    first = next(number for number, boxes in enumerate(told) if boxes)
    assert 4 <= first <= 6
    assert all(told[first:])


def test_the_box_is_where_he_is() -> None:
    box = followed(lambda n: (50 + 0.75 * n, 30))[-1][0]
    assert box.x <= (50 + 0.75 * 14 + 1) / 160 <= box.right
    assert box.y <= 32 / 90 <= box.bottom
    assert box.area < 0.01


def test_what_stays_where_it_is_or_sways_goes_nowhere() -> None:
    assert not any(followed(lambda _: (50, 30)))
    assert not any(followed(lambda n: (50 + 2 * (n % 2), 30), looks=40))


def test_what_is_elsewhere_at_every_look_is_no_walker() -> None:
    assert not any(followed(lambda n: (10 + 31 * n % 140, 5 + 19 * n % 75), looks=40))


def test_a_ghost_that_fades_out_of_the_scene_does_not_walk() -> None:
    """It differs from the scene, and not from just now."""
    specks, still = Specks(), np.zeros(_SHAPE, np.uint8)
    for number in range(20):
        assert specks.walking(changed((50 + 0.65 * number, 30)), still, number / 5) == []


def test_behind_a_lamp_post_he_is_the_same_walker_and_after_longer_another() -> None:
    def hidden(looks: range) -> list[list[Box]]:
        return followed(lambda n: None if n in looks else (50 + 0.65 * n, 30))

    assert hidden(range(8, 9))[9]
    assert not hidden(range(8, 12))[12]


def test_two_who_walk_apart_are_two() -> None:
    specks = Specks()
    for number in range(10):
        both = changed((25 + 0.65 * number, 30), (100 - 0.65 * number, 50))
        boxes = specks.walking(both, both, number / 5)
    assert len(boxes) == 2


def test_weather_is_followed_no_further_than_so_many_specks() -> None:
    specks = Specks()
    for number in range(10):
        spots = [(4 + 6 * (i % 25) + 0.65 * number, 3 + 10 * (i // 25)) for i in range(100)]
        many = changed(*spots)
        boxes = specks.walking(many, many, number / 5)
    assert 0 < len(boxes) <= SpeckTuning().most


def test_a_cleared_gate_begins_anew() -> None:
    specks = Specks()
    for number in range(10):
        here = changed((50 + 0.65 * number, 30))
        boxes = specks.walking(here, here, number / 5)
    assert boxes
    specks.clear()
    assert specks.walking(here, here, 2.0) == []
