"""What part of a core does the check of the picture against its reference view take?

    .venv/bin/python -m tests.bench.vision.image_health [VIDEO...]

CPU time of this process per reading, and what it is at the product's one reading per ten seconds, for one
camera and for eight. The goal is under 1 % of a core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2

from agent.cameras.reference import PERIOD_S
from agent.cameras.replay import VideoFile
from agent.vision.image_health import ImageHealth
from tests.conftest import SHARED_DATA, VTEST
from tests.fakes import NOON

_GOAL = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{'clip':34} {'size':>9} {'readings':>8} {'CPU ms':>7} {'1 camera':>9} {'8 cameras':>9}")
    for clip in asked.videos or [*sorted((SHARED_DATA / "video").glob("*.mp4")), VTEST]:
        images = [frame.image for frame in VideoFile(clip, "file", NOON, sampled_fps=1)]
        health = ImageHealth(images[0])
        began_s = time.process_time()
        for image in images:
            health.look(image)
        each_s = (time.process_time() - began_s) / len(images)
        size = f"{images[0].shape[1]}x{images[0].shape[0]}"
        share = each_s / PERIOD_S
        row = f"{clip.name:34} {size:>9} {len(images):8} {each_s * 1e3:7.1f}"
        print(f"{row} {share:9.3%} {8 * share:9.3%} {'ok' if share < _GOAL else 'over'}")


if __name__ == "__main__":
    main()
