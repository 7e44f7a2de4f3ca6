from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import event as seen_by_hypothesis
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid6 import uuid7

from agent.vision.detect import Detection
from agent.vision.event import EventTuning
from agent.vision.frame import Frame
from agent.vision.pipeline import Counts, Pipeline, Tuning
from shared.geometry import Box
from shared.messages import DetectionEvent, Kind, Phase
from tests.fakes import NOON, Actor, PerfectDetector, ScriptedDetector, Street, frame
from tests.unit.vision.lives import CAMERA, SITE, by_event, lived, looks, reading, walker


def test_one_walker_is_one_event_that_starts_and_ends() -> None:
    told, _ = lived(walker(), seconds=16)
    (life,) = by_event(told).values()
    assert [life[0].phase, life[-1].phase] == [Phase.START, Phase.END]
    assert {event.phase for event in life[1:-1]} <= {Phase.UPDATE}
    assert [event.revision for event in life] == list(range(len(life)))
    first, last = life[0], life[-1]
    assert (first.site, first.camera, first.kind) == (SITE, CAMERA, Kind.PERSON)
    assert first.started_at == last.started_at
    assert NOON + timedelta(seconds=2) <= first.started_at <= NOON + timedelta(seconds=2.6)
    assert NOON + timedelta(seconds=11) <= last.seen_at <= NOON + timedelta(seconds=12.5)
    assert len({event.id for event in life}) == len(life)


def test_an_event_starts_at_the_third_look_that_finds_it_in_motion() -> None:
    told, _ = lived(walker(at=(0.2, 0.5)), seconds=6)
    first = told[0].event
    assert (first.seen_at - first.started_at) <= timedelta(seconds=0.6)


def test_the_end_is_told_two_seconds_after_the_object_was_last_seen() -> None:
    gone = walker(at=(0.3, 0.5), leaves_s=5.0)  # into a house in the middle of the picture
    street = Street(gone, width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, PerfectDetector(street), Tuning(), uuid7)
    for f in street.frames(12):
        for occurrence in pipeline.step(f, reading(f.monotonic_s)):
            if occurrence.event.phase is Phase.END:
                assert f.captured_at - occurrence.event.seen_at == pytest.approx(
                    timedelta(seconds=2), abs=timedelta(seconds=0.3)
                )
                return
    pytest.fail("no end")


def test_a_parked_car_that_was_always_there_is_no_event() -> None:
    parked = Actor((0.5, 0.5), size=(0.25, 0.25), kind=Kind.CAR)
    passing = walker(at=(0.0, 0.55), speed=(0.15, 0.0), enters_s=5.0)
    told, _ = lived(parked, passing, seconds=20)
    assert {event.kind for events in by_event(told).values() for event in events} == {Kind.PERSON}


def test_a_car_that_comes_and_parks_is_one_event_however_long_it_stands() -> None:
    class Parks(Actor):
        def box(self, t: float) -> Box | None:
            return super().box(min(t, 4.0) if t < 60 else t - 56.0)  # stands from 4 s to 60 s

    car = Parks((0.0, 0.5), (0.15, 0.0), size=(0.25, 0.25), kind=Kind.CAR, hidden_s=(30.0, 36.0))
    told, counts = lived(car, seconds=70)
    lives = by_event(told)
    assert len(lives) == 1
    assert counts.looked < counts.frames / 2, "what stands is looked at slowly"


def test_somebody_who_stands_there_from_the_first_frame_is_told_of() -> None:
    told, _ = lived(Actor((0.5, 0.5)), seconds=10)
    assert [occurrence.event.phase for occurrence in told] == [Phase.START, Phase.END]


def test_a_faint_shape_that_never_moves_is_not_told_of() -> None:
    told, _ = lived(Actor((0.5, 0.5), confidence=0.5), seconds=20)
    assert told == []


def test_a_shape_that_looks_like_somebody_for_some_seconds_only_is_not_told_of() -> None:
    post = Detection(Kind.PERSON, 0.45, Box(0.07, 0.48, 0.2, 0.5))
    detector = ScriptedDetector([[post]] * 75 + [[replace(post, confidence=0.6)]] * 25)
    pipeline = Pipeline(SITE, CAMERA, detector, Tuning(quiet_look_s=0.0, still_look_s=0.0), uuid7)
    assert looks(pipeline, Street(width=320, height=180).frames(20)) == []
    assert detector.asked == 100


