"""Who is who behind lamp posts, pillars and each other?

On many seeds; bounds are what was measured, and a margin.
"""

from __future__ import annotations

import random
from itertools import combinations, product

import pytest

from agent.vision.track import whole_span
from shared.geometry import Box
from tests.fakes import Actor
from tests.unit.vision.occlusion import Noise, followed, visible

POST = Box(0.48, 0.2, 0.04, 0.7)  # narrower than a person
PILLAR = Box(0.45, 0.2, 0.10, 0.7)  # wider: both are out of sight at once
WALL = Box(0.40, 0.2, 0.20, 0.7)
SPEEDS = (0.08, 0.12, 0.2)
SEEDS = range(8)


def passing(speed: float) -> tuple[Actor, Actor]:
    return Actor((0.05, 0.5), (speed, 0.0)), Actor((0.95, 0.53), (-speed, 0.0))


@pytest.mark.parametrize("fps", [3.0, 5.0])
@pytest.mark.parametrize("cover", [(), (POST,), (PILLAR,)], ids=["open", "post", "pillar"])
def test_two_who_pass_do_not_swap_whatever_hides_them(cover: tuple[Box, ...], fps: float) -> None:
    """On plain middles of boxes 142 of 540 such passages swapped; with the edges that show, 1 of 540."""
    outcomes = [
        followed(passing(speed), pillars=cover, seconds=1 / speed, fps=fps, seed=seed)
        for speed in SPEEDS
        for seed in SEEDS
    ]
    assert sum(outcome.swapped for outcome in outcomes) <= 1
    assert sum(outcome.broken for outcome in outcomes) <= 2


@pytest.mark.parametrize("fps", [3.0, 5.0])
def test_one_walker_behind_a_pillar_stays_one(fps: float) -> None:
    for speed in SPEEDS:
        for seed in SEEDS:
            walker = Actor((0.05, 0.5), (speed, 0.0))
            assert followed([walker], pillars=[PILLAR], seconds=0.9 / speed, fps=fps, seed=seed).broken == 0


def test_two_who_pass_behind_a_wide_wall_may_become_others_but_never_each_other() -> None:
    for speed in SPEEDS:
        for seed in SEEDS:
            assert not followed(passing(speed), pillars=[WALL], seconds=1 / speed, seed=seed).swapped


def test_any_two_who_pass_a_pillar_hardly_ever_swap() -> None:
    """Hidden for a second at most, and no look missed. Measured: 2 of 1500 swapped."""
    chance = random.Random(4)
    noise = Noise(jitter=0.02, misses=0.0, doubts=0.0)
    swapped = 0
    for seed in range(100):
        speed, at, width = chance.uniform(0.1, 0.2), chance.uniform(0.3, 0.7), chance.uniform(0.02, 0.1)
        right = Actor((0.05, 0.5), (speed, 0.0))
        left = Actor((0.95, 0.5 + chance.uniform(0.0, 0.06)), (-speed, 0.0))
        cover = Box(at - width / 2, 0.2, width, 0.7)
        passage = followed([right, left], pillars=[cover], seconds=0.9 / speed, seed=seed, noise=noise)
        swapped += passage.swapped
    assert swapped <= 2


def overtaking(slow: float, fast: float) -> tuple[Actor, Actor]:
    """They are side by side at half the way."""
    halfway_s = 0.45 / slow
    return Actor((0.05, 0.5), (slow, 0.0)), Actor((0.5 - fast * halfway_s, 0.53), (fast, 0.0))


def test_who_overtakes_another_is_seldom_taken_for_him() -> None:
    """The hard case: they are one to the detector for up to three seconds. Measured: 9 of 90 swapped, 7 of
    them where one is half as fast again as the other.
    """
    swapped = 0
    for slow, fast in combinations(SPEEDS, 2):
        for cover, seed in product(((), (POST,), (PILLAR,)), range(5)):
            walkers, seconds = overtaking(slow, fast), 0.45 / slow + 0.45 / fast
            for actors in (walkers, walkers[::-1]):
                swapped += followed(actors, pillars=cover, seconds=seconds, seed=seed).swapped
    assert swapped <= 12


@pytest.mark.parametrize(
    ("shows", "expected", "middle"),
    [
        pytest.param((0.4, 0.5), 0.45, 0.45, id="whole"),
        pytest.param((0.4, 0.44), 0.45, 0.45, id="its right part is hidden"),
        pytest.param((0.46, 0.5), 0.45, 0.45, id="its left part is hidden"),
        pytest.param((0.4, 0.44), 0.42, 0.42, id="it is small now"),
        pytest.param((0.4, 0.49), 0.9, 0.445, id="nearly whole: its middle, whatever was expected"),
    ],
)
def test_the_middle_of_what_is_hidden_in_part(
    shows: tuple[float, float], expected: float, middle: float
) -> None:
    assert whole_span(*shows, expected, 0.1)[0] == pytest.approx(middle)


def test_what_is_hidden_keeps_its_length_and_what_grows_gains_it() -> None:
    assert whole_span(0.4, 0.44, 0.45, 0.1)[1] > 0.095
    assert 0.1 < whole_span(0.4, 0.6, 0.5, 0.1)[1] < 0.15


def test_the_strip_that_shows() -> None:
    """The test's own scenery does what it says."""
    person = Box(0.40, 0.3, 0.10, 0.3)
    assert visible(person, [Box(0.46, 0.2, 0.2, 0.7)]) == Box.from_corners(0.40, 0.3, 0.46, 0.6)
    assert visible(person, [Box(0.39, 0.2, 0.2, 0.7)]) is None
    before_its_feet = visible(person, [Box(0.39, 0.55, 0.2, 0.4)])
    assert before_its_feet
    assert before_its_feet.overlap(person) > 0.99
