"""What would a popular NVR's pipeline make of the same clips, and at what price?

    python -m tests.bench.vision.nvr_reference [CLIP...] [--model FILE...] [--night] [--list]

The NVR itself comes from no registry. `tests/bench/vision/nvr` is a reference built from its documentation
and published design (Frigate 0.18; every number in `nvr/published.py`), and not the product: so that both
see the same frames at 5 fps with the same detector and engine, in one run, and are scored by the same rules
(`tests.bench.vision.events`). Left out is what costs processor time and decides no event: thumbnails,
recording, previews, messages, and copying between its processes; its cost here is a lower bound. The grid of
region sizes that it learns at night is empty, as on a camera's first day. Its thresholds were made for
other models than these, so it is asked a second time with the detector's and our own (`even`): what is then
left of the difference is the pipeline's.

CPU seconds of this process per minute of footage, decoding included by day (by night, without the making of
the night); pictures are encoded by neither. The last rows are a sub-stream with somebody in view a fifth
of the time, whose events are not scored.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import cv2
from uuid6 import uuid7

from agent.cameras.replay import VideoFile
from agent.detectors import open_model
from agent.heaps import share_heaps
from agent.vision.detect import Detection, Detector
from agent.vision.event import EventTuning
from agent.vision.frame import Frame, Image
from shared.geometry import Box
from shared.messages import DetectionEvent, PathPoint, Phase
from tests.bench.vision.cpu import CLIP, YOLOX, sub_stream
from tests.bench.vision.events import CLIPS, HEADER, NIGHT, READING, Score, frames_of, judge, told_of
from tests.bench.vision.nvr.motion import Motion
from tests.bench.vision.nvr.objects import Objects, Tracked
from tests.bench.vision.nvr.published import Published
from tests.bench.vision.nvr.regions import (
    MOTION,
    OBJECTS,
    Found,
    clusters,
    inside,
    look,
    one_per_object,
    square,
    touch,
)
from tests.bench.vision.truth import load_truth
from tests.fakes import NOON
from tests.models import best_available_model_path

Eye = Callable[[Iterable[Frame], Detector], list[DetectionEvent]]

_POINTS: Final = 128  # of an event's path


class Nvr:
    """One camera of it."""

    def __init__(self, detector: Detector, published: Published) -> None:
        self._published, self._detector = published, detector
        self._motion, self._objects = Motion(published), Objects(published)
        self._number = 0

    def step(self, frame: Frame) -> list[Tracked]:
        """Take in a frame; return the objects that are over."""
        published, size = self._published, frame.size
        least = published.least_region
        moved = self._motion.boxes(frame.image)
        resting = self._resting(moved)
        expected = [one.expected for one in self._objects.live if all(one is not rests for rests in resting)]
        regions = [square(boxes, size, least, OBJECTS) for boxes in clusters(expected, size, least)]
        if not self._motion.is_learning:
            alone = [box for box in moved if not any(inside(box, region) for region in regions)]
            regions += [square(boxes, size, least, MOTION) for boxes in clusters(alone, size, least)]
        found = [Found(one.kind, one.score, one.box) for one in resting]
        for region in regions:
            found += look(self._detector, frame.image, region, published.min_score)
        return self._objects.update(one_per_object(found), frame)

    def finish(self) -> list[Tracked]:
        return self._objects.finish()

    def _resting(self, moved: list) -> list[Tracked]:
        """Who stands, was there just now and has no motion on him: looked for once in fifty frames only."""
        self._number += 1
        if self._number % self._published.stationary == 0:
            return []
        return [
            one
            for one in self._objects.live
            if one.stood >= self._published.stationary
            and not one.missed
            and not any(touch(one.box, box) for box in moved)
        ]


def nvr_told_of(frames: Iterable[Frame], detector: Detector, published: Published) -> list[DetectionEvent]:
    """The NVR's word on every object of these frames."""
    nvr, over, size = Nvr(detector, published), [], (1, 1)
    for frame in frames:
        size = frame.size
        over += nvr.step(frame)
    return [_event(one, size) for one in [*over, *nvr.finish()] if one.is_told]


