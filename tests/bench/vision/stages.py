"""What does each stage of the eye cost, against the inference nobody can save?

    .venv/bin/python -m tests.bench.vision.stages [VIDEO...] [--fps 5] [--model FILE]

CPU time of this process (user and system, all threads), which is steady on a noisy machine where wall
time is not. Decoding and inference are the floor; the rest is ours. Default: the clips of
../shared/data and Debian's pedestrians.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from uuid6 import uuid7

from agent.cameras.replay import VideoFile
from agent.detectors import open_model
from agent.vision.pipeline import Pipeline, Tuning
from agent.vision.thumbnail import encode
from shared.messages import ClockQuality, ClockReading
from tests.conftest import SHARED_DATA, VTEST
from tests.fakes import NOON
from tests.models import best_available_model_path

_READING = ClockReading(boot_id="bench", monotonic_s=0.0, quality=ClockQuality.SYNCED)


class Ledger:
    """CPU seconds and calls by stage."""

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed_work(*args: Any, **options: Any) -> Any:
            began_s = time.process_time()
            try:
                return work(*args, **options)
            finally:
                self.spent_s[stage] += time.process_time() - began_s
                self.calls[stage] += 1

        return timed_work


def measure(clip: Path, model: Path, fps: float) -> Ledger:
    """Play a clip once, every stage on the clock."""
    ledger, detector = Ledger(), open_model(model)
    pipeline = Pipeline("bench", "file", detector, Tuning(), uuid7)
    detector.detect = ledger.timed("detect", detector.detect)
    gate, tracker, events = pipeline._gate, pipeline._tracker, pipeline._events
    gate.look = ledger.timed("gate", gate.look)
    tracker.update = ledger.timed("track", tracker.update)
    events.update = ledger.timed("event", events.update)
    step, show = ledger.timed("pipeline", pipeline.step), ledger.timed("picture", encode)
    frames = iter(VideoFile(clip, "file", NOON, sampled_fps=fps))
    read = ledger.timed("decode", lambda: next(frames, None))
    while (frame := read()) is not None:
        for occurrence in step(frame, _READING):
            if occurrence.view:
                show(occurrence.view.image, occurrence.view.box)
    pipeline.finish(_READING)
    return ledger


def report(clip: Path, ledger: Ledger) -> None:
    frames, detect_s = ledger.calls["pipeline"], ledger.spent_s["detect"]
    per_call_s = detect_s / max(ledger.calls["detect"], 1)
    print(f"\n{clip.name}: {frames} frames, {ledger.calls['detect']} given to the detector")
    print(f"{'stage':10} {'calls':>6} {'CPU ms/call':>12} {'CPU ms/frame':>13} {'of one inference':>17}")
    for stage in ("decode", "gate", "detect", "track", "event", "picture"):
        calls, spent_s = ledger.calls[stage], ledger.spent_s[stage]
        each_s = spent_s / max(calls, 1)
        row = f"{stage:10} {calls:6} {each_s * 1e3:12.2f} {spent_s / frames * 1e3:13.2f}"
        print(f"{row} {each_s / per_call_s:17.3f}")
    floor_s = ledger.spent_s["decode"] + detect_s
    total_s = ledger.spent_s["decode"] + ledger.spent_s["pipeline"] + ledger.spent_s["picture"]
    always_s = ledger.spent_s["decode"] + per_call_s * frames
    print(f"whole pipeline / (decode + the inferences made)   {total_s / floor_s:.3f}")
    print(f"whole pipeline / (decode + one inference a frame) {total_s / always_s:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    cv2.setNumThreads(1)  # a pool that waits burns time that no stage has asked for
    model = asked.model or best_available_model_path()
    print(f"model: {model}")
    for clip in asked.videos or [*sorted((SHARED_DATA / "video").glob("*.mp4")), VTEST]:
        report(clip, measure(clip, model, asked.fps))


if __name__ == "__main__":
    main()
