from __future__ import annotations

import threading

import numpy as np
import pytest

from agent.cameras.rtsp import FrameSlot, Sampler
from agent.cameras.stream import SeenTime
from agent.vision.frame import Frame
from tests.fakes import NOON


def frame(number: float) -> Frame:
    return Frame("gate", np.zeros((2, 2, 3), np.uint8), NOON, number)


def test_the_newest_frame_wins_and_the_lost_ones_are_counted() -> None:
    slot = FrameSlot()
    for number in range(3):
        slot.put(frame(number))
    taken = slot.take(0)
    assert taken is not None
    assert taken.monotonic_s == 2
    assert slot.dropped == 2


def test_a_frame_is_taken_once() -> None:
    slot = FrameSlot()
    slot.put(frame(1))
    assert slot.take(0) is not None
    assert slot.take(0) is None
    assert slot.dropped == 0


def test_who_waits_is_woken_by_a_frame_from_another_thread() -> None:
    slot = FrameSlot()
    threading.Timer(0.01, slot.put, [frame(7)]).start()
    taken = slot.take(30)
    assert taken is not None
    assert taken.monotonic_s == 7


def test_a_frame_sets_the_common_bell() -> None:
    bell = threading.Event()
    FrameSlot(arrived=bell).put(frame(1))
    assert bell.is_set()


def test_frames_of_the_past_give_way_to_the_newest_like_any_other() -> None:
    slot = FrameSlot()
    for number in range(4):
        slot.put(frame(number), past=True)
    slot.put(frame(5))
    taken = slot.take(0)
    assert taken is not None
    assert taken.monotonic_s == 5
    assert slot.dropped == 4


@pytest.mark.parametrize(
    ("source_fps", "wanted_fps", "taken"), [(10, 5, 50), (25, 5, 50), (15, 5, 50), (3, 5, 30)]
)
def test_about_so_many_frames_per_second_are_looked_at(source_fps: int, wanted_fps: int, taken: int) -> None:
    sampler = Sampler(wanted_fps)
    wanted = sum(sampler.wants(number / source_fps) for number in range(10 * source_fps))
    assert abs(wanted - taken) <= 1


def test_jitter_does_not_halve_the_rate() -> None:
    sampler = Sampler(10)
    jitter_s = (0.0, 0.012, -0.011, 0.004, -0.015)
    moments = [number / 10 + jitter_s[number % 5] for number in range(100)]
    assert sum(map(sampler.wants, moments)) >= 98


def test_after_a_gap_sampling_does_not_catch_up() -> None:
    sampler = Sampler(5)
    sampler.wants(0.0)
    assert [sampler.wants(10 + number / 10) for number in range(5)] == [True, False, True, False, True]


def test_delay_on_the_way_is_taken_out_of_the_moment_a_frame_was_seen() -> None:
    times = SeenTime()
    delays_s = (0.05, 0.01, 0.30, 0.02, 1.50)
    seen = [times.seen_s(number / 10, 100 + number / 10 + delay) for number, delay in enumerate(delays_s)]
    assert seen == pytest.approx([100.05, 100.11, 100.21, 100.31, 100.41])


def test_time_seen_never_runs_backwards_nor_ahead_of_the_arrival() -> None:
    times = SeenTime()
    before = 0.0
    for number in range(2000):
        arrived_s = 100 + number / 10 + (number * 7919 % 13) / 40
        seen_s = times.seen_s(number / 10.001, arrived_s)  # the camera's clock is 100 ppm slow
        assert before <= seen_s <= arrived_s
        assert arrived_s - seen_s < 0.4
        before = seen_s


def test_a_packet_without_a_time_was_seen_when_it_came() -> None:
    assert SeenTime().seen_s(None, 42.0) == 42.0


def test_a_session_that_begins_with_a_burst_is_live_only_once_the_burst_is_over() -> None:
    times = SeenTime()
    arrivals_s = [100.0, 100.01, 100.02, 100.03, 100.13, 100.23]  # four held back, then one every 0.1 s
    lived = []
    for number, arrived_s in enumerate(arrivals_s):
        times.seen_s(number * 0.1, arrived_s)
        lived.append(times.live)
    assert lived == [False, False, False, False, True, True]


def test_a_stream_that_keeps_running_ahead_of_its_clock_is_believed_after_five_seconds() -> None:
    times = SeenTime()
    for number in range(600):
        times.seen_s(number * 0.1, 100.0 + number * 0.01)
    assert times.live
