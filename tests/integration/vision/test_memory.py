"""What does an agent's eye leave behind? Nothing that grows with the hours, and no whole pictures.

And what does it ask for, look after look? Hardly a page it has not had before.
"""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest
from uuid6 import uuid7

from agent.heaps import give_back
from agent.vision.frame import Frame, Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.messages import ClockQuality, ClockReading, Kind
from tests.conftest import REPOSITORY
from tests.fakes import Actor, PerfectDetector, Street, frame
from tests.models import best_available_model_path

ON_GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library keeps no heaps like these"
)
HELD_KB = 64  # measured: 8 in 200 s; one path kept of each who passed would be 500
PASS_S, FPS = 20, 2.0


def street(width: int, height: int) -> Street:
    """A parked car, somebody who waits, and walkers who come again and again."""
    walkers = [
        Actor(at=(0.0, 0.4 + 0.1 * lane), speed=(0.06, 0.0), enters_s=3 * lane, leaves_s=PASS_S - 2)
        for lane in range(3)
    ]
    waits = Actor(at=(0.8, 0.5))
    parked = Actor(at=(0.3, 0.8), size=(0.2, 0.15), kind=Kind.CAR)
    return Street(*walkers, waits, parked, width=width, height=height)


def reading(seen: Frame) -> ClockReading:
    return ClockReading(boot_id="boot", monotonic_s=seen.monotonic_s, quality=ClockQuality.SYNCED)


def test_of_the_frames_only_the_parts_with_somebody_in_them_are_kept() -> None:
    scene = street(640, 360)
    pipeline = Pipeline("nha", "cong", PerfectDetector(scene), Tuning(), uuid7)
    pictures: list[weakref.ref[Image]] = []
    for seen in scene.frames(PASS_S - 4, fps=5.0):
        pictures.append(weakref.ref(seen.image))
        for told in pipeline.step(seen, reading(seen)):
            assert told.view is None or told.view.image.size < seen.image.size
    del seen, told
    gc.collect()
    assert len(pipeline.live) >= 4
    assert [picture for picture in pictures if picture() is not None] == []


def test_a_quarter_of_an_hour_of_a_busy_street_leaves_no_more_than_its_first_minutes() -> None:
    """In small pictures, two a second: what is kept of each look or event would be seen all the same."""
    scene = street(192, 108)
    pipeline = Pipeline("nha", "cong", PerfectDetector(scene), Tuning(), uuid7)
    frames = passes(scene, 180)
    lived(pipeline, frames, 600)
    tracemalloc.start()
    try:
        held_kb = [lived(pipeline, frames, 20 * PASS_S) for _ in range(3)]
    finally:
        tracemalloc.stop()
    assert held_kb[2] - held_kb[1] < HELD_KB


def passes(scene: Street, times: int) -> Iterator[Frame]:
    """The same passers-by again and again, as time goes on."""
    for number in range(times):
        for each in scene.frames(PASS_S, fps=FPS):
            yield frame(each.image, number * PASS_S + each.monotonic_s - 1000.0)


def lived(pipeline: Pipeline, frames: Iterator[Frame], count: int) -> float:
    """Let so many frames pass; return the kilobytes Python and numpy hold then."""
    for seen in islice(frames, count):
        pipeline.step(seen, reading(seen))
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1000 if tracemalloc.is_tracing() else 0.0


@ON_GLIBC
def test_pages_that_nothing_lives_in_are_given_back_between_pieces_that_live() -> None:
    """One small piece in eight stays: without a word glibc keeps all that lay between them."""
    pieces = [bytes(40_000) for _ in range(1600)]
    living = pieces[::8]
    del pieces
    gc.collect()
    before_mb = resident_mb()
    give_back()
    assert before_mb - resident_mb() > 30
    assert len(living) == 200


@ON_GLIBC
def test_a_glance_of_the_gate_asks_for_no_new_pages() -> None:
    assert faults() < 30, "with all scratch pictures in pages of their own: 765"


@ON_GLIBC
def test_a_look_of_the_detector_asks_for_no_new_pages() -> None:
    assert faults(best_available_model_path()) < 150, "with all layers in pages of their own: 5,500"


def faults(*model: Path) -> float:
    """Of one look, in a process of its own: the heaps of this one are set up otherwise."""
    command = [sys.executable, "-m", "tests.integration.vision.page_faults", *map(str, model)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(done.stdout)


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6
