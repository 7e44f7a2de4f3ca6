"""How often does the motion gate open for what is not motion, and does it see a far walker through it?

    .venv/bin/python -m tests.bench.vision.gate [--seconds 40]

Every kind of weather, light and insect is put onto real places without anybody in them. `open`: part
of the frames the gate lets through (of those after the first second, which is always looked at).
`far walker`: part of the frames looked at while a real person, 6 % of the frame's height, walks there
through the same weather; `sleep s`: the longest time meanwhile between two frames looked at.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2

from agent.vision.frame import Frame, Image
from agent.vision.motion import MotionGate
from shared.geometry import Box
from tests import augment
from tests.augment import Effect, film, pasted, still
from tests.conftest import SHARED_DATA, VTEST
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
    "headlights": (augment.night, augment.headlights(), augment.noise(8)),
    "clouds": (augment.clouds(), augment.noise(4)),
    "dusk": (augment.fade(), augment.noise(4)),
    "dawn": (augment.fade(dusk=False), augment.noise(4)),
}

FAR = ((0.28, 0.36), (0.02, 0.0))  # feet, and how far they go in a second: 1.4 m at 6 % of the frame
FIRST_S = 1.1


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
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    known, strides = places(), stride(VTEST, empty_place(VTEST))
    far = pasted(strides, walk(*FAR, from_s=10, until_s=30), 0.06)
    print(f"{'':20} " + " ".join(f"{name:>9}" for name in known) + "  far walker  sleep s  ms/frame")
    for weather, effects in WEATHER.items():
        shares = [share(film(still(picture, asked.seconds), *effects)) for picture in known.values()]
        walked = share(film(still(known["street"], 31), far, *effects), from_s=11, until_s=30)
        cost_ms = 1e3 * sum(one.spent_s for one in shares) / (asked.seconds * 5 * len(shares))
        row = " ".join(f"{one.open:9.1%}" for one in shares)
        print(f"{weather:20} {row}  {walked.open:10.1%}  {walked.longest_sleep_s:7.1f}  {cost_ms:8.2f}")


if __name__ == "__main__":
    main()
