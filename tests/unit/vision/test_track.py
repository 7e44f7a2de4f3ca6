from __future__ import annotations

import numpy as np
import pytest

from agent.vision.detect import Detection
from agent.vision.track import Track, Tracker, TrackTuning, has_left, one_per_object
from shared.geometry import Box
from shared.messages import Kind
from tests.fakes import Actor

ASPECT = 16 / 9


def watched(
    *actors: Actor, seconds: float, fps: float = 5.0, jitter: float = 0.0, tracker: Tracker | None = None
) -> list[tuple[float, tuple[Track, ...]]]:
    """The confirmed tracks after every look."""
    tracker, random = tracker or Tracker(), np.random.default_rng(4)
    history = []
    for number in range(round(seconds * fps)):
        t = number / fps
        seen = [d for d in (actor.detection(t) for actor in actors) if d]
        shaken = [Detection(d.kind, d.confidence, _shaken(d.box, jitter, random)) for d in seen]
        tracks = tracker.update(shaken, 1000 + t, ASPECT)
        history.append((t, tuple(track for track in tracks.live if tracker.is_confirmed(track))))
    return history


def _shaken(box: Box, jitter: float, random: np.random.Generator) -> Box:
    dx, dy, dw, dh = random.normal(0, jitter, 4)
    return Box.from_corners(
        box.x + dx * box.w,
        box.y + dy * box.h,
        box.right + (dx + dw) * box.w,
        box.bottom + (dy + dh) * box.h,
    )


def numbers(history: list[tuple[float, tuple[Track, ...]]]) -> set[int]:
    return {track.number for _, tracks in history for track in tracks}


def who_is_at(history: list[tuple[float, tuple[Track, ...]]], t: float, actor: Actor) -> int:
    """The number of the track nearest to the actor."""
    box = actor.box(t)
    assert box
    tracks = next(tracks for at, tracks in history if at >= t - 1e-9)
    return max(tracks, key=lambda track: track.box.overlap(box)).number


def test_a_walker_is_one_track_from_the_third_look() -> None:
    history = watched(Actor((0.1, 0.5), (0.1, 0.0)), seconds=6)
    assert [len(tracks) for _, tracks in history[:4]] == [0, 0, 1, 1]
    assert len(numbers(history)) == 1


def test_a_fast_walker_at_three_looks_a_second_is_one_track() -> None:
    """Her boxes overlap by a third, then by nothing: what a tracker on plain overlap loses."""
    crossing = Actor((0.05, 0.5), (0.16, 0.0), size=(0.06, 0.3))
    assert len(numbers(watched(crossing, seconds=5.5, fps=3, jitter=0.04))) == 1
    running = Actor((0.05, 0.5), (0.4, 0.0), size=(0.06, 0.3))
    first, second = running.box(0.0), running.box(1 / 3)
    assert first
    assert second
    assert first.overlap(second) == 0
    assert len(numbers(watched(running, seconds=2.2, fps=3, jitter=0.04))) == 1


def test_a_motorbike_across_the_picture_in_two_seconds_is_one_track() -> None:
    bike = Actor((0.02, 0.6), (0.5, 0.0), size=(0.12, 0.2), kind=Kind.MOTORCYCLE)
    history = watched(bike, seconds=2.0, fps=5, jitter=0.03)
    assert len(numbers(history)) == 1
    assert history[-1][1][0].kind is Kind.MOTORCYCLE


@pytest.mark.parametrize("fps", [3.0, 5.0, 10.0])
def test_two_people_who_pass_do_not_swap(fps: float) -> None:
    right = Actor((0.1, 0.50), (0.10, 0.0), hidden_s=(3.8, 4.3))  # behind the other for a moment
    left = Actor((0.9, 0.53), (-0.10, 0.0))
    history = watched(right, left, seconds=8, fps=fps, jitter=0.03)
    assert len(numbers(history)) == 2
    assert who_is_at(history, 1.5, right) == who_is_at(history, 7.0, right)
    assert who_is_at(history, 1.5, left) == who_is_at(history, 7.0, left)
    assert who_is_at(history, 7.0, left) != who_is_at(history, 7.0, right)


def test_a_walker_behind_a_lamp_post_for_a_second_and_a_half_stays_himself() -> None:
    hidden = Actor((0.1, 0.5), (0.1, 0.0), hidden_s=(3.0, 4.5))
    history = watched(hidden, seconds=8, jitter=0.03)
    assert len(numbers(history)) == 1
    assert all(len(tracks) == 1 for t, tracks in history if t > 1)


def test_who_is_away_for_longer_is_somebody_else() -> None:
    hidden = Actor((0.1, 0.5), (0.1, 0.0), hidden_s=(3.0, 6.5))
    assert len(numbers(watched(hidden, seconds=9))) == 2


def test_who_stood_for_long_may_be_hidden_for_longer() -> None:
    stood = Actor((0.5, 0.5), hidden_s=(20.0, 26.0), kind=Kind.CAR, size=(0.2, 0.15))
    assert len(numbers(watched(stood, seconds=30, jitter=0.03))) == 1


