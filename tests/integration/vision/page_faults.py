"""How many pages does one look touch for the first time? Run by `test_memory`, in a process of its own."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from agent.detectors import open_model
from agent.heaps import share_heaps
from agent.vision.frame import Frame, Image
from agent.vision.motion import MotionGate

_WARM_UP, _LOOKS = 5, 20


def main() -> None:
    """Print the faults of one look: of the gate, or of the model whose path is given."""
    share_heaps()  # as the agent does
    pictures = [_street(seed) for seed in range(4)]
    if sys.argv[1:]:
        detector = open_model(Path(sys.argv[1]))
        faults = _faults(lambda number: detector.detect(pictures[number % 4]))
    else:
        gate = MotionGate()
        faults = _faults(
            lambda number: gate.look(Frame("c", pictures[number % 4], datetime.now(UTC), number * 0.2))
        )
    sys.stdout.write(f"{faults}\n")


def _faults(look: Callable[[int], object]) -> float:
    for number in range(_WARM_UP):
        look(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for number in range(_LOOKS):
        look(_WARM_UP + number)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / _LOOKS


def _street(seed: int) -> Image:
    numbers = np.random.default_rng(seed)
    return np.asarray(110 + numbers.normal(0, 4, (360, 640, 3)), np.uint8)


if __name__ == "__main__":
    main()
