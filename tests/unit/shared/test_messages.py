from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.geometry import Box
from shared.identity import site_name
from shared.localtime import read, shown
from shared.messages import MAX_EVENT_BYTES, DetectionEvent, Heartbeat, PathPoint
from shared.topics import Channel, Up, parse_up, up
from tests.unit.uplink.events import JPEG, NOON, event


def test_an_event_survives_the_wire() -> None:
    made = event(jpeg=JPEG)
    assert DetectionEvent.model_validate_json(made.model_dump_json(exclude_none=True)) == made


def test_an_event_with_the_longest_path_fits_the_limit() -> None:
    path = tuple(PathPoint(t=i * 3600.123, x=0.123456, y=0.654321) for i in range(128))
    assert len(event().model_copy(update={"path": path}).model_dump_json()) < MAX_EVENT_BYTES


def test_an_event_refuses_what_it_does_not_know() -> None:
    body = json.loads(event().model_dump_json()) | {"face": "…"}
    with pytest.raises(ValidationError, match="face"):
        DetectionEvent.model_validate(body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("kind", "face"),
        ("site", "a/b"),
        ("camera", "+"),
        ("confidence", 1.5),
        ("started_at", "2026-11-23T12:00:00+07:00"),
        ("started_at", "2026-11-23T12:00:00"),
        ("seen_at", "2020-01-01T00:00:00Z"),
        ("box", {"x": 0.9, "y": 0, "w": 0.9, "h": 0.1}),
        ("revision", -1),
    ],
)
def test_an_event_that_cannot_be_is_refused(field: str, value: object) -> None:
    body = json.loads(event().model_dump_json()) | {field: value}
    with pytest.raises(ValidationError):
        DetectionEvent.model_validate_json(json.dumps(body))


def test_a_newer_agents_heartbeat_is_understood_as_far_as_we_know_it() -> None:
    body = {
        "v": 1, "site": "nha-ong-ba", "sent_at": "2026-11-23T05:00:00Z", "boot_id": "b",
        "agent_version": "9", "uptime_s": 1, "clock_quality": "synced", "outbox_waiting": 0,
        "something_new": [1],
    }  # fmt: skip
    assert Heartbeat.model_validate(body).site == "nha-ong-ba"


@pytest.mark.parametrize(
    "name", ["", "ab", "A-b-c", "a/b", "a+b", "#", "-ab", "ab-", "a" * 41, "nhà", "_collector"]
)
def test_a_name_that_could_be_a_wildcard_a_path_or_the_collector_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        site_name(name)


def test_a_topic_says_who_spoke_on_which_channel() -> None:
    assert parse_up(up("nha-ong-ba", Channel.EVENT)) == Up("nha-ong-ba", Channel.EVENT)


@given(st.text())
def test_a_strange_topic_is_nobodys(topic: str) -> None:
    parsed = parse_up(topic)
    assert parsed is None or up(parsed.site, parsed.channel) == topic


corners = st.tuples(*[st.floats(-0.5, 1.5)] * 4)


@given(corners, corners)
def test_overlap_is_symmetric_and_between_nothing_and_all(
    one_corners: tuple[float, float, float, float], other_corners: tuple[float, float, float, float]
) -> None:
    one, other = Box.from_corners(*one_corners), Box.from_corners(*other_corners)
    assert one.overlap(other) == pytest.approx(other.overlap(one))
    assert 0 <= one.overlap(other) <= 1 + 1e-9
    one.rounded()


def test_people_see_vietnamese_time_and_we_keep_utc() -> None:
    assert shown(NOON) == "23/11/2026 12:00:00"
    assert read("23/11/2026 12:00") == NOON
    assert read("23/11/2026 12:00").utcoffset() == timedelta(0)
    assert read("24/11/2026") == datetime(2026, 11, 24, tzinfo=timezone(timedelta(hours=7)))
    with pytest.raises(ValueError, match="dd/MM/yyyy"):
        read("11/23/2026")
