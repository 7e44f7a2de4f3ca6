"""What somebody else claims is told only when our own eye finds it there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from uuid6 import uuid7

from agent.vision.claim import Claim, Told, judge
from agent.vision.detect import Detection
from agent.vision.event import Occurrence
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, Kind, Phase
from tests.fakes import NOON, ScriptedDetector, Street

WHERE = Box(0.4, 0.3, 0.1, 0.4)
READING = ClockReading(boot_id="boot", monotonic_s=1.0, quality=ClockQuality.SYNCED)


def claim(**changes: object) -> Claim:
    plain = Claim(
        key="1.2-a", event_id=uuid7(), revision=0, phase=Phase.START, camera="cong-truoc", kind=Kind.PERSON,
        started_at=NOON, seen_at=NOON + timedelta(seconds=3), image=Street().image(0),
        image_at=NOON + timedelta(seconds=2), box=WHERE,
    )  # fmt: skip
    return replace(plain, **changes)


def judged(one: Claim, *looks: list[Detection]) -> Occurrence | None:
    return judge(one, ScriptedDetector(looks), "nha-ong-ba", READING, uuid7)


def test_what_is_found_at_the_place_is_told_by_our_own_word() -> None:
    ours = Box(0.41, 0.31, 0.1, 0.4)
    told = judged(claim(), [Detection(Kind.PERSON, 0.6, ours)])
    assert told
    assert (told.event.kind, told.event.confidence) == (Kind.PERSON, 0.6)
    assert told.event.box.overlap(ours) > 0.99
    assert told.view


def test_a_bus_called_a_truck_is_told_as_what_we_see_but_never_across_families() -> None:
    told = judged(claim(kind=Kind.TRUCK), [Detection(Kind.BUS, 0.6, WHERE)])
    assert told
    assert told.event.kind is Kind.BUS
    assert judged(claim(kind=Kind.TRUCK), [Detection(Kind.MOTORCYCLE, 0.9, WHERE)], []) is None


def test_somebody_elsewhere_confirms_nothing_unless_the_place_is_unknown() -> None:
    elsewhere = [Detection(Kind.PERSON, 0.9, Box(0.8, 0.3, 0.1, 0.4))]
    assert judged(claim(), elsewhere, []) is None
    assert judged(claim(box=None), elsewhere)


def test_who_is_too_small_for_the_whole_picture_is_found_on_a_closer_look() -> None:
    small = Box(0.5, 0.5, 0.02, 0.06)
    told = judged(claim(box=small), [], [Detection(Kind.PERSON, 0.7, Box(0.48, 0.454, 0.04, 0.09))])
    assert told
    assert told.event.box.overlap(small) > 0.9


def test_the_end_of_what_was_proven_is_told_without_a_picture_and_of_nothing_else() -> None:
    gone = claim(phase=Phase.END, revision=1, image=None)
    assert judged(gone) is None
    told = judged(replace(gone, told=Told(Kind.PERSON, 0.6, WHERE, 0.2)))
    assert told
    assert (told.event.phase, told.event.kind, told.view) == (Phase.END, Kind.PERSON, None)


def test_a_worse_picture_is_not_sent_at_the_end() -> None:
    blurred = np.full((360, 640, 3), 90, np.uint8)
    last = claim(phase=Phase.END, revision=1, image=blurred, told=Told(Kind.PERSON, 0.6, WHERE, 0.2))
    told = judged(last, [Detection(Kind.PERSON, 0.6, WHERE)])
    assert told
    assert told.view is None
