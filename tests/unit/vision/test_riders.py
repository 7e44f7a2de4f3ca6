from __future__ import annotations

import pytest

from agent.vision.riders import sits_on
from shared.geometry import Box
from shared.messages import Kind, Phase
from tests.fakes import Actor
from tests.unit.vision.lives import by_event, lived


class Rides(Actor):
    """Stands by a parked motorbike from the start, gets on at 8 s and rides away."""

    def box(self, t: float) -> Box | None:
        rode_s = max(0.0, t - 8.0)
        return super().box(0.0) if not rode_s else Actor(self.at, (0.2, 0.0), self.size).box(rode_s)


def rider(**changes) -> tuple[Actor, Actor]:
    """Person first, motorbike below; both cross the picture."""
    how = {"speed": (0.15, 0.0), "enters_s": 2.0} | changes
    person = Actor((0.0, 0.48), size=(0.06, 0.22), **how)
    bike = Actor((0.0, 0.58), size=(0.12, 0.16), kind=Kind.MOTORCYCLE, **how)
    return person, bike


PARKED = Actor((0.5, 0.58), size=(0.12, 0.16), kind=Kind.MOTORCYCLE)


@pytest.mark.parametrize("fps", [3.0, 5.0])
@pytest.mark.parametrize("kind", [Kind.MOTORCYCLE, Kind.BICYCLE])
def test_a_rider_and_what_he_rides_are_one_event_of_its_kind(kind: Kind, fps: float) -> None:
    person, bike = rider()
    bike.kind = kind
    told, _ = lived(person, bike, seconds=12, fps=fps)
    (life,) = by_event(told).values()
    assert life[-1].kind is kind
    assert [life[0].phase, life[-1].phase] == [Phase.START, Phase.END]


def test_his_picture_shows_both() -> None:
    told, _ = lived(*rider(), seconds=12)
    box = [occurrence.event.box for occurrence in told][-1]
    assert box.h == pytest.approx(0.66 - 0.37, abs=0.02)


def test_two_on_one_motorbike_are_one_event() -> None:
    person, bike = rider()
    behind = Actor((-0.03, 0.48), (0.15, 0.0), size=(0.05, 0.2), enters_s=2.0)
    told, _ = lived(person, behind, bike, seconds=12)
    assert [life[-1].kind for life in by_event(told).values()] == [Kind.MOTORCYCLE]


def test_a_motorbike_found_late_takes_up_its_riders_event() -> None:
    person, bike = rider()
    bike.hidden_s = (0.0, 5.0)  # the model is not sure of it when it is far away
    told, _ = lived(person, bike, seconds=12)
    (life,) = by_event(told).values()
    assert (life[0].kind, life[-1].kind) == (Kind.PERSON, Kind.MOTORCYCLE)


def test_a_motorbike_no_longer_found_leaves_the_event_to_its_rider() -> None:
    person, bike = rider()
    bike.hidden_s = (4.5, 60.0)
    told, _ = lived(person, bike, seconds=12)
    (life,) = by_event(told).values()
    assert life[-1].kind is Kind.MOTORCYCLE
    assert life[-1].path[-1].x > 0.9


@pytest.mark.parametrize("speed", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("foot", [0.6, 0.65, 0.7])
def test_who_walks_past_a_parked_motorbike_is_a_person(foot: float, speed: float) -> None:
    walker = Actor((0.0, foot - 0.125), (speed, 0.0), enters_s=2.0)
    told, _ = lived(PARKED, walker, seconds=2 + 1.1 / speed)
    (life,) = by_event(told).values()
    assert {event.kind for event in life} == {Kind.PERSON}
    assert life[-1].path[-1].x > 0.9


def test_who_waits_beside_a_parked_motorbike_is_a_person() -> None:
    told, _ = lived(PARKED, Actor((0.5, 0.5)), seconds=12)
    assert [life[-1].kind for life in by_event(told).values()] == [Kind.PERSON]


def test_a_walker_overtaken_by_a_motorbike_is_another_event() -> None:
    walker = Actor((0.1, 0.5), (0.08, 0.0), enters_s=2.0)
    told, _ = lived(walker, *rider(speed=(0.35, 0.0), enters_s=4.0), seconds=12)
    assert sorted(life[-1].kind for life in by_event(told).values()) == [Kind.MOTORCYCLE, Kind.PERSON]


def test_who_gets_on_and_rides_away_is_one_event_that_becomes_a_motorbike() -> None:
    person = Rides((0.3, 0.48), size=(0.06, 0.22))
    bike = Rides((0.3, 0.58), size=(0.12, 0.16), kind=Kind.MOTORCYCLE)
    told, _ = lived(person, bike, seconds=16)
    (life,) = by_event(told).values()
    assert (life[0].kind, life[-1].kind) == (Kind.PERSON, Kind.MOTORCYCLE)


def test_who_gets_off_and_walks_away_is_a_person_of_his_own() -> None:
    class Parks(Actor):
        def box(self, t: float) -> Box | None:
            return super().box(min(t, 6.0))

    class Walks(Actor):
        def box(self, t: float) -> Box | None:
            on = super().box(min(t, 6.0))
            left = max(0.0, t - 7.0) * 0.08
            return on and Box.from_corners(on.x + left, on.y + 0.08, on.right + left, on.bottom + 0.08)

    person = Walks((0.0, 0.40), (0.1, 0.0), size=(0.06, 0.22))
    bike = Parks((0.0, 0.58), (0.1, 0.0), size=(0.12, 0.16), kind=Kind.MOTORCYCLE)
    told, _ = lived(person, bike, seconds=13)
    lives = list(by_event(told).values())
    assert [life[-1].kind for life in lives] == [Kind.MOTORCYCLE, Kind.PERSON]


@pytest.mark.parametrize(
    ("person", "sits"),
    [
        pytest.param(Box(0.45, 0.3, 0.08, 0.3), True, id="on it"),
        pytest.param(Box(0.45, 0.4, 0.08, 0.35), False, id="before it: his foot is lower"),
        pytest.param(Box(0.45, 0.1, 0.08, 0.3), False, id="far behind it"),
        pytest.param(Box(0.65, 0.3, 0.08, 0.3), False, id="beside it"),
        pytest.param(Box(0.45, 0.5, 0.02, 0.06), False, id="a doll"),
    ],
)
def test_who_could_sit_on_it(person: Box, sits: bool) -> None:
    assert sits_on(person, Box(0.4, 0.5, 0.18, 0.18)) is sits
