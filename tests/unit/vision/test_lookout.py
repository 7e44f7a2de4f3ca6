"""What waits for the detector: the newest wanted frame, and nothing of it is lost silently."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

from agent.cameras.attention import Attention
from agent.cameras.camera_events import HintMark
from agent.lookout import Lookout
from agent.vision.frame import Frame
from agent.vision.pipeline import Glance, Pipeline, Tuning
from shared.messages import ClockQuality, ClockReading
from tests.fakes import Actor, FakeClock, ScriptedDetector, Street
from tests.fakes import frame as picture

WALKER = Actor(at=(0.1, 0.5), speed=(0.08, 0.0), enters_s=5.0)


class Post:
    """A lookout over a street that is empty for five seconds, then walked."""

    def __init__(self, *actors: Actor) -> None:
        self.clock = FakeClock()
        self.bell = threading.Event()
        self.attention = Attention()
        self.hints = HintMark()
        self.pipeline = Pipeline("nha", "gate", ScriptedDetector(), Tuning(), uuid4)
        self.street = Street(*(actors or (WALKER,)))
        self.lookout = Lookout(
            self.pipeline, self.clock, arrived=self.bell, attention=self.attention, hints=self.hints
        )

    def put(self, t: float, *, past: bool = False) -> Frame:
        frame = picture(self.street.image(t), t)
        self.clock.advance(timedelta(seconds=frame.monotonic_s - self.clock.monotonic()))
        self.lookout.put(frame, past=past)
        return frame

    def watch(self, from_s: float, seconds: float, *, past: bool = False) -> list[Frame]:
        return [self.put(from_s + number / 5, past=past) for number in range(round(seconds * 5))]

    def look(self) -> Glance | None:
        glance = self.lookout.take()
        if glance:
            at_s = glance.frame.monotonic_s
            self.pipeline.look(
                glance, ClockReading(boot_id="b", monotonic_s=at_s, quality=ClockQuality.SYNCED)
            )
            self.lookout.looked(glance)
        return glance

    def settle(self) -> None:
        """Let the gate learn the scene, and the detector have its first look."""
        for number in range(20):
            self.put(number / 5)
            self.look()
        self.bell.clear()


def test_a_quiet_frame_wakes_nobody_and_is_there_for_the_check_of_the_picture() -> None:
    post = Post()
    post.settle()
    frame = post.put(4.0)
    assert not post.bell.is_set()
    assert not post.lookout.has_wanted
    assert post.look() is None
    assert post.lookout.newest() is frame
    assert post.lookout.newest() is None


def test_the_newest_wanted_frame_wins_and_those_lost_are_counted() -> None:
    post = Post()
    post.settle()
    frames = post.watch(5.0, 2.0)
    glance = post.look()
    assert post.bell.is_set()
    assert glance is not None
    assert glance.frame is frames[-1]
    assert post.lookout.dropped == len(frames) - 1
    figures = post.lookout.figures()
    assert figures.skipped == len(frames) - 1
    assert not post.lookout.has_wanted


def test_a_frame_nobody_wants_does_not_take_the_place_of_one_that_is_wanted() -> None:
    post = Post(Actor(at=(0.5, 0.5), speed=(0.2, 0.0), enters_s=5.0, leaves_s=5.5))
    post.settle()
    wanted = post.watch(5.0, 0.6)
    post.watch(5.6, 3.0)
    before = post.lookout.newest()
    glance = post.look()
    assert glance is not None
    assert before is not None
    assert wanted[0].monotonic_s <= glance.frame.monotonic_s < before.monotonic_s


def test_a_quiet_look_that_comes_late_is_not_a_frame_skipped() -> None:
    post = Post(Actor(at=(0.5, 0.5), enters_s=900.0))
    post.settle()
    post.watch(4.0, 12.0)
    assert post.lookout.has_wanted
    assert post.lookout.dropped == 0


def test_that_the_stream_was_away_is_not_forgotten_with_the_frame_that_showed_it() -> None:
    post = Post()
    post.settle()
    post.watch(30.0, 1.0)
    glance = post.look()
    assert glance is not None
    assert glance.frame.monotonic_s > 1030.5
    assert glance.anew


def test_frames_of_the_past_are_looked_at_in_their_order_before_the_newest() -> None:
    post = Post()
    post.settle()
    moments = [frame.monotonic_s for frame in post.watch(5.0, 2.0, past=True)]
    moments.append(post.put(7.0).monotonic_s)
    seen = []
    while glance := post.look():
        seen.append(glance.frame.monotonic_s)
    assert seen == moments[-len(seen) :]
    assert len(seen) >= 9
    assert post.lookout.dropped == 0


def test_a_long_past_is_thinned_out_evenly_and_bounded() -> None:
    post = Post()
    post.settle()
    frames = post.watch(5.0, 9.0, past=True)
    seen = []
    while glance := post.look():
        seen.append(glance.frame.monotonic_s)
    assert len(seen) <= 24
    assert seen[-1] == frames[-1].monotonic_s
    assert seen[0] < frames[4].monotonic_s
    assert post.lookout.dropped >= 15
    assert len(seen) + post.lookout.dropped <= len(frames)
    assert max(later - sooner for sooner, later in pairwise(seen)) < 1.0


def test_the_cameras_own_word_opens_the_gate() -> None:
    post = Post(Actor(at=(0.5, 0.5), enters_s=900.0))
    post.settle()
    post.hints.put(1004.0)
    post.put(4.0)
    assert post.lookout.has_wanted


def test_attention_sleeps_while_nothing_stirs_and_wakes_with_the_first_who_does() -> None:
    post = Post()
    post.settle()
    assert not post.attention.is_awake(1004.5)
    post.watch(5.0, 0.6)
    assert post.attention.is_awake(1007.0)


def test_lateness_is_from_the_moment_a_frame_was_seen_to_the_end_of_its_look() -> None:
    post = Post()
    post.put(0.0)
    post.clock.advance(timedelta(seconds=0.7))
    post.look()
    assert post.lookout.figures().p50_ms == 700.0
