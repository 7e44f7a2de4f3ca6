from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import zone_file
from agent.vision.event import EventTuning
from agent.vision.pipeline import Tuning
from agent.vision.zones import CameraZones, area, is_inside
from agent.zone_file import ZoneRule, ZoneShape, ZoneValue
from shared.errors import FileUnreadable, NeedsFixing
from shared.geometry import Box
from shared.messages import Kind, Phase
from shared.texts import Language
from tests.fakes import Actor
from tests.unit.vision.lives import by_event, lived, walker

RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
FAR_CORNER = ((0.0, 0.0), (0.2, 0.0), (0.2, 0.1), (0.0, 0.1))
HOLLOW = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.6, 1.0), (0.6, 0.4), (0.4, 0.4), (0.4, 1.0), (0.0, 1.0))


def within(zones: CameraZones) -> Tuning:
    return Tuning(event=EventTuning(zones=zones))


@pytest.mark.parametrize(
    ("point", "inside"),
    [((0.2, 0.8), True), ((0.5, 0.8), False), ((0.5, 0.2), True), ((1.0, 0.7), True), ((0.5, 1.0), False)],
)
def test_a_point_is_in_a_hollow_polygon_or_not(point: tuple[float, float], inside: bool) -> None:
    assert is_inside(point, HOLLOW) is inside


@given(st.floats(0, 1), st.floats(0, 1))
def test_two_halves_of_the_picture_leave_no_point_out(x: float, y: float) -> None:
    assert is_inside((x, y), RIGHT_HALF) or is_inside((x, y), LEFT_HALF)
    assert is_inside((x, y), RIGHT_HALF) == (x >= 0.5)


def test_area_is_a_part_of_the_frame() -> None:
    assert area(RIGHT_HALF) == pytest.approx(0.5)
    assert area(HOLLOW) == pytest.approx(1 - 0.2 * 0.6)


def test_who_never_enters_the_zone_is_not_told_of() -> None:
    corner = within(CameraZones(must_enter={"goc": FAR_CORNER}))
    told, _ = lived(walker(), seconds=16, tuning=corner)
    assert told == []


def test_who_enters_the_zone_is_told_of_then_and_with_his_whole_way() -> None:
    told, _ = lived(walker(), seconds=16, tuning=within(CameraZones(must_enter={"san": RIGHT_HALF})))
    (life,) = by_event(told).values()
    assert life[0].path[0].x < 0.1
    assert 0.49 < life[0].path[-1].x < 0.6
    assert life[-1].phase is Phase.END


def test_it_is_the_foot_that_enters() -> None:
    """A head before the yard's wall is not in the yard: feet at .625, the zone above them."""
    above = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.6), (0.0, 0.6))
    told, _ = lived(walker(), seconds=16, tuning=within(CameraZones(must_enter={"san": above})))
    assert told == []


def test_nobody_is_told_of_inside_an_ignored_zone_and_everybody_who_leaves_it() -> None:
    ignoring = within(CameraZones(ignore={"duong": LEFT_HALF}))
    stays = walker(leaves_s=6.0)  # goes into a house at four tenths of the way
    assert lived(stays, seconds=12, tuning=ignoring)[0] == []
    told, _ = lived(walker(), seconds=16, tuning=ignoring)
    assert len(by_event(told)) == 1
    assert told[0].event.path[-1].x > 0.5


def test_an_event_that_walks_into_an_ignored_zone_stays_one_event() -> None:
    told, _ = lived(walker(), seconds=16, tuning=within(CameraZones(ignore={"duong": RIGHT_HALF})))
    (life,) = by_event(told).values()
    assert life[-1].path[-1].x > 0.9


def test_what_is_too_low_is_not_told_of() -> None:
    far = walker(at=(0.0, 0.3), size=(0.015, 0.06))
    told, _ = lived(far, walker(at=(0.0, 0.7)), seconds=14, tuning=within(CameraZones(min_height=0.1)))
    assert len(by_event(told)) == 1


def test_a_camera_may_ask_more_of_one_kind() -> None:
    strict = within(CameraZones(min_score={Kind.CAR: 0.9}))
    car = Actor((0.0, 0.3), (0.1, 0.0), size=(0.2, 0.2), kind=Kind.CAR, enters_s=2.0)
    told, _ = lived(car, walker(at=(0.0, 0.7)), seconds=14, tuning=strict)
    assert {occurrence.event.kind for occurrence in told} == {Kind.PERSON}


GOOD = """
[cong-truoc]
min_height = 0.05
min_score = { motorcycle = 0.5 }
[cong-truoc.must_enter]
san = [[0.1, 0.6], [0.9, 0.6], [1.0, 1]]
[cong-truoc.ignore]
duong-lon = [[0, 0], [1, 0], [1, 0.2], [0, 0.2]]
"""


def written(home: Path, text: str) -> Path:
    path = home / zone_file.FILE
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_and_a_camera_without_table_has_no_zones(tmp_path: Path) -> None:
    assert zone_file.of(tmp_path, "cong-truoc") == CameraZones()
    written(tmp_path, GOOD)
    zones = zone_file.of(tmp_path, "cong-truoc")
    assert (zones.min_height, zones.min_score) == (0.05, {Kind.MOTORCYCLE: 0.5})
    assert list(zones.must_enter) == ["san"]
    assert zones.is_ignored(Box(0.4, 0.0, 0.1, 0.1))
    assert zone_file.of(tmp_path, "cong-sau") == CameraZones()


def test_a_table_for_nobody_is_named_and_a_removed_camera_leaves_none(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    assert zone_file.unknown(tmp_path, ["cong-truoc"]) == []
    assert zone_file.unknown(tmp_path, ["cong-sau"]) == ["cong-truoc"]
    zone_file.remove(tmp_path, "cong-sau")
    before = zone_file.load(tmp_path / zone_file.FILE)
    assert list(before) == ["cong-truoc"]
    zone_file.remove(tmp_path, "cong-truoc")
    assert zone_file.load(tmp_path / zone_file.FILE) == {}


@pytest.mark.parametrize(
    ("text", "error", "where"),
    [
        ("[cam]\nmin_hight = 0.1", ZoneRule, "cam.min_hight"),
        ("[cam]\nmin_height = 5", ZoneValue, "cam.min_height"),
        ("[cam.min_score]\nface = 0.5", ZoneValue, "cam.min_score.face"),
        ("[cam.min_score]\ncar = 'x'", ZoneValue, "cam.min_score.car"),
        ("['A b']\nmin_height = 0.1", ZoneValue, "A b"),
        ("[cam.ignore]\nduong = [[0, 0], [1, 1]]", ZoneShape, "cam.ignore.duong"),
        ("[cam.ignore]\nduong = [[0, 0], [0.5, 0.5], [1, 1]]", ZoneShape, "cam.ignore.duong"),
        ("[cam.ignore]\nduong = [[0, 0], [640, 0], [640, 360]]", ZoneShape, "cam.ignore.duong"),
        ("[cam.ignore]\nduong = [[0, 0], [nan, 0], [1, 1]]", ZoneShape, "cam.ignore.duong"),
        ("[cam.ignore]\n'Dường lớn' = [[0, 0], [1, 0], [1, 1]]", ZoneValue, "cam.ignore.Dường lớn"),
    ],
)
def test_a_wrong_file_says_where_and_what_to_write(
    tmp_path: Path, text: str, error: type[NeedsFixing], where: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(error) as raised:
        zone_file.load(path)
    for language in Language:
        assert where in raised.value.what(language)
        assert "\n" not in raised.value.what(language) + raised.value.hint(language)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable):
        zone_file.load(written(tmp_path, "[a\n"))
