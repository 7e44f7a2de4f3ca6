"""What is seen at one place again and again stands there, unless all who were seen went on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.vision.detect import Detection
from agent.vision.sightings import Sightings, SightingTuning
from agent.vision.track import FAMILY
from shared.geometry import Box
from shared.messages import Kind

PLACE = Box(0.4, 0.4, 0.1, 0.1)
CAR = FAMILY[Kind.CAR]


def found(box: Box = PLACE, kind: Kind = Kind.CAR) -> list[Detection]:
    return [Detection(kind, 0.4, box)]


def seen(times: int, every_s: float = 1.0, owner: int | None = None) -> Sightings:
    sightings = Sightings()
    for n in range(times):
        sightings.add(found(), {PLACE: owner} if owner else {}, (), n * every_s)
    return sightings


def test_a_doubtful_car_found_in_one_look_of_five_is_known_after_four() -> None:
    assert seen(3).near(CAR, PLACE) == 0
    assert seen(4).near(CAR, PLACE) > 0.99


def test_four_looks_within_a_moment_are_somebody_who_passes() -> None:
    assert seen(4, every_s=0.2).near(CAR, PLACE) == 0


def test_it_says_nothing_of_another_family() -> None:
    assert seen(9).near(FAMILY[Kind.PERSON], PLACE) == 0


def test_who_is_known_to_go_leaves_no_sightings_behind() -> None:
    sightings = seen(9, owner=7)
    assert sightings.near(CAR, PLACE) > 0.99
    sightings.add([], {}, {7}, 9.0)
    assert sightings.near(CAR, PLACE) == 0


def test_those_who_pass_one_after_another_on_one_path_do_not_stand_there() -> None:
    sightings = Sightings()
    for guest in range(1, 20):
        for look in range(3):
            sightings.add(found(), {PLACE: guest}, (), guest * 10 + look * 0.2)
        sightings.take_back((guest,))
        assert sightings.near(CAR, PLACE) == 0


def test_what_stands_there_stays_known_when_somebody_passes_before_it() -> None:
    sightings = seen(9)
    for look in range(3):
        sightings.add(found(), {PLACE: 7}, (), 10 + look)
    sightings.take_back((7,))
    assert sightings.near(CAR, PLACE) > 0.99


def test_it_is_forgotten_after_its_time() -> None:
    sightings = seen(9)
    sightings.add([], {}, (), 9 + SightingTuning().kept_s)
    assert sightings.near(CAR, PLACE) == 0


@given(st.lists(st.tuples(st.floats(0, 0.8), st.integers(0, 40)), min_size=60, max_size=200))
def test_it_never_holds_more_than_it_may(looks: list[tuple[float, int]]) -> None:
    sightings = Sightings(SightingTuning(most=5))
    for at_s, (x, owner) in enumerate(looks):
        box = Box(x, 0.1, 0.05, 0.05)
        sightings.add(found(box), {box: owner} if owner else {}, (), float(at_s))
        assert len(sightings._all) <= 5
        assert all(len(one.looks) <= 8 for one in sightings._all)
