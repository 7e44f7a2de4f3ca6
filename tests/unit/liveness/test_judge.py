"""The judgement of silence: the same heartbeats give the same flips, each once."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from collector.archive.flips import Flip, State
from collector.liveness.judge import SECOND_US, Fleet, deaf, judge, judge_camera
from shared.messages import CameraHealth, CameraState

MINUTE = 60 * SECOND_US
HOUR = 60 * MINUTE
SITES = ("a", "b", "c", "d")
START = 1_000 * HOUR

beats_of = st.lists(st.integers(1, 40 * HOUR // SECOND_US), max_size=60, unique=True)
fleets = st.fixed_dictionaries(dict.fromkeys(SITES, beats_of))


def heard(seconds: dict[str, list[int]]) -> dict[str, list[int]]:
    return {site: [START + one * SECOND_US for one in beats] for site, beats in seconds.items()}


def regular(minutes: int, begins: int = 0) -> list[int]:
    return [START + (begins + minute) * MINUTE for minute in range(minutes)]


def states(flips: list[Flip], site: str = "a") -> list[State]:
    return [flip.state for flip in flips if flip.site == site]


@given(fleets, st.lists(st.integers(0, 50 * HOUR // SECOND_US), max_size=12))
def test_any_portions_give_the_same_flips(seconds: dict[str, list[int]], cuts: list[int]) -> None:
    beats, end = heard(seconds), START + 50 * HOUR
    at_once = judge(Fleet(), beats, end)
    fleet, flips, since = Fleet(), [], START
    for until in [*sorted(START + cut * SECOND_US for cut in cuts), end]:
        portion = {site: [one for one in all_ if since < one <= until] for site, all_ in beats.items()}
        fleet, new = judge(fleet, {site: some for site, some in portion.items() if some}, until)
        flips, since = flips + new, until
    assert flips == at_once[1]
    assert fleet == at_once[0]


@given(fleets)
def test_no_flip_is_told_twice_and_each_is_a_change(seconds: dict[str, list[int]]) -> None:
    _, flips = judge(Fleet(), heard(seconds), START + 50 * HOUR)
    assert len({(flip.site, flip.at_us) for flip in flips}) == len(flips)
    for site in SITES:
        told = states(flips, site)
        assert all(one is not other for one, other in itertools.pairwise(told))
    # of the whole: an outage that grew is told again, an end never is
    ends = itertools.pairwise(states(flips, ""))
    assert all(one is State.OUTAGE or other is State.OUTAGE for one, other in ends)


def test_an_outage_that_another_joins_is_told_again() -> None:
    seconds = {"a": [1, 152, 543], "b": [1, 2], "c": [1, 303, 152, 543], "d": [1, 303, 152, 663]}
    _, flips = judge(Fleet(), heard(seconds), START + 50 * HOUR)
    assert states(flips, "") == [State.OUTAGE, State.OUTAGE]


@given(fleets)
def test_silence_is_left_only_after_three_heartbeats_in_five_minutes(seconds: dict[str, list[int]]) -> None:
    beats = heard(seconds)
    _, flips = judge(Fleet(), beats, START + 50 * HOUR)
    for site in SITES:
        own = [flip for flip in flips if flip.site == site]
        for before, after in itertools.pairwise(own):
            if before.state in (State.SILENT, State.DEAD) and after.state is State.UP:
                recent = [one for one in beats[site] if after.at_us - 5 * MINUTE <= one <= after.at_us]
                assert len(recent) >= 3


@given(fleets)
def test_nobody_changes_six_times_an_hour_in_the_book(seconds: dict[str, list[int]]) -> None:
    _, flips = judge(Fleet(), heard(seconds), START + 50 * HOUR)
    for site in SITES:
        moments = [flip.at_us for flip in flips if flip.site == site and flip.cause != "first-heard"]
        assert all(
            later - first >= HOUR - SECOND_US for first, later in zip(moments, moments[7:], strict=False)
        )


def test_silence_grows_at_its_limits() -> None:
    _, flips = judge(Fleet(), {"a": [START]}, START + 30 * HOUR)
    assert [(flip.state, flip.at_us - START) for flip in flips] == [
        (State.UP, 0),
        (State.LATE, 150 * SECOND_US),
        (State.SILENT, 10 * MINUTE),
        (State.DEAD, 24 * HOUR),
    ]


def test_a_flapping_line_is_told_once_and_again_when_it_is_calm() -> None:
    beats = [START + 3 * MINUTE * step for step in range(20)]  # late and back, every three minutes
    beats += [beats[-1] + MINUTE * step for step in range(1, 90)]
    _, flips = judge(Fleet(), {"a": beats}, beats[-1])
    assert states(flips).count(State.UNSTABLE) == 1
    assert states(flips)[-2:] == [State.UNSTABLE, State.UP]
    assert len(flips) == 1 + 5 + 2


def test_many_silent_at_once_are_one_outage() -> None:
    beats = {f"s{number:03}": regular(10) for number in range(100)}
    on = {site: regular(60) for site in list(beats)[:70]}
    fleet, flips = judge(Fleet(), beats | on, START + HOUR)
    whole = [flip for flip in flips if flip.site == ""]
    assert {flip.state for flip in whole} == {State.OUTAGE}
    assert whole[-1].cause == "network-or-station"
    back = {site: regular(30, 60) for site in beats}
    _, flips = judge(fleet, back, START + 89 * MINUTE)
    assert [flip.state for flip in flips if flip.site == ""] == [State.UP]


def test_two_of_four_sites_are_no_outage() -> None:
    beats = {site: regular(10 if site in "ab" else 60) for site in SITES}
    _, flips = judge(Fleet(), beats, START + HOUR)
    assert states(flips, "") == []
    assert states(flips, "a")[-1] is State.SILENT


def test_what_nobody_listened_to_is_nobodys_silence() -> None:
    fleet, _ = judge(Fleet(), {"a": regular(10)}, START + 10 * MINUTE)
    fleet = deaf(fleet, START + 10 * MINUTE, START + 10 * HOUR)
    fleet, flips = judge(fleet, {"a": regular(3, 600)}, START + 602 * MINUTE)
    assert flips == []
    _, flips = judge(fleet, {}, START + 620 * MINUTE)
    assert states(flips) == [State.LATE, State.SILENT]


def test_a_camera_is_believed_at_the_second_heartbeat_and_its_age_counts() -> None:
    def health(state: CameraState, age_s: float) -> CameraHealth:
        return CameraHealth(camera="gate", state=state, frame_age_s=age_s, cause="")

    said = [
        (CameraState.OK, 1),
        (CameraState.OK, 31),
        (CameraState.OK, 1),
        (CameraState.OK, 400),
        (CameraState.DOWN, 460),
    ]
    standing, flips = None, []
    for minute, (state, age_s) in enumerate(said):
        standing, new = judge_camera(("a", "gate"), standing, health(state, age_s), START + minute * MINUTE)
        flips += new
    assert [(flip.state, flip.cause) for flip in flips] == [(State.UP, ""), (State.DOWN, "down")]


def test_who_pauses_a_camera_has_broken_nothing_however_often() -> None:
    standing, flips = None, []
    for minute in range(40):
        cause = "paused-household" if minute // 2 % 2 else ""
        state = CameraState.DOWN if cause else CameraState.OK
        health = CameraHealth(camera="gate", state=state, cause=cause)
        standing, new = judge_camera(("a", "gate"), standing, health, START + minute * MINUTE)
        flips += new
    assert {flip.state for flip in flips} == {State.UP, State.PAUSED}
    assert {flip.cause for flip in flips if flip.state is State.PAUSED} == {"paused-household"}
