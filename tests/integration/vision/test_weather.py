"""Real places, a real walker, the real detector: weather is no event, and nobody is too far away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
from uuid6 import uuid7

from agent.detectors import open_model
from agent.vision.detect import Detection
from agent.vision.frame import Frame, Image
from agent.vision.motion import MotionGate
from agent.vision.pipeline import Occurrence, Pipeline, Tuning
from agent.vision.regions import Regions, cut, in_frame
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, Kind
from tests import augment
from tests.augment import Effect, Sprite, film, pasted, pasted_box, still
from tests.footage import empty_place, stride, walk
from tests.models import best_available_model_path

READING = ClockReading(boot_id="test", monotonic_s=0.0, quality=ClockQuality.SYNCED)


@pytest.fixture(scope="module")
def street(street_clip: Path) -> Image:
    return empty_place(street_clip)


@pytest.fixture(scope="module")
def walker(street_clip: Path, street: Image) -> list[Sprite]:
    return stride(street_clip, street)


def small(picture: Image) -> Image:
    """As a camera's second stream shows it."""
    return cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA)


def told(frames: Iterator[Frame]) -> list[Occurrence]:
    pipeline = Pipeline("test", "file", open_model(best_available_model_path()), Tuning(), uuid7)
    found = [occurrence for frame in frames for occurrence in pipeline.step(frame, READING)]
    return found + pipeline.finish(READING)


WEATHER = {
    "rain by day": (augment.rain(), augment.noise(5)),
    "rain by night": (augment.infra_red, augment.rain(night=True), augment.noise(8)),
    "a swaying tree": (augment.swaying_tree(Box(0.1, 0.0, 0.5, 0.35)), augment.branch()),
    "a spider": (augment.infra_red, augment.spider(), augment.noise(8)),
    "moths": (augment.infra_red, augment.insects(), augment.noise(8)),
    "the switch-over": (augment.switch_over(4.0, 9.0), augment.noise(5)),
}


@pytest.mark.parametrize("effects", WEATHER.values(), ids=WEATHER)
def test_weather_is_no_event(street: Image, effects: tuple[Effect, ...]) -> None:
    assert told(film(still(small(street), 15), *effects)) == []


def test_the_same_street_with_a_walker_in_it_is_an_event(street: Image, walker: list[Sprite]) -> None:
    passing = pasted(walker, walk((0.2, 0.6), (0.06, 0.0), from_s=2, until_s=10), 0.2)
    assert {one.event.kind for one in told(film(still(small(street), 13), passing))} == {Kind.PERSON}


OPEN_SHARE = {
    "clouds": ((augment.clouds(), augment.noise(4)), 0.05),
    "dusk": ((augment.fade(), augment.noise(4)), 0.05),
    "rain by day": ((augment.rain(), augment.noise(5)), 0.15),
    "rain by night": ((augment.infra_red, augment.rain(night=True), augment.noise(8)), 0.2),
    "the switch-over": ((augment.switch_over(4.0, 9.0), augment.noise(5)), 0.05),
    "headlights": ((augment.night, augment.headlights(), augment.noise(8)), 0.3),
}


def looked_at(frames: Iterator[Frame], from_s: float) -> float:
    gate = MotionGate()
    seen = [(frame.monotonic_s - 1000, gate.look(frame).moved) for frame in frames]
    counted = [moved for t, moved in seen if t > from_s]
    return sum(counted) / len(counted)


@pytest.mark.parametrize(("effects", "at_most"), OPEN_SHARE.values(), ids=OPEN_SHARE)
def test_the_gate_stays_shut(street: Image, effects: tuple[Effect, ...], at_most: float) -> None:
    assert looked_at(film(still(small(street), 15), *effects), 1.1) <= at_most


@pytest.mark.parametrize("effects", [(), WEATHER["rain by day"]], ids=["dry", "in the rain"])
@pytest.mark.parametrize("height", [0.06, 0.08])
def test_the_gate_never_sleeps_through_a_far_walker(
    street: Image, walker: list[Sprite], height: float, effects: tuple[Effect, ...]
) -> None:
    far = pasted(walker, walk((0.28, 0.36), (0.02, 0.0), from_s=3, until_s=13), height)
    assert looked_at(film(still(small(street), 13), far, *effects), 5) == 1.0


LONGEST_SLEEP_S = {
    "under headlights": ((augment.night, augment.headlights(), augment.noise(8)), 1.5),
    "under clouds": ((augment.clouds(), augment.noise(4)), 1.0),
    "at dusk": ((augment.fade(), augment.noise(4)), 1.0),
}


@pytest.mark.parametrize(("effects", "at_most_s"), LONGEST_SLEEP_S.values(), ids=LONGEST_SLEEP_S)
def test_moving_light_hides_a_far_walker_for_a_moment_only(
    street: Image, walker: list[Sprite], effects: tuple[Effect, ...], at_most_s: float
) -> None:
    far = pasted(walker, walk((0.28, 0.36), (0.02, 0.0), from_s=10, until_s=30), 0.06)
    gate = MotionGate()
    moments_s = [
        frame.monotonic_s - 1000
        for frame in film(still(small(street), 30), far, *effects)
        if gate.look(frame).moved
    ]
    seen_s = [11.0, *(t for t in moments_s if t > 11), 30.0]
    assert max(later - sooner for sooner, later in pairwise(seen_s)) <= at_most_s


def test_a_far_walker_the_whole_frame_misses_is_found_in_the_crop(
    street: Image, walker: list[Sprite]
) -> None:
    detector, gate, regions = open_model(best_available_model_path()), MotionGate(), Regions()
    where = walk((0.3, 0.36), (0.02, 0.0), from_s=2, until_s=12)
    found: dict[bool, list[bool]] = {True: [], False: []}
    for frame in film(still(small(street), 11), pasted(walker, where, 0.055)):
        t = frame.monotonic_s - 1000
        moved = gate.look(frame).regions
        feet = where(t)
        if feet is None or not moved or t < 4:
            continue
        truth = pasted_box(walker[int(t * 5 + 1e-6) % len(walker)], feet, 0.055, frame.image)
        crop = regions.next(moved, []).crop
        looked = frame.image if crop is None else cut(frame.image, crop)
        seen = detector.detect(looked)
        found[crop is None].append(meets(seen if crop is None else in_frame(seen, crop), truth))
    assert abs(len(found[True]) - len(found[False])) <= 1, "in turn"
    whole, crops = (sum(seen) / len(seen) for seen in found.values())
    print(f"found by the whole frame {whole:.0%}, by the crop {crops:.0%}")
    assert crops >= 0.6
    assert crops >= whole + 0.4


def meets(seen: list[Detection], truth: Box) -> bool:
    return any(
        one.kind is Kind.PERSON and one.confidence >= 0.3 and one.box.overlap(truth) > 0.3 for one in seen
    )
