"""What somebody else claims is told only when our own eye finds it there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from uuid6 import uuid7

from agent.vision.claim import Claim, Judge, Refusal, Told
from agent.vision.detect import Detection
from agent.vision.event import Occurrence
from agent.vision.zones import EVERYWHERE, CameraZones
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, Colour, Kind, PathPoint, Phase
from tests.fakes import NOON, ScriptedDetector, Street

WHERE = Box(0.4, 0.3, 0.1, 0.4)
FOUND = Detection(Kind.PERSON, 0.6, WHERE)
READING = ClockReading(boot_id="boot", monotonic_s=1.0, quality=ClockQuality.SYNCED)
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


def claim(**changes: object) -> Claim:
    plain = Claim(
        key="1.2-a", event_id=uuid7(), revision=0, phase=Phase.START, camera="cong-truoc", kind=Kind.PERSON,
        started_at=NOON, seen_at=NOON + timedelta(seconds=3), image=Street().image(0),
        image_at=NOON + timedelta(seconds=2), box=WHERE, place=WHERE,
    )  # fmt: skip
    return replace(plain, **changes)


def verdict(
    one: Claim, *looks: list[Detection], zones: CameraZones = EVERYWHERE
) -> tuple[Occurrence | Refusal, int]:
    """What is made of it, and after how many looks."""
    detector = ScriptedDetector(looks)
    made = Judge(detector, "nha-ong-ba", {"cong-truoc": zones}.__getitem__, uuid7).judge(one, READING)
    return made, detector.asked


def judged(one: Claim, *looks: list[Detection], zones: CameraZones = EVERYWHERE) -> Occurrence | None:
    made, _ = verdict(one, *looks, zones=zones)
    return made if isinstance(made, Occurrence) else None


def dressed(colour: tuple[int, int, int]) -> np.ndarray:
    """The street with somebody at `WHERE`, all in one colour (BGR), with the folds of cloth."""
    picture = Street().image(0)
    height, width = picture.shape[:2]
    rows = slice(int(WHERE.y * height), int(WHERE.bottom * height))
    columns = slice(int(WHERE.x * width), int(WHERE.right * width))
    folds = np.random.default_rng(3).integers(
        -20, 20, (rows.stop - rows.start, columns.stop - columns.start, 1)
    )
    picture[rows, columns] = np.clip(np.array(colour) + folds, 0, 255)
    return picture


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


def test_who_stands_where_nothing_concerns_us_is_not_told_and_not_even_looked_at() -> None:
    made, looks = verdict(claim(), [FOUND], zones=CameraZones(ignore={"duong": LEFT_HALF}))
    assert (made, looks) == (Refusal.UNWANTED, 0)
    assert judged(claim(), [FOUND], zones=CameraZones(ignore={"duong": RIGHT_HALF}))


def test_it_is_where_we_find_him_that_counts_not_where_he_is_said_to_be() -> None:
    said = Box(0.455, 0.3, 0.1, 0.4)  # its foot is just outside, ours just inside
    made, looks = verdict(
        claim(box=said, place=said), [FOUND], zones=CameraZones(ignore={"duong": LEFT_HALF})
    )
    assert (made, looks) == (Refusal.UNWANTED, 1)


def test_who_has_set_foot_in_a_zone_on_his_way_is_told_of_and_who_never_did_is_not() -> None:
    yard = CameraZones(must_enter={"san": RIGHT_HALF})
    assert verdict(claim(), [FOUND], zones=yard) == (Refusal.UNWANTED, 0)
    beside = PathPoint(t=0, x=0.45, y=0.7)
    assert judged(claim(path=(beside,)), [FOUND], zones=yard) is None
    assert judged(claim(path=(beside, PathPoint(t=1, x=0.6, y=0.7))), [FOUND], zones=yard)


def test_who_is_lower_than_the_least_height_is_not_told_of() -> None:
    assert verdict(claim(), [FOUND], zones=CameraZones(min_height=0.5))[0] is Refusal.UNWANTED
    assert judged(claim(), [FOUND], zones=CameraZones(min_height=0.4))


def test_each_kind_has_its_least_score_and_a_closer_look_may_reach_it() -> None:
    strict = CameraZones(min_score={Kind.PERSON: 0.7})
    closer = [Detection(Kind.PERSON, 0.75, Box(0.35, 0.2, 0.3, 0.6))]
    assert verdict(claim(), [FOUND], zones=strict) == (Refusal.UNSEEN, 2)
    told = judged(claim(), [FOUND], closer, zones=strict)
    assert told
    assert told.event.confidence == 0.75
    doubtful = [Detection(Kind.PERSON, 0.3, WHERE)]  # less than a track of ours needs
    assert verdict(claim(), doubtful, doubtful)[0] is Refusal.UNSEEN
    assert judged(claim(), doubtful, zones=CameraZones(min_score={Kind.PERSON: 0.25}))


def test_what_was_told_once_is_told_to_its_end_wherever_it_goes() -> None:
    last = claim(phase=Phase.END, revision=1, told=Told(Kind.PERSON, 0.6, WHERE, 0.0))
    told = judged(last, [FOUND], zones=CameraZones(ignore={"duong": LEFT_HALF}, min_height=0.9))
    assert told
    assert told.event.phase is Phase.END


def test_a_picture_that_is_a_part_of_the_frame_is_placed_by_what_was_said_or_not_told() -> None:
    """In the part he is in the middle; where in the frame, only the other knows."""
    part, street = {"box": None, "path": ()}, CameraZones(ignore={"duong": LEFT_HALF})
    right = [Detection(Kind.PERSON, 0.8, Box(0.6, 0.2, 0.3, 0.7))]
    assert verdict(claim(**part), right, zones=street)[0] is Refusal.UNWANTED
    assert judged(claim(**part, place=Box(0.7, 0.3, 0.1, 0.4)), right, zones=street)
    assert verdict(claim(**part, place=None), right, zones=street)[0] is Refusal.UNWANTED
    assert judged(claim(**part, place=None), right)


def test_the_colour_is_that_of_the_best_view_and_infrared_has_none() -> None:
    red = dressed((30, 30, 200))
    told = judged(claim(image=red), [FOUND])
    assert told
    assert told.event.colour is Colour.RED
    grey = np.repeat(red[..., 2:], 3, axis=2)
    told = judged(claim(image=grey), [FOUND])
    assert told
    assert told.event.colour is Colour.UNKNOWN


def test_the_end_keeps_the_colour_told_before_unless_its_picture_is_better() -> None:
    before, blue = Told(Kind.PERSON, 0.6, WHERE, 0.9, Colour.RED), dressed((200, 60, 30))
    gone = judged(claim(phase=Phase.END, revision=1, image=None, told=before))
    worse = judged(claim(phase=Phase.END, revision=1, image=blue, told=before), [FOUND])
    better = judged(claim(phase=Phase.END, revision=1, image=blue, told=replace(before, score=0.0)), [FOUND])
    assert gone
    assert worse
    assert better
    assert [one.event.colour for one in (gone, worse, better)] == [Colour.RED, Colour.RED, Colour.BLUE]