def test_a_kind_has_its_own_threshold() -> None:
    strict = Tuning(event=EventTuning(start_score=dict.fromkeys(Kind, 0.3) | {Kind.CAR: 0.9}))
    car = walker(kind=Kind.CAR, size=(0.2, 0.2), at=(0.0, 0.3))
    told, _ = lived(car, walker(at=(0.0, 0.7)), seconds=14, tuning=strict)
    assert {occurrence.event.kind for occurrence in told} == {Kind.PERSON}


def test_updates_come_only_with_a_clearly_better_view_and_not_too_often() -> None:
    class ComesNearer(Actor):
        def box(self, t: float) -> Box | None:
            self.size = (0.03 + 0.006 * t, 0.12 + 0.024 * t)
            return super().box(t)

    nearer, _ = lived(ComesNearer((0.2, 0.5), (0.01, 0.0)), seconds=30)
    updates = [o for o in nearer if o.event.phase is Phase.UPDATE]
    assert updates
    assert all(o.view for o in updates)
    assert [o.event.revision for o in nearer] == list(range(len(nearer)))
    moments = [o.event.seen_at for o in nearer if o.event.phase is not Phase.END]
    assert all(b - a >= timedelta(seconds=5) for a, b in pairwise(moments))
    scores = [o.view.score for o in nearer if o.view]
    assert all(b > a for a, b in pairwise(scores))

    same, _ = lived(Actor((0.1, 0.5), (0.02, 0.0)), seconds=30)
    assert len([o for o in same if o.event.phase is Phase.UPDATE]) <= 1


def test_the_first_message_has_a_view_and_the_event_its_box() -> None:
    told, _ = lived(walker(), seconds=16)
    assert told[0].view is not None
    assert told[0].event.box == told[0].view.place.rounded()
    assert told[0].event.thumbnail is None, "the picture is bound by whoever encodes it"


def test_the_best_view_is_not_the_one_cut_by_the_edge() -> None:
    told, _ = lived(walker(speed=(0.05, 0.0)), seconds=24)
    last = [occurrence.view for occurrence in told if occurrence.view][-1]
    assert last.box.x > 0.005


def test_the_path_is_where_the_feet_were() -> None:
    told, _ = lived(walker(), seconds=16)
    path = told[-1].event.path
    assert path[0].t == 0
    assert path[0].x < 0.1
    assert path[-1].x > 0.9
    assert all(b.t > a.t for a, b in pairwise(path))
    assert all(point.y == pytest.approx(0.625, abs=0.01) for point in path)


def test_a_long_way_keeps_few_points_from_its_whole_length() -> None:
    class Paces(Actor):
        def box(self, t: float) -> Box | None:
            self.at = (0.5 + 0.4 * float(np.sin(t / 3)), 0.5)
            return super().box(t)

    told, _ = lived(Paces((0.5, 0.5)), seconds=120)
    path = told[-1].event.path
    assert 40 < len(path) <= 128
    assert path[0].t == 0
    assert path[-1].t > 115
    assert max(b.t - a.t for a, b in pairwise(path)) < 10, "thinned evenly"


def test_a_lost_stream_ends_what_lived_and_what_comes_after_is_new() -> None:
    street = Street(walker(enters_s=0.0, speed=(0.02, 0.0), at=(0.3, 0.5)), width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, PerfectDetector(street), Tuning(), uuid7)
    told = []
    for f in [*street.frames(4), *street.frames(4, start_s=14.0)]:
        street.drawn_s = f.monotonic_s - 1000
        told += pipeline.step(f, reading(f.monotonic_s))
    told += pipeline.finish(reading(1018.0))
    lives = list(by_event(told).values())
    assert [[event.phase for event in life] for life in lives] == [[Phase.START, Phase.END]] * 2
    assert lives[0][-1].seen_at < NOON + timedelta(seconds=4.1)
    assert pipeline.finish(reading(1019.0)) == [], "all has ended"


def test_a_frame_from_the_past_is_dropped() -> None:
    pipeline = Pipeline(SITE, CAMERA, ScriptedDetector(), Tuning(), uuid7)
    image = np.zeros((90, 160, 3), np.uint8)
    for t in (1.0, 0.5, 1.0):
        pipeline.step(frame(image, t), reading(1000 + t))
    assert pipeline.counts == Counts(frames=1, looked=1, gated=0)


