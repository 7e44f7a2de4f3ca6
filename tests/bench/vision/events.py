"""Does the eye tell of those who came, once each, and of nobody else?

    python -m tests.bench.vision.events [CLIP...] [--night] [--empty] [--model FILE] [--list]

Every clip with ground truth passes the real pipeline at 5 fps. An event is right when it is of the
object's kind family (person or vehicle), overlaps it in time, and half of its path's points or more lie where
the object's feet were. Each event goes to the object that it meets best. Recall and the goals speak of
objects that move and are taller than 8 % of the frame. `--night`: the same clips, grey, dark and noisy
(simulated). `--empty`: the clips without their people in rain, wind, with a spider and at switch-over: any
event is false.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

import cv2
from uuid6 import uuid7

from agent.cameras.replay import VideoFile
from agent.detectors import open_model
from agent.vision.detect import Detector
from agent.vision.frame import Frame, Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Kind
from tests.augment import (
    Effect,
    emptied,
    film,
    infra_red,
    insects,
    noise,
    rain,
    spider,
    still,
    swaying_tree,
    switch_over,
)
from tests.bench.vision.truth import Labelled, Truth, load_truth
from tests.conftest import SHARED_DATA, VTEST
from tests.fakes import NOON
from tests.models import best_available_model_path

CLIPS: Final = (*sorted((SHARED_DATA / "video").glob("*.mp4")), VTEST)
READING: Final = ClockReading(boot_id="bench", monotonic_s=0.0, quality=ClockQuality.SYNCED)
NIGHT: Final[tuple[Effect, ...]] = (infra_red, noise(12.0))
_MET = 0.5  # of a path's points
_ENOUGH = 7  # pictures: a median of so few is clean where nobody is
_SLACK = 0.35  # of the box, on each side: labels are right to about a quarter of a walker


_ADDED = (
    "expected",
    "found",
    "exact",
    "small",
    "small_found",
    "events",
    "right",
    "false",
    "repeated",
    "unjudged",
)


@dataclass(slots=True)
class Score:
    """One clip, or several added up."""

    clip: str
    hours: float = 0.0
    expected: int = 0
    found: int = 0
    exact: int = 0  # of the found: the very kind, too
    small: int = 0
    small_found: int = 0
    events: int = 0
    right: int = 0
    false: int = 0
    repeated: int = 0  # events after the first of an object that is expected
    unjudged: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        self.hours += other.hours
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def recall(self) -> float:
        return self.found / max(self.expected, 1)

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.false, 1)

    @property
    def per_object(self) -> float:
        return (self.found + self.repeated) / max(self.found, 1)

    def row(self) -> str:
        small = f"{self.small_found}/{self.small}"
        missed, false = self.hourly(self.expected - self.found), self.hourly(self.false)
        return (
            f"{self.clip:30} {self.expected:4} {self.recall:7.3f} {self.exact:5} {self.events:6}"
            f" {self.precision:9.3f} {missed:8.1f} {false:8.1f} {self.per_object:10.2f}"
            f" {small:>7} {self.unjudged:8}"
        )

    def hourly(self, number: int) -> float:
        """As many in an hour of such footage: a busy one, a street at night has none of either."""
        return number / max(self.hours, 1e-9)


HEADER: Final = (
    f"{'clip':30} {'tall':>4} {'recall':>7} {'exact':>5} {'events':>6} {'precision':>9}"
    f" {'missed/h':>8} {'false/h':>8} {'per object':>10} {'small':>7} {'unjudged':>8}"
)


def frames_of(
    clip: Path, seconds: float, effects: tuple[Effect, ...] = (), fps: float = 5.0
) -> Iterator[Frame]:
    """The labelled part of a clip, as a camera would give it."""
    frames = VideoFile(clip, "file", NOON, sampled_fps=fps)
    return film(takewhile(lambda frame: frame.monotonic_s <= seconds, frames), *effects)


def told_of(frames: Iterable[Frame], detector: Detector) -> list[DetectionEvent]:
    """The last word on every event of these frames."""
    pipeline = Pipeline("bench", "file", detector, Tuning(), uuid7)
    events: dict[object, DetectionEvent] = {}
    for frame in frames:
        for occurrence in pipeline.step(frame, READING):
            events[occurrence.event.event_id] = occurrence.event
    for occurrence in pipeline.finish(READING):
        events[occurrence.event.event_id] = occurrence.event
    return list(events.values())


def judge(truth: Truth, events: list[DetectionEvent]) -> Score:
    """Give each event to the object it meets best, and count."""
    score = Score(truth.clip, hours=truth.seconds / 3600, events=len(events))
    given: dict[str, list[DetectionEvent]] = {labelled.name: [] for labelled in truth.objects}
    for event in events:
        share, best = max(
            ((met(event, labelled), labelled) for labelled in truth.objects), key=lambda x: x[0]
        )
        if share < _MET:
            score.false += 1
            score.notes.append(f"false: {_told(event)}, nearest {best.name} {share:.2f}")
        elif not best.judged:
            score.unjudged += 1
        else:
            score.right += 1
            given[best.name].append(event)
    for labelled in truth.objects:
        _count(score, labelled, given[labelled.name])
    return score


def _count(score: Score, labelled: Labelled, events: list[DetectionEvent]) -> None:
    name = f"{labelled.name} ({labelled.first_s:.1f}-{labelled.last_s:.1f} s)"
    if len(events) > 1:
        score.notes.append(f"{len(events)} events: {name}: {'; '.join(map(_told, events))}")
    if not labelled.judged:
        return
    if not labelled.moves:
        score.repeated += max(0, len(events) - 1)
    elif not labelled.is_tall:
        score.small += 1
        score.small_found += bool(events)
    else:
        score.expected += 1
        score.found += bool(events)
        score.exact += any(event.kind is labelled.kind for event in events)
        score.repeated += max(0, len(events) - 1)
        if not events:
            score.notes.append(f"missed: {name}")


def met(event: DetectionEvent, labelled: Labelled) -> float:
    """Which part of the event's path lies where the object's feet were then?"""
    if (event.kind is Kind.PERSON) is not (labelled.kind is Kind.PERSON):
        return 0.0
    since_s = (event.started_at - NOON).total_seconds()
    hits = 0
    for point in event.path:
        box = labelled.at(since_s + point.t)
        hits += box is not None and _is_foot(box, point.x, point.y, whole=not labelled.judged)
    return hits / max(len(event.path), 1)


def _is_foot(box: Box, x: float, y: float, *, whole: bool) -> bool:
    if whole:  # an area that nobody counts in
        return box.x <= x <= box.right and box.y <= y <= box.bottom
    wide, high = max(_SLACK * box.w, 0.015), max(_SLACK * box.h, 0.02)
    return box.x - wide <= x <= box.right + wide and abs(y - box.bottom) <= high


def _told(event: DetectionEvent) -> str:
    begin, end = ((at - NOON).total_seconds() for at in (event.started_at, event.seen_at))
    first, last = event.path[0], event.path[-1]
    where = f"({first.x:.2f},{first.y:.2f})-({last.x:.2f},{last.y:.2f})"
    return f"{event.kind} {begin:.1f}-{end:.1f} s {where} {event.confidence:.2f}"


def empty_scenes(clip: Path) -> Iterator[tuple[str, Iterable[Frame]]]:
    """A clip's place without its people, a minute each of what must not fire."""
    place = empty_place(clip)
    dark = infra_red(place)
    grain, night_grain = noise(4.0), noise(14.0)
    minute = 60.0
    yield "rain by day", film(still(place, minute), rain(), grain)
    yield "rain by night", film(still(dark, minute), rain(night=True), night_grain)
    yield "swaying tree", film(still(place, minute), swaying_tree(Box(0.0, 0.0, 0.45, 0.6)), grain)
    yield "spider", film(still(dark, minute), spider(), night_grain)
    yield "moths", film(still(dark, minute), insects(), night_grain)
    yield "switch-over", film(still(place, minute), switch_over(15.0, 40.0), grain)


