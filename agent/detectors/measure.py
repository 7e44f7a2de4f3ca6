"""How fast is a model with an engine on this box, and how much memory does it take? Each asked alone.

`measured` starts a process of its own per model and engine: one engine's threads and memory would
show in the next one's figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from agent.detectors import open_model
from agent.detectors.tiers import Speed
from agent.heaps import share_heaps
from shared.errors import NeedsFixing

_LONGEST_S = 120.0  # a Pi 4 takes 0.4 s a frame at 640 pixels; torch half a minute to be imported
_WARM_UP = 3
_SIZE = (360, 640, 3)  # a sub-stream's picture
_BARE = "print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')))"


class TierFailed(NeedsFixing):
    """A model could not be measured with an engine."""

    key = "tier-failed"


def measured(folder: Path, engine: str, threads: int, frames: int) -> Speed:
    """Measure in a process of its own. Raises TierFailed with that process's last words."""
    bare_kb = int(_run([sys.executable, "-c", _BARE], folder, engine))
    command = [sys.executable, "-P", "-m", __name__, str(folder), engine, str(threads), str(frames)]
    found = json.loads(_run(command, folder, engine).splitlines()[-1])
    return Speed(found["cpu_ms"], found["wall_ms"], (found["highest_kb"] - bare_kb) / 1000)


def _run(command: list[str], folder: Path, engine: str) -> str:
    # the package's own libraries are on nobody's path but ours
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, env=surroundings, capture_output=True, text=True, check=False, timeout=_LONGEST_S
        )
    except subprocess.TimeoutExpired as error:
        raise TierFailed(name=folder.name, engine=engine, reason=f"> {_LONGEST_S:.0f} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise TierFailed(name=folder.name, engine=engine, reason=last[0][:200])
    return done.stdout


def _main(folder: str, engine: str, threads: str, frames: str) -> None:
    share_heaps()  # as where it will run
    detector = open_model(Path(folder), int(threads), engine=engine)
    picture = np.random.default_rng(1).integers(0, 256, _SIZE, np.uint8)
    cpu, wall = [], []
    for _ in range(_WARM_UP + int(frames)):
        cpu_s, wall_s = time.process_time(), time.monotonic()
        detector.detect(picture)
        cpu.append(1000 * (time.process_time() - cpu_s))
        wall.append(1000 * (time.monotonic() - wall_s))
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    highest_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    found = {
        "cpu_ms": statistics.median(cpu[_WARM_UP:]),
        "wall_ms": statistics.median(wall[_WARM_UP:]),
        "highest_kb": highest_kb,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