def test_a_step_of_the_wall_clock_moves_no_event_into_the_past() -> None:
    street = Street(walker(enters_s=0.0), width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, PerfectDetector(street), Tuning(), uuid7)
    told = []
    for f in street.frames(6):
        wrong = f.captured_at - timedelta(days=400 if f.monotonic_s > 1003 else 0)
        stepped = Frame(f.camera, f.image, wrong, f.monotonic_s)
        told += pipeline.step(stepped, reading(f.monotonic_s))
    told += pipeline.finish(reading(1006.0))
    assert all(event.seen_at >= NOON for event in (occurrence.event for occurrence in told))


def test_two_who_pass_each_other_are_two_events() -> None:
    told, _ = lived(walker(at=(0.05, 0.5)), walker(at=(0.95, 0.54), speed=(-0.1, 0.0)), seconds=16)
    lives = list(by_event(told).values())
    assert len(lives) == 2
    assert sorted(round(life[-1].path[-1].x - life[-1].path[0].x) for life in lives) == [-1, 1]


detections = st.builds(
    Detection,
    kind=st.sampled_from(Kind),
    confidence=st.floats(0.05, 1.0),
    box=st.builds(
        lambda x, y, w, h: Box.from_corners(x, y, x + w, y + h),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 0.6),
        st.floats(0, 0.6),
    ),
)
places = st.floats(0.1, 0.9)


walkers = st.tuples(
    places,
    places,
    st.sampled_from([0.0, 0.05, 0.2, -0.1]),
    st.sampled_from([(Kind.PERSON,), (Kind.CAR, Kind.TRUCK), (Kind.BICYCLE, Kind.MOTORCYCLE)]),
)


@st.composite
def scripts(draw) -> list[tuple[float, list[Detection]]]:
    """Walkers with holes, shaky kinds and scores, in any rhythm, among any nonsense."""
    here = draw(st.lists(walkers, min_size=1, max_size=3))
    usual = draw(st.sampled_from([0.1, 0.2, 0.35, 1.0]))
    looks, t = [], 0.0
    for gap in draw(st.lists(st.sampled_from([usual] * 8 + [0.001, 2.5, 7.0]), min_size=5, max_size=40)):
        t += gap
        found = [
            Detection(draw(st.sampled_from(kinds)), draw(st.sampled_from([0.9, 0.6, 0.4, 0.2])), box)
            for x, y, speed, kinds in here
            if (box := Box.from_corners(x + speed * t, y, x + speed * t + 0.1, y + 0.2)).area
            and draw(st.sampled_from([True] * 5 + [False]))
        ]
        looks.append((gap, found + draw(st.lists(detections, max_size=1))))
    return looks


_GREY = np.full((48, 64, 3), 90, np.uint8)


@given(scripts())
@settings(deadline=None, max_examples=80)
def test_whatever_a_detector_says_each_event_has_one_start_one_end_and_no_gap(script) -> None:
    detector = ScriptedDetector([look for _, look in script])
    always = Tuning(quiet_look_s=0.0, still_look_s=0.0)
    pipeline = Pipeline(SITE, CAMERA, detector, always, uuid7)
    told, t = [], 0.0
    for gap, _ in script:
        t += gap
        told += pipeline.step(frame(_GREY, t), reading(1000 + t))
    told += pipeline.finish(reading(1000 + t))
    lives = by_event(told)
    seen_by_hypothesis("an event" if lives else "no event")
    for life in lives.values():
        assert [event.phase for event in life] == [
            Phase.START,
            *[Phase.UPDATE] * (len(life) - 2),
            Phase.END,
        ]
        assert [event.revision for event in life] == list(range(len(life)))
        assert len({event.started_at for event in life}) == 1
        assert all(a.seen_at <= b.seen_at for a, b in pairwise(life))
        assert all(len(event.path) <= 128 for event in life)
        assert all(a.t <= b.t for event in life for a, b in pairwise(event.path))
        for event in life:
            assert DetectionEvent.model_validate_json(event.model_dump_json()) == event
    assert all(o.view is not None for o in told if o.event.phase is Phase.START)
