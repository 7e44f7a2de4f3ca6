"""How often does the motion gate open for what is not motion, and does it see a far walker through it?

    .venv/bin/python -m tests.bench.vision.gate [--seconds 40] [WEATHER...]

Every kind of weather, light and insect is put onto real places without anybody in them. `open`: part
of the frames the gate lets through (of those after the first second, which is always looked at).
`far walker`: part of the frames looked at while a real person, 6 % of the frame's height, walks there
through the same weather; `sleep s`: the longest time meanwhile between two frames looked at.
`unwatched s`: the longest time meanwhile in which the whole pipeline, with a detector that never finds
him, asked no look of a part of the frame in which he is wholly (a look at all of it is too coarse for him).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
from uuid6 import uuid7

from agent.vision.detect import Detection
from agent.vision.frame import Frame, Image
from agent.vision.motion import MotionGate
from agent.vision.pipeline import Pipeline, Tuning
from shared.geometry import Box
from tests import augment
from tests.augment import Effect, film, pasted, still
from tests.bench.vision.events import READING
from tests.conftest import SHARED_DATA, VTEST
from tests.fakes import part_of_its_picture
from tests.footage import empty_place, stride, walk

WEATHER: dict[str, tuple[Effect, ...]] = {
    "nothing": (),
    "noise by day": (augment.noise(5),),
    "noise by night": (augment.infra_red, augment.noise(16)),
    "rain by day": (augment.rain(), augment.noise(5)),
    "heavy rain by day": (augment.rain(heavy=3), augment.noise(5)),
    "rain by night": (augment.infra_red, augment.rain(night=True), augment.noise(8)),
    "heavy rain by night": (augment.infra_red, augment.rain(night=True, heavy=3), augment.noise(8)),
    "swaying tree": (augment.swaying_tree(Box(0.1, 0.0, 0.5, 0.35)), augment.noise(4)),
    "branch at the lens": (augment.branch(), augment.noise(4)),
    "spider": (augment.infra_red, augment.spider(), augment.noise(8)),
    "moths": (augment.infra_red, augment.insects(), augment.noise(8)),
    "switch-over": (augment.switch_over(5.0, 20.0), augment.noise(5)),
    "street lamps": (augment.night, augment.noise(8)),
    "headlights": (augment.night, augment.headlights(), augment.noise(8)),
    "clouds": (augment.clouds(), augment.noise(4)),
    "dusk": (augment.fade(), augment.noise(4)),
    "dawn": (augment.fade(dusk=False), augment.noise(4)),
}

FAR_HEIGHT = 0.06
FAR = ((0.28, 0.36), (0.02, 0.0))  # feet, and how far they go in a second: 1.4 m at 6 % of the frame
FIRST_S = 1.1
_PART = 0.65  # of the width: more, and a detector of 416 pixels shrinks a sub-stream of 640

Walk = Callable[[float], tuple[float, float] | None]


@dataclass(frozen=True, slots=True)
class Share:
    """What one gate did with one film."""

    frames: int
    opened: int
    spent_s: float
    longest_sleep_s: float = 0.0

    @property
    def open(self) -> float:
        return self.opened / max(self.frames, 1)


def share(frames: Iterator[Frame], *, from_s: float = FIRST_S, until_s: float = 1e9) -> Share:
    """Show a film to a new gate; count the frames from `from_s` to `until_s`."""
    gate, counted, opened, spent_s = MotionGate(), 0, 0, 0.0
    awake_s, longest_s = 1000 + from_s, 0.0
    for frame in frames:
        began_s = time.process_time()
        motion = gate.look(frame)
        spent_s += time.process_time() - began_s
        if from_s <= frame.monotonic_s - 1000 < until_s:
            counted += 1
            opened += motion.moved
            longest_s = max(longest_s, frame.monotonic_s - awake_s)
            awake_s = frame.monotonic_s if motion.moved else awake_s
    return Share(counted, opened, spent_s, longest_s)


class Blindfolded:
    """A detector that finds nobody, and remembers which part of the picture it was given."""

    name = "blindfolded"

    def __init__(self) -> None:
        self.part: Box | None = None

    def detect(self, image: Image) -> list[Detection]:
        self.part = part_of_its_picture(image)
        return []


def unwatched_s(frames: Iterator[Frame], feet: Walk, *, from_s: float, until_s: float) -> float:
    """The longest time without a look at a part of the frame that shows all of the walker."""
    detector = Blindfolded()
    pipeline = Pipeline("bench", "file", detector, Tuning(), uuid7)
    watched_s, longest_s = from_s, 0.0
    for frame in frames:
        t, detector.part = frame.monotonic_s - 1000, None
        pipeline.step(frame, READING)
        where, part = feet(t), detector.part
        if where is None or part is None or part.w > _PART or not from_s <= t < until_s:
            continue
        person = Box(where[0] - 0.015, where[1] - FAR_HEIGHT, 0.03, FAR_HEIGHT)
        if _holds(part, person):
            longest_s, watched_s = max(longest_s, t - watched_s), t
    return max(longest_s, until_s - watched_s)


def _holds(part: Box, box: Box) -> bool:
    return part.x <= box.x and part.y <= box.y and box.right <= part.right and box.bottom <= part.bottom


def places() -> dict[str, Image]:
    """Real places: a car park, a road under trees, a room."""
    found = {
        "street": empty_place(VTEST),
        "road": empty_place(SHARED_DATA / "video/ozlu_input_video.mp4", fps=1),
        "room": empty_place(SHARED_DATA / "video/one-by-one-person-detection.mp4", fps=0.25),
    }
    return {name: cv2.resize(picture, (640, 360)) for name, picture in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("weather", nargs="*", metavar="WEATHER", help=", ".join(WEATHER))
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    chosen = {name: WEATHER[name] for name in asked.weather or WEATHER}
    known, strides = places(), stride(VTEST, empty_place(VTEST))
    feet = walk(*FAR, from_s=10, until_s=30)
    far = pasted(strides, feet, FAR_HEIGHT)
    print(
        f"{'':20} "
        + " ".join(f"{name:>9}" for name in known)
        + "  far walker  sleep s  unwatched s  ms/frame"
    )
    for weather, effects in chosen.items():
        shares = [share(film(still(picture, asked.seconds), *effects)) for picture in known.values()]
        passed = list(film(still(known["street"], 31), far, *effects))
        walked = share(iter(passed), from_s=11, until_s=30)
        unwatched = unwatched_s(iter(passed), feet, from_s=11, until_s=30)
        cost_ms = 1e3 * sum(one.spent_s for one in shares) / (asked.seconds * 5 * len(shares))
        row = " ".join(f"{one.open:9.1%}" for one in shares)
        asleep = f"{walked.open:10.1%}  {walked.longest_sleep_s:7.1f}  {unwatched:11.1f}"
        print(f"{weather:20} {row}  {asleep}  {cost_ms:8.2f}", flush=True)


if __name__ == "__main__":
    main()