def _event(one: Tracked, size: tuple[int, int]) -> DetectionEvent:
    width, height = size
    assert one.started_at is not None
    left, top, right, bottom = one.box
    feet = one.feet[:: 1 + len(one.feet) // _POINTS]
    return DetectionEvent(
        id=uuid7(),
        event_id=uuid7(),
        revision=0,
        phase=Phase.END,
        site="bench",
        camera="file",
        kind=one.kind,
        confidence=min(one.told_score, 1.0),
        started_at=one.started_at,
        seen_at=one.started_at + timedelta(seconds=max(0.0, one.seen_s - one.born_s)),
        box=Box.from_corners(left / width, top / height, right / width, bottom / height),
        path=tuple(PathPoint(t=t, x=x / width, y=min(y / height, 1.0)) for t, x, y in feet),
        clock=READING,
    )


class Counted:
    """A detector that counts how often it is asked."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.name = detector, detector.name
        self.looks = 0

    def detect(self, image: Image) -> list[Detection]:
        self.looks += 1
        return self._detector.detect(image)


@dataclass(slots=True)
class Bill:
    """What an eye found, and what it took for it."""

    score: Score
    frames: int = 0
    looks: int = 0
    making_s: float = 0.0  # CPU of the frames: decoding
    cpu_s: float = 0.0  # all of it
    seconds: float = 0.0

    def add(self, other: Bill) -> None:
        self.score.add(other.score)
        for name in ("frames", "looks", "making_s", "cpu_s", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def per_minute(self, *, with_making: bool) -> float:
        return 60 * (self.cpu_s - (0.0 if with_making else self.making_s)) / max(self.seconds, 1e-9)

    def timed(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames; what making them takes is written down."""
        source = iter(frames)
        while True:
            began_s = time.process_time()
            frame = next(source, None)
            self.making_s += time.process_time() - began_s
            if frame is None:
                return
            self.frames, self.seconds = self.frames + 1, frame.monotonic_s
            yield frame


def seen_by(
    eye: Eye, name: str, frames: Iterable[Frame], detector: Detector
) -> tuple[Bill, list[DetectionEvent]]:
    bill, counted = Bill(Score(name)), Counted(detector)
    began_s = time.process_time()
    events = eye(bill.timed(frames), counted)
    bill.cpu_s, bill.looks = time.process_time() - began_s, counted.looks
    return bill, events


def eyes(detector: Detector) -> dict[str, Eye]:
    """Ours, the NVR as it is published, and the NVR with the limits that ours has with this detector."""
    published = Published()
    even = replace(published, min_score=0.0, threshold=min(EventTuning().start_score.values()))
    return {
        "ours": told_of,
        "NVR": lambda frames, asked: nvr_told_of(frames, asked, published),
        "NVR, even": lambda frames, asked: nvr_told_of(frames, asked, even),
    }


def row(bill: Bill, *, by_day: bool) -> str:
    looks = bill.looks / max(bill.frames, 1)
    return f"{bill.score.row()} {looks:11.2f} {bill.per_minute(with_making=by_day):9.2f}"


def on_clips(clips: list[Path], detector: Detector, *, night: bool, notes: bool) -> None:
    """Every clip by every eye, one after the other; then what all of them come to."""
    total = {name: Bill(Score(name)) for name in eyes(detector)}
    for clip in clips:
        truth = load_truth(clip.stem)
        for name, eye in eyes(detector).items():
            frames = frames_of(clip, truth.seconds, NIGHT if night else ())
            bill, events = seen_by(eye, f"{clip.stem[:18]} {name}", frames, detector)
            bill.score = replace(judge(truth, events), clip=bill.score.clip)
            total[name].add(bill)
            print(row(bill, by_day=not night), flush=True)
            for note in bill.score.notes if notes else ():
                print(f"    {note}")
    for bill in total.values():
        print(row(bill, by_day=not night))
    _ratio(total, with_making=not night)


def on_a_quiet_stream(detector: Detector) -> None:
    """Somebody in view a fifth of the time."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "sub.mp4"
        sub_stream(CLIP, video, 1, busy=False)
        bills = {}
        for name, eye in eyes(detector).items():
            frames = VideoFile(video, "file", NOON, sampled_fps=5)
            bill, events = seen_by(eye, name, frames, detector)
            bills[name] = bill
            looks, cpu_s = bill.looks / bill.frames, bill.per_minute(with_making=True)
            cost = f"{looks:5.2f} looks a frame, {cpu_s:5.2f} CPU s a minute"
            print(f"a fifth of the time, {name:10} {cost}, {len(events)} events", flush=True)
        _ratio(bills, with_making=True)


def _ratio(bills: dict[str, Bill], *, with_making: bool) -> None:
    ours, *others = bills.items()
    for name, bill in others:
        ratio = ours[1].per_minute(with_making=with_making) / bill.per_minute(with_making=with_making)
        print(f"CPU of {ours[0]} / {name}: {ratio:.2f} (goal 0.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--model", nargs="+", type=Path, default=[])
    parser.add_argument("--night", action="store_true")
    parser.add_argument("--list", action="store_true", help="say what was missed, false or told twice")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    share_heaps()  # as the agent does
    for model in asked.model or [best_available_model_path(), YOLOX]:
        detector = open_model(model)
        print(f"\ndetector: {detector.name}, {'night (simulated)' if asked.night else 'day'}")
        print(f"{HEADER} {'looks/frame':>11} {'CPU s/min':>9}")
        on_clips(asked.clips or list(CLIPS), detector, night=asked.night, notes=asked.list)
        if not asked.night:
            on_a_quiet_stream(detector)


if __name__ == "__main__":
    main()
