"""Shapes of Frigate's events from 0.13 to 0.18, and what is no event."""
# ruff: noqa: E501 -- its messages are long

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.frigate_messages import FrigateGarbageError, from_api, from_mqtt
from shared.geometry import Box
from shared.messages import Kind

SIZES = {"front_door": (1280, 720)}
KEY, BEGAN = "1763870400.123456-k2j4h1", 1763870400.123456


def after(**changes: Any) -> dict[str, Any]:
    return {
        "id": KEY, "camera": "front_door", "frame_time": BEGAN + 4, "snapshot_time": BEGAN + 3, "label": "person",
        "sub_label": None, "top_score": 0.91, "false_positive": False, "start_time": BEGAN, "end_time": None,
        "score": 0.88, "box": [640, 360, 768, 720], "area": 46080, "ratio": 0.35, "region": [400, 100, 1020, 720],
        "stationary": False, "motionless_count": 0, "position_changes": 1, "current_zones": [], "entered_zones": [],
        "has_clip": False, "has_snapshot": True, "thumbnail": None, "attributes": {}, "current_attributes": [],
    } | changes  # fmt: skip


def message(kind: str = "new", **changes: Any) -> bytes:
    return json.dumps({"type": kind, "before": {"anything": 1}, "after": after(**changes)}).encode()


VERSIONS = {
    "0.13": {"sub_label": "delivery"},
    "0.14": {"sub_label": ["delivery", 0.9], "max_severity": "detection"},
    "0.15": {
        "snapshot": {"frame_time": BEGAN + 3, "box": [640, 360, 768, 720], "area": 1, "region": [0, 0, 1, 1]}
    },
    "0.16": {
        "path_data": [[[0.5, 1.0], BEGAN], [[0.6, 1.0], BEGAN + 2]],
        "recognized_license_plate": ["51F", 0.9],
    },
    "0.17": {"snapshot": None, "pending_loitering": False, "current_estimated_speed": 0, "velocity_angle": 0},
    "0.18": {"unheard_of": {"deeply": ["new"]}},
}


@pytest.mark.parametrize("changes", VERSIONS.values(), ids=VERSIONS.keys())
def test_every_version_says_who_where_and_when(changes: dict[str, Any]) -> None:
    seen = from_mqtt(message(**changes), SIZES)
    assert seen
    assert (seen.key, seen.camera, seen.kind, seen.ended, seen.has_snapshot) == (
        KEY, "front_door", Kind.PERSON, False, True,
    )  # fmt: skip
    assert seen.box
    assert seen.box.rounded() == Box(0.5, 0.5, 0.1, 0.5)
    assert (seen.started_s, seen.seen_s) == (BEGAN, BEGAN + 4)
    assert "delivery" not in repr(seen)
    assert "51F" not in repr(seen)


def test_the_box_of_the_snapshot_goes_before_the_box_of_now() -> None:
    seen = from_mqtt(message(box=[0, 0, 10, 10], snapshot={"box": [640, 360, 768, 720]}), SIZES)
    assert seen
    assert seen.box
    assert seen.box.rounded() == Box(0.5, 0.5, 0.1, 0.5)


def test_without_the_cameras_size_there_is_no_box_rather_than_a_wrong_one() -> None:
    seen = from_mqtt(message(), {})
    assert seen
    assert seen.box is None


@pytest.mark.parametrize(
    "changes", [{"label": "dog"}, {"label": "license_plate"}, {"false_positive": True}], ids=str
)
def test_what_is_none_of_our_kinds_is_left(changes: dict[str, Any]) -> None:
    assert from_mqtt(message(**changes), SIZES) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../config"}, {"id": KEY + "/x"}, {"id": 7}, {"start_time": float("nan")}, {"start_time": 0},
        {"start_time": None}, {"box": [1, 2, 3]}, {"box": [1, 2, 3, float("inf")]}, {"box": "abcd"},
        {"path_data": [[1, 2]]}, {"path_data": 5},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_message_is_garbage_and_nothing_worse(changes: dict[str, Any]) -> None:
    with pytest.raises(FrigateGarbageError):
        from_mqtt(message(**changes), SIZES)


def test_a_long_path_is_thinned_to_what_an_event_may_carry() -> None:
    path = [[[0.001 * n, 2.0], BEGAN + n] for n in range(1000)]
    seen = from_mqtt(message(path_data=path), SIZES)
    assert seen
    assert 100 < len(seen.path) <= 128
    assert seen.path[0].y == 1.0


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": KEY, "label": "motorcycle", "sub_label": "Ba", "camera": "front_door", "start_time": BEGAN,
        "end_time": BEGAN + 9, "false_positive": None, "zones": [], "thumbnail": "", "has_clip": True,
        "has_snapshot": True, "retain_indefinitely": False, "plus_id": None, "top_score": None, "box": None,
        "data": {"box": [0.5, 0.5, 0.1, 0.5], "region": [0, 0, 1, 1], "score": 0.7, "type": "object"},
    } | changes  # fmt: skip


def test_the_api_says_the_same_in_its_own_way() -> None:
    seen = from_api(row())
    assert seen
    assert (seen.kind, seen.ended, seen.seen_s) == (Kind.MOTORCYCLE, True, BEGAN + 9)
    assert seen.box
    assert seen.box.rounded() == Box(0.5, 0.5, 0.1, 0.5)
    assert from_api(row(data={"type": "audio"})) is None
    living = from_api(row(end_time=None, data=None))
    assert living
    assert not living.ended


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_whatever_comes_it_is_an_event_nothing_or_garbage(noise: Any) -> None:
    with suppress(FrigateGarbageError):
        from_mqtt(noise if isinstance(noise, bytes) else json.dumps(noise).encode(), SIZES)
    if not isinstance(noise, bytes):
        with suppress(FrigateGarbageError):
            from_api(noise)