def test_who_waits_and_is_not_found_is_not_whoever_drives_up_beside_him() -> None:
    waits = Actor((0.30, 0.27), size=(0.03, 0.03), kind=Kind.CAR, leaves_s=4.0)
    drives_up = Actor((0.255, 0.275), (-0.01, 0.0), size=(0.03, 0.03), kind=Kind.CAR, enters_s=4.4)
    history = watched(waits, drives_up, seconds=6)
    assert who_is_at(history, 5.5, drives_up) != who_is_at(history, 3.0, waits)


def test_who_comes_in_where_another_went_out_is_somebody_else() -> None:
    out = Actor((0.6, 0.5), (0.2, 0.0), leaves_s=2.0)
    come_in = Actor((0.97, 0.5), (-0.2, 0.0), enters_s=2.8)
    assert len(numbers(watched(out, come_in, seconds=5))) == 2


def test_a_flicker_is_no_track() -> None:
    tracker, found = Tracker(), Detection(Kind.PERSON, 0.9, Box(0.4, 0.4, 0.1, 0.3))
    for t in range(40):
        tracks = tracker.update([found] if t % 4 == 0 else [], t / 5, ASPECT)
        assert not any(tracker.is_confirmed(track) for track in tracks.live)


def test_a_doubtful_detection_continues_a_track_and_opens_none() -> None:
    faint = TrackTuning().sure - 0.05
    walker = Actor((0.1, 0.5), (0.1, 0.0), confidence=faint)
    assert numbers(watched(walker, seconds=4)) == set()

    tracker = Tracker()
    walker.confidence = 0.8
    watched(walker, seconds=1, tracker=tracker)
    walker.confidence = faint
    for t in range(5, 30):
        found = walker.detection(t / 5)
        assert found
        tracks = tracker.update([found], 1000 + t / 5, ASPECT)
    assert [(track.number, track.missed) for track in tracks.live] == [(1, 0)]


def test_kind_is_what_most_looks_say() -> None:
    tracker, box = Tracker(), Box(0.3, 0.3, 0.3, 0.3)
    for t in range(10):
        kind = Kind.TRUCK if t % 3 == 0 else Kind.CAR
        tracks = tracker.update([Detection(kind, 0.7, box)], t / 5, ASPECT)
    assert [track.kind for track in tracks.live] == [Kind.CAR]


def test_a_rider_and_his_motorbike_are_two_tracks_that_do_not_mix() -> None:
    rider = Actor((0.1, 0.45), (0.2, 0.0), size=(0.06, 0.2))
    bike = Actor((0.1, 0.55), (0.2, 0.0), size=(0.1, 0.15), kind=Kind.MOTORCYCLE)
    last = watched(rider, bike, seconds=4, jitter=0.03)[-1][1]
    assert sorted(track.kind for track in last) == [Kind.MOTORCYCLE, Kind.PERSON]
    assert all(len(track.votes) == 1 for track in last)


def test_car_and_truck_around_one_object_are_one_detection() -> None:
    car = Detection(Kind.CAR, 0.6, Box(0.3, 0.3, 0.3, 0.3))
    truck = Detection(Kind.TRUCK, 0.5, Box(0.31, 0.3, 0.3, 0.3))
    person = Detection(Kind.PERSON, 0.4, Box(0.3, 0.3, 0.3, 0.3))
    assert one_per_object([truck, car, person], TrackTuning()) == [car, person]


@pytest.mark.parametrize(
    ("box", "left"),
    [
        pytest.param(Box(0.41, 0.4, 0.2, 0.2), False, id="the detector's jitter"),
        pytest.param(Box(0.5, 0.4, 0.1, 0.2), False, id="something hides its left half"),
        pytest.param(Box(0.4, 0.4, 0.2, 0.1), False, id="something hides its lower half"),
        pytest.param(Box(0.46, 0.4, 0.2, 0.2), True, id="gone to the right"),
        pytest.param(Box(0.4, 0.34, 0.2, 0.2), True, id="gone upwards"),
        pytest.param(Box(0.35, 0.35, 0.3, 0.3), True, id="come nearer"),
    ],
)
def test_hidden_by_half_is_not_gone(box: Box, left: bool) -> None:
    assert has_left(Box(0.4, 0.4, 0.2, 0.2), box) is left


def test_what_stands_is_still_after_a_while_and_has_never_moved() -> None:
    tracker = Tracker()
    car = Actor((0.5, 0.5), size=(0.2, 0.15), kind=Kind.CAR)
    (track,) = watched(car, seconds=20, jitter=0.03, tracker=tracker)[-1][1]
    assert tracker.is_still(track)
    assert not track.moved


def test_a_crowd_is_bounded() -> None:
    many = [
        Detection(Kind.PERSON, 0.9, Box(x / 20, y / 10, 0.02, 0.08)) for x in range(20) for y in range(10)
    ]
    tracker = Tracker()
    for t in range(5):
        tracks = tracker.update(many, t / 5, ASPECT)
    assert len(tracks.live) == TrackTuning().most_tracks


def test_a_box_without_area_breaks_nothing() -> None:
    tracker = Tracker()
    for t in range(5):
        tracker.update([Detection(Kind.PERSON, 0.9, Box(1.0, 1.0, 0.0, 0.0))], t / 5, ASPECT)
