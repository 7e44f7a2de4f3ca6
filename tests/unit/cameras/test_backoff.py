from __future__ import annotations

from agent.cameras.backoff import NO_PICTURE, NO_STREAM, TOO_MANY, Backoff


def test_a_camera_that_says_no_is_asked_less_and_less_often_down_to_once_a_minute() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    assert [backoff.wait_s(NO_STREAM) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_camera_without_a_picture_is_looked_at_every_two_seconds() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    assert [backoff.wait_s(NO_PICTURE) for _ in range(20)][-1] == 2


def test_a_stale_session_is_waited_out_with_few_tries() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    waits_s = [backoff.wait_s(TOO_MANY) for _ in range(4)]
    assert waits_s == [10, 20, 20, 20]
    assert 60 < sum(waits_s) <= 70


def test_what_is_forgotten_begins_anew() -> None:
    backoff = Backoff(jitter=lambda: 0.5)
    for _ in range(2000):
        backoff.wait_s(NO_STREAM)
    backoff.forget()
    assert [backoff.wait_s(NO_STREAM) for _ in range(2)] == [1, 2]


def test_jitter_spreads_the_cameras_of_a_house_by_a_quarter() -> None:
    assert Backoff(jitter=lambda: 0.0).wait_s(NO_STREAM) == 0.75
    assert Backoff(jitter=lambda: 1.0).wait_s(NO_STREAM) == 1.25
    late = Backoff(jitter=lambda: 1.0)
    assert max(late.wait_s(NO_STREAM) for _ in range(20)) == 75