def empty_place(clip: Path) -> Image:
    """The median of a clip's empty moments, or where it has too few, of all of it."""
    truth, pictures, empty = load_truth(clip.stem), [], []
    for frame in VideoFile(clip, "file", NOON, sampled_fps=1):
        pictures.append(frame.image)
        if not any(o.moves and o.judged and o.at(frame.monotonic_s) for o in truth.objects):
            empty.append(frame.image)
    return emptied(empty if len(empty) >= _ENOUGH else pictures)


def report(clips: list[Path], detector: Detector, effects: tuple[Effect, ...], *, notes: bool) -> Score:
    total = Score("all")
    print(HEADER)
    for clip in clips:
        truth = load_truth(clip.stem)
        score = judge(truth, told_of(frames_of(clip, truth.seconds, effects), detector))
        total.add(score)
        print(score.row(), flush=True)
        for note in score.notes if notes else ():
            print(f"    {note}")
    print(total.row())
    return total


def report_empty(clips: list[Path], detector: Detector) -> None:
    print(f"{'place':30} {'weather':16} events in a minute (goal: none)")
    for clip in clips:
        for name, frames in empty_scenes(clip):
            events = told_of(frames, detector)
            print(f"{clip.stem:30} {name:16} {len(events)} {'; '.join(map(_told, events))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--night", action="store_true")
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--list", action="store_true", help="say what was missed, false or told twice")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    detector = open_model(asked.model or best_available_model_path())
    clips = asked.clips or list(CLIPS)
    print(f"detector: {detector.name}")
    if asked.empty:
        report_empty(clips, detector)
    else:
        print("night (simulated)" if asked.night else "day")
        report(clips, detector, NIGHT if asked.night else (), notes=asked.list)


if __name__ == "__main__":
    main()
