"""When is the detector asked, and when may it rest?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import numpy as np
from uuid6 import uuid7

from agent.vision.detect import Detection
from agent.vision.frame import Frame, Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.geometry import Box
from shared.messages import Kind, Phase
from tests.fakes import NOON, Actor, PerfectDetector, ScriptedDetector, Street
from tests.unit.vision.lives import CAMERA, SITE, lived, looks, reading


def test_a_quiet_street_is_looked_at_every_ten_seconds() -> None:
    _, counts = lived(seconds=60)
    assert counts.frames == 300
    assert counts.looked + counts.gated == counts.frames
    first_looks = 6
    assert 4 <= counts.looked - first_looks <= 6


def test_what_is_remembered_to_stand_is_looked_at_no_oftener_than_an_empty_street() -> None:
    parked = Actor((0.5, 0.5), size=(0.25, 0.25), kind=Kind.CAR)
    (_, early), (_, late) = (lived(parked, seconds=seconds) for seconds in (30, 130))
    assert 9 <= late.looked - early.looked <= 11


def test_a_box_that_breathes_keeps_nobody_awake_while_the_gate_is_shut() -> None:
    """Two cars far away that are now one to the detector, now two: such a box never comes to rest."""
    one = Detection(Kind.CAR, 0.6, Box.from_corners(0.52, 0.44, 0.60, 0.48))
    both = replace(one, box=Box.from_corners(0.44, 0.40, 0.60, 0.48))
    detector = ScriptedDetector([[(one, both)[number // 2 % 2]] for number in range(500)])
    pipeline = Pipeline(SITE, CAMERA, detector, Tuning(), uuid7)
    frames = Street(width=320, height=180).frames(120)
    asked = []
    for f in frames:
        pipeline.step(f, reading(f.monotonic_s))
        asked.append(detector.asked)
    at_fps = 5
    assert asked[4 * at_fps] >= 4 * at_fps, "somebody may walk there"
    assert asked[-1] - asked[60 * at_fps] <= 60, "a look a second at most"


def test_what_stands_and_is_not_found_is_looked_for_every_second() -> None:
    till_s = 66.0
    car = Actor((0.5, 0.5), size=(0.25, 0.25), kind=Kind.CAR, hidden_s=(60.0, till_s))
    street = Street(car, width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, PerfectDetector(street), Tuning(), uuid7)
    missed_s, found_s = [], []
    for f in street.frames(100):
        before = pipeline.counts.looked
        pipeline.step(f, reading(f.monotonic_s))
        if pipeline.counts.looked > before:
            ((car_again, _),) = pipeline.live
            (missed_s if car_again.missed else found_s).append(f.monotonic_s - 1000)
    assert missed_s
    assert min(at_s for at_s in found_s if at_s > missed_s[-1]) - till_s <= 1.0, "and soon found again"
    assert car_again.number == 1


def switched_over(image: Image, t: float) -> Image:
    """From the fifth second on the camera sees by infra-red."""
    return image if t < 5 else 255 - image // 2


def test_a_far_walker_is_found_while_the_gate_is_blind_after_a_switch_over() -> None:
    class Small(PerfectDetector):
        """Finds nobody who is less than a tenth of the picture it is given."""

        def detect(self, image: Image) -> list[Detection]:
            return [found for found in super().detect(image) if found.box.h >= 0.1]

    street = Street(Actor((0.3, 0.3), (0.02, 0.0), size=(0.018, 0.07), enters_s=4.8), width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, Small(street), Tuning(), uuid7)
    told = []
    for f in street.frames(12, light=switched_over):
        told += pipeline.step(f, reading(f.monotonic_s))
    assert told[0].event.phase is Phase.START
    assert told[0].event.started_at - NOON <= timedelta(seconds=5 + 2.2)


def test_the_patrol_is_a_bounded_number_of_looks_and_a_steady_street_has_none() -> None:
    _, steady = lived(seconds=20)
    _, counts = lived(seconds=20, light=switched_over)
    assert counts.looked - steady.looked <= 3.5 / Tuning().patrol_s + 1


def still_camera(detector: ScriptedDetector) -> tuple[Pipeline, Iterator[Frame]]:
    """A pipeline whose gate has long shut over a street where nothing moves, and the frames to come."""
    pipeline = Pipeline(SITE, CAMERA, detector, Tuning(quiet_look_s=1000), uuid7)
    frames = Street(width=320, height=180).frames(90)
    for f in islice(frames, 15):
        pipeline.step(f, reading(f.monotonic_s))
    return pipeline, frames


def test_a_hint_makes_it_look_for_ten_seconds_and_tells_nothing_without_detections() -> None:
    detector = ScriptedDetector()
    pipeline, frames = still_camera(detector)
    asked = detector.asked
    assert looks(pipeline, islice(frames, 10)) == []
    assert detector.asked == asked, "the gate was not shut"
    assert pipeline.hint(1005.0)
    assert looks(pipeline, islice(frames, 100)) == []
    assert detector.asked - asked == 51  # 5 looks a second for ten seconds, both ends counted


def test_a_camera_that_hints_all_the_time_is_heeded_a_third_of_it() -> None:
    detector = ScriptedDetector()
    pipeline, frames = still_camera(detector)
    asked = detector.asked
    for f in islice(frames, 300):
        pipeline.hint(f.monotonic_s)
        pipeline.step(f, reading(f.monotonic_s))
    assert detector.asked - asked == 2 * 51


def test_who_is_found_after_a_hint_becomes_an_event_by_the_usual_rules() -> None:
    walk = [
        [Detection(Kind.PERSON, 0.8, Box.from_corners(x, 0.3, x + 0.1, 0.7))]
        for x in np.linspace(0.1, 0.6, 20).tolist()
    ]
    opening = ScriptedDetector()
    still_camera(opening)
    detector = ScriptedDetector([[]] * opening.asked + walk)
    pipeline, frames = still_camera(detector)
    pipeline.hint(1003.0)
    told = looks(pipeline, islice(frames, 40))
    assert [occurrence.event.phase for occurrence in told][:1] == [Phase.START]
    assert {occurrence.event.kind for occurrence in told} == {Kind.PERSON}
