from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from starlette.datastructures import Headers, QueryParams

from collector.archive.fleet import AgentReport
from collector.archive.period import DateInvalid
from collector.archive.search import Cursor
from collector.console import security
from collector.console.filters import Filter, FilterInvalid, quick_ranges
from collector.console.pages import condition
from shared.messages import CameraState, Kind
from tests import seed

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # 23:30 in Vietnam


@pytest.mark.parametrize(
    ("headers", "believed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://station:8444", "host": "station:8444"}, False),
        ({"origin": "https://station:8444", "host": "station:8444"}, True),
        ({"origin": "https://evil.example", "host": "station:8444"}, False),
        ({"origin": "https://station:9999", "host": "station:8444"}, False),
        ({"origin": "null", "host": "station:8444"}, False),
        ({"host": "station:8444"}, False),
        ({}, False),
    ],
)
def test_only_forms_of_our_own_pages_are_believed(headers: dict[str, str], believed: bool) -> None:
    assert security.sent_by_us(Headers(headers)) is believed


def test_a_forms_token_belongs_to_one_session() -> None:
    mine = {security.FORM_TOKEN: security.form_token("mine")}
    assert security.carries_token(mine, "mine")
    assert not security.carries_token(mine, "another")
    assert not security.carries_token({}, "mine")
    assert "mine" not in security.form_token("mine")


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ("/agents", "/agents"),
        ("/?kind=person&from=23/11/2026", "/?kind=person&from=23/11/2026"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_only_to_a_page_of_ours(given: str, followed: str) -> None:
    assert security.local_path(given) == followed


def test_the_policy_allows_nothing_from_outside_and_no_script() -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in security.HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert set(policy.values()) <= {"'none'", "'self'"}


def test_a_filter_survives_the_way_through_the_address() -> None:
    cursor = Cursor(17, UUID(int=5))
    chosen = Filter("23/11/2026 18:00", "23/11/2026", ("person", "car"), "nha-ong-ba", "nha-ong-ba/cong")
    read = Filter.read(QueryParams(chosen.then(cursor).query()))
    assert read == chosen.then(cursor)
    question = read.question()
    assert question.kinds == (Kind.PERSON, Kind.CAR)
    assert question.before == cursor
    assert question.since == datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert not read.is_open
    assert Filter().then(cursor).is_open
    assert Filter().query() == ""


@pytest.mark.parametrize("query", ["kind=face", "before=17", "before=x-y"])
def test_an_address_our_form_cannot_have_made_is_refused(query: str) -> None:
    with pytest.raises(FilterInvalid):
        Filter.read(QueryParams(query)).question()
    with pytest.raises(DateInvalid):
        Filter.read(QueryParams("from=2026-11-23")).question()


def test_quick_ranges_hold_fixed_vietnamese_times_and_keep_the_other_filters() -> None:
    ranges = dict(quick_ranges(Filter(kinds=("person",), before="1-2"), NOW))
    assert (ranges["hour"].since, ranges["hour"].until) == ("23/11/2026 22:30", "")
    assert ranges["today"].since == "23/11/2026 00:00"
    assert (ranges["last-night"].since, ranges["last-night"].until) == (
        "22/11/2026 18:00",
        "23/11/2026 06:00",
    )
    assert (ranges["yesterday"].since, ranges["yesterday"].until) == ("22/11/2026 00:00", "22/11/2026 23:59")
    for chosen in ranges.values():
        assert chosen.kinds == ("person",)
        assert chosen.before == ""
        chosen.question()


@pytest.mark.parametrize(
    ("cameras", "silent_for", "online", "status", "word"),
    [
        ([seed.camera("cong")], timedelta(seconds=30), True, "enrolled", "ok"),
        ([seed.camera("cong")], timedelta(seconds=30), None, "enrolled", "ok"),
        ([seed.camera("cong")], timedelta(seconds=30), False, "enrolled", "silent"),
        ([seed.camera("cong")], timedelta(minutes=6), True, "enrolled", "silent"),
        ([seed.camera("cong", CameraState.DOWN)], timedelta(0), True, "enrolled", "camera"),
        ([seed.camera("cong")], timedelta(0), True, "revoked", "revoked"),
    ],
)
def test_a_box_is_called_well_only_when_it_speaks_and_its_cameras_see(
    cameras: list[object], silent_for: timedelta, online: bool | None, status: str, word: str
) -> None:
    beat = seed.heartbeat("nha-ong-ba", NOW, cameras)  # type: ignore[arg-type] # parametrised
    heard = NOW - silent_for
    report = AgentReport("nha-ong-ba", status=status, heard_at=heard, heartbeat=beat.heartbeat, online=online)
    assert condition(report, NOW) == word


def test_a_box_never_heard_is_said_so() -> None:
    assert condition(AgentReport("nha-ong-ba", status="waiting"), NOW) == "never"
