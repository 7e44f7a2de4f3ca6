"""Can one box watch eight cameras, and fairly? `python -m tests.bench.vision.eight_cameras [--minutes 10]`.

The real agent (`agent run`, enrolled at a real station that keeps what it is sent) looks at real RTSP
streams, each from a process of its own: people in view all the time in every one of them, which is far
more than a street shows, out of step with each other. Told: looks per camera (the fewest should be
within 20 % of the most), frames skipped, how late looks are, how long from the frame that an event's
message speaks of to that message on disk, and whether memory grows.

Memory is called flat when the last third of the run takes at most 2 % more than the middle third, and
the slope over the second half may, within its uncertainty, be less than what the agent's own heartbeat
calls growing. The first third is not judged: pools, and what is kept for 30 s to 5 min, fill in it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from agent.examine import STATUS
from tests.conftest import VTEST
from tests.e2e.street import BUILD, Street

_SETTLE_S = 30.0
_SAMPLE_S = 10.0
_WINDOW_S = 300.0  # what the heartbeat tells of
_FLAT = 0.02  # of the middle third: what comes and goes with people in view is half of that
_GROWING_MB_H = 5.0  # as in agent.uplink.heartbeat
_BLOCK_S = 30.0  # neighbouring samples are alike: a mean of so many counts as one
_EVENT = re.compile(r"agent\.watch: event camera=(\S+) .*phase=(\w+) .*late_ms=(-?\d+)")
_GOAL = 0.8


def main() -> None:
    options = _options()
    folder = BUILD / "eight-cameras"
    shutil.rmtree(folder, ignore_errors=True)
    street = Street(folder, VTEST, quiet=True)
    with street.children:
        street.found_station()
        street.start_collector()
        street.enrol()
        street.take_model()
        cameras = []
        for number in range(1, options.cameras + 1):
            cameras.append(street.start_bare_camera(f"camera-{number}"))
            time.sleep(1.7)
        street.watch_bare_cameras(cameras)
        agent = psutil.Process(street.start_agent().pid)
        time.sleep(_SETTLE_S)
        log = street.children.log("agent")
        read_from = log.stat().st_size
        seen = _observe(street, agent, options.minutes * 60)
    _report(seen, log.read_text()[read_from:])


class Seen:
    """What was observed of the running agent."""

    def __init__(self) -> None:
        self.looked: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.late_p99_ms: dict[str, float] = {}
        self.late_p50_ms: dict[str, float] = {}
        self.causes: set[str] = set()
        self.memory: list[tuple[float, float]] = []  # seconds, MB
        self.cpu_s = self.took_s = 0.0
        self.detect_p50_ms = 0.0

    def add_window(self, status: dict[str, Any]) -> None:
        for one in status["cameras"]:
            name = one["camera"]
            self.looked[name] += one["frames_looked"]
            self.skipped[name] += one["frames_skipped"]
            for kept, key in ((self.late_p50_ms, "late_p50_ms"), (self.late_p99_ms, "late_p99_ms")):
                kept[name] = max(kept.get(name, 0.0), one.get(key) or 0.0)
            self.causes.add(f"{one['state']} {one['cause']}".strip())
        self.detect_p50_ms = status["detect_p50_ms"]


def _observe(street: Street, agent: psutil.Process, seconds: float) -> Seen:
    """Take every whole window of the heartbeat's, and the last one however short it is."""
    seen, began_s, window = Seen(), time.monotonic(), 1
    before = agent.cpu_times()
    while (passed_s := time.monotonic() - began_s) < seconds:
        seen.memory.append((passed_s, agent.memory_info().rss / 1e6))
        if passed_s >= window * _WINDOW_S and passed_s + _WINDOW_S <= seconds + _SAMPLE_S:
            seen.add_window(_status(street.home))
            window += 1
        if dead := street.children.dead():
            raise SystemExit(f"ended by itself: {dead}; see {street.folder / 'logs'}")
        time.sleep(_SAMPLE_S)
    after, seen.took_s = agent.cpu_times(), time.monotonic() - began_s
    seen.cpu_s = after.user + after.system - before.user - before.system
    seen.add_window(_status(street.home))
    return seen


def _status(home: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads((home / STATUS).read_text())
    return status


def _report(seen: Seen, log: str) -> None:
    print(f"{'camera':12}{'looked':>8}{'skipped':>9}{'late p50':>10}{'late p99':>10}  ms, worst window")
    for name in sorted(seen.looked):
        print(
            f"{name:12}{seen.looked[name]:8}{seen.skipped[name]:9}"
            f"{seen.late_p50_ms[name]:10.0f}{seen.late_p99_ms[name]:10.0f}"
        )
    even = min(seen.looked.values()) / max(seen.looked.values())
    print(f"fewest looks / most   {even:.2f} (goal {_GOAL}: {'met' if even >= _GOAL else 'MISSED'})")
    print(f"inference p50         {seen.detect_p50_ms:.1f} ms; health says {sorted(seen.causes)}")
    for phase in ("start", "update", "end", "start|update|end"):
        _report_late(phase, _late_ms(log, phase))
    _report_memory(seen.memory)
    share = 100 * seen.cpu_s / seen.took_s
    print(f"CPU                   {share:.0f} % of one core over {seen.took_s / 60:.1f} min")


def _report_memory(samples: list[tuple[float, float]]) -> None:
    first, middle, last = (float(np.mean(third)) for third in np.array_split([mb for _, mb in samples], 3))
    slope, sure = _slope_mb_h(samples[len(samples) // 2 :])
    flat = last <= middle * (1 + _FLAT) and slope - sure < _GROWING_MB_H
    change = f"{100 * (last / middle - 1):+.1f} % (goal {100 * _FLAT:.0f} %)"
    print(f"memory by thirds      {first:.1f} {middle:.1f} {last:.1f} MB; last to middle {change}")
    print(f"memory, second half   slope {slope:+.0f} ± {sure:.0f} MB/h (two standard errors)")
    print(f"memory flat           {'yes' if flat else 'NO'}")
    minutes = [mb for _, mb in samples[:: round(60 / _SAMPLE_S)]]
    print(f"memory each minute    {' '.join(f'{mb:.0f}' for mb in minutes)} MB")


def _slope_mb_h(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of a straight line through the means of blocks, and twice its standard error."""
    each = round(_BLOCK_S / _SAMPLE_S)
    blocks = [samples[first : first + each] for first in range(0, len(samples) - each + 1, each)]
    if len(blocks) < 4:
        return float("nan"), float("inf")
    at_h, mb = np.array([np.mean(block, axis=0) for block in blocks]).T / np.array([[3600.0], [1.0]])
    (slope, level), off = np.polyfit(at_h, mb, 1), at_h - at_h.mean()
    left = mb - slope * at_h - level
    return float(slope), float(2 * np.sqrt((left**2).sum() / (len(blocks) - 2) / (off**2).sum()))


def _report_late(phase: str, ordered_ms: list[int]) -> None:
    if not ordered_ms:
        return
    p50, p99 = (ordered_ms[min(int(len(ordered_ms) * share), len(ordered_ms) - 1)] for share in (0.5, 0.99))
    said = f"{phase}: {len(ordered_ms)}, p50 {p50} ms, p99 {p99} ms, worst {ordered_ms[-1]} ms"
    print(f"frame to outbox       {said}")


def _late_ms(log: str, phase: str) -> list[int]:
    return sorted(int(found[3]) for found in _EVENT.finditer(log) if found[2] in phase.split("|"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cameras", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
