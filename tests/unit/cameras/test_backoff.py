from __future__ import annotations

from agent.cameras.backoff import FIRST_S, HEALTHY_S, LONGEST_S, Backoff


def test_tries_come_further_and_further_apart_up_to_a_minute() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    assert [backoff.wait_s(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_healthy_session_begins_the_count_anew() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    for _ in range(5):
        backoff.wait_s(HEALTHY_S - 1)
    assert backoff.wait_s(HEALTHY_S) == FIRST_S
    assert backoff.wait_s(0) == 2 * FIRST_S


def test_jitter_spreads_the_cameras_of_a_house_by_a_quarter() -> None:
    assert Backoff(jitter=lambda: 0.0).wait_s(0) == 0.75
    assert Backoff(jitter=lambda: 1.0).wait_s(0) == 1.25
    late = Backoff(jitter=lambda: 1.0)
    assert max(late.wait_s(0) for _ in range(20)) == LONGEST_S * 1.25
