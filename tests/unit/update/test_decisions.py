"""Which versions are tried, which are kept, and who gets them first."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update.decide import MOST_LIVES, PATIENCE_S, Box, Trial, Verdict, judge, refusal
from shared import waves
from shared.update_manifest import Manifest, UnreadableError, numbers, parse, split

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
BOX = Box("nha-ong-ba", "anninh-agent", "arm64", "1.2.9", returns=0)
FACTS = {
    "package": "anninh-agent",
    "architecture": "arm64",
    "version": "1.2.10",
    "sha256": "a" * 64,
    "size": 1000,
    "not_before": "2026-11-23T08:00:00+07:00",
    "wave_percent": 100,
}
TRIAL = Trial("1.2.10", "1.2.10", "1.2.9", "abc")


def manifest(**changes: object) -> Manifest:
    return parse(json.dumps(FACTS | changes).encode())


def test_a_newer_version_for_this_box_is_tried() -> None:
    assert refusal(manifest(), BOX, NOW) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"package": "anninh-collector"}, "for-another"),
        ({"architecture": "amd64"}, "for-another"),
        ({"version": "1.2.9"}, "not-newer"),
        ({"version": "1.2.8"}, "not-newer"),
        ({"version": "0.99.0"}, "not-newer"),
        ({"not_before": "2026-11-23T02:00:01+00:00"}, "not-yet"),
        ({"wave_percent": 0}, "not-in-wave"),
    ],
)
def test_what_is_not_for_now_or_here_is_refused(changes: dict[str, object], why: str) -> None:
    assert refusal(manifest(**changes), BOX, NOW) == why


def test_a_version_that_failed_three_times_is_not_tried_again() -> None:
    box = Box("nha-ong-ba", "anninh-agent", "arm64", "1.2.9", returns=3)
    assert refusal(manifest(), box, NOW) == "failed-before"


@pytest.mark.parametrize(
    "version", ["1.2", "1.2.3.4", "1.2.3-rc1", "../../x", "01.2.3", "", "1.2.3\n", "¹.2.3"]
)
def test_a_version_is_three_numbers_and_can_name_no_other_folder(version: str) -> None:
    with pytest.raises(UnreadableError):
        manifest(version=version)


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "A" * 64},
        {"size": 0},
        {"size": 10**10},
        {"not_before": "2026-11-23T08:00:00"},
        {"size": None},
    ],
)
def test_a_manifest_that_leaves_something_open_is_not_read(changes: dict[str, object]) -> None:
    with pytest.raises(UnreadableError):
        manifest(**changes)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_in_our_own_words(content: bytes) -> None:
    for read in (split, parse):
        with suppress(UnreadableError):
            read(content)


@given(st.tuples(*[st.integers(0, 99_999)] * 3), st.tuples(*[st.integers(0, 99_999)] * 3))
def test_versions_compare_by_number(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (numbers("{}.{}.{}".format(*one)) < numbers("{}.{}.{}".format(*other))) == (one < other)


def test_only_the_proof_of_this_trial_keeps_a_version() -> None:
    assert judge(TRIAL, ("1.2.10", "abc"), 10) is Verdict.KEEP
    for other in (None, ("1.2.9", "abc"), ("1.2.10", "of the trial before")):
        assert judge(TRIAL, other, 10) is Verdict.WAIT
        assert judge(TRIAL, other, PATIENCE_S) is Verdict.RETURN


def test_a_box_that_loses_power_again_and_again_returns_to_the_old_version() -> None:
    trial = TRIAL
    for _ in range(MOST_LIVES):
        trial = trial.resumed()
        assert judge(trial, None, 0) is Verdict.WAIT
    assert judge(trial.resumed(), None, 0) is Verdict.RETURN


def test_a_return_once_begun_is_finished_even_if_proof_comes_late() -> None:
    assert (
        judge(Trial("1.2.10", "1.2.10", "1.2.9", "abc", is_returning=True), ("1.2.10", "abc"), 0)
        is Verdict.RETURN
    )


def test_a_patience_of_five_minutes() -> None:
    assert timedelta(seconds=PATIENCE_S) == timedelta(minutes=5)


SITES = [f"nha-{number}" for number in range(3000)]


@pytest.mark.parametrize(("percent", "least", "most"), [(1, 15, 50), (10, 240, 360), (100, 3000, 3000)])
def test_a_wave_is_about_its_share_of_the_sites(percent: int, least: int, most: int) -> None:
    assert least <= len(waves.chosen(SITES, "1.2.10", percent)) <= most


def test_each_wave_holds_the_one_before_and_other_sites_go_first_next_time() -> None:
    first, second = (set(waves.chosen(SITES, "1.2.10", percent)) for percent in (1, 10))
    assert first < second
    assert first != set(waves.chosen(SITES, "1.2.11", 1))


def test_a_small_commune_still_has_a_first_site() -> None:
    assert len(waves.chosen(SITES[:3], "1.2.10", 1)) == 1


@pytest.mark.parametrize(
    ("told", "proven", "failed", "waiting", "why"),
    [
        (100, 100, 0, 0, ""),
        (100, 98, 2, 0, ""),
        (100, 97, 3, 0, "not-returning"),
        (30, 29, 1, 0, "not-returning"),
        (100, 50, 0, 50, "still-waiting"),
        (100, 0, 3, 97, "not-returning"),
        (0, 0, 0, 0, "nobody-proven"),
    ],
)
def test_waves_stop_when_more_than_two_of_a_hundred_do_not_return(
    told: int, proven: int, failed: int, waiting: int, why: str
) -> None:
    assert waves.may_widen(told, proven, failed, waiting) == why
