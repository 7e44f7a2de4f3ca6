"""How long from the lens to the officer? `python -m tests.bench.lens_to_search [--events 200]`.

From the frame in which an object is confirmed (`seen_at` of the event's first message) to the first
search that finds the event, everything real: RTSP, detection, outbox with fsync, MQTT over mutual
TLS, commit with fsync, search on a read-only connection. The search is `collector search`'s own,
asked every few milliseconds in this process (the command adds the start of a Python, printed apart).

The floor, measured in the same run, is what no arrangement of the parts could avoid: one inference
and two durable commits, one at each end.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import cv2

from agent.detectors import open_detector
from agent.settings import AgentSettings
from agent.uplink.outbox import Outbox
from collector.archive.folder import StationFolder
from collector.archive.search import Question, Search
from tests.conftest import VTEST
from tests.e2e.street import BUILD, Street
from tests.unit.uplink.events import JPEG, SPEAKER, event

_POLL_S = 0.004
_FLOOR_ROUNDS = 50


def main() -> None:
    options = _options()
    street = _build(options.cameras)
    with street.children:
        _settle(street, options.cameras)
        found = _collect(street, options.events)
        floor_ms = _floor_ms(street)
        command_s = _timed(lambda: street.search("--limit", "1"))
    latencies_ms = sorted(found.values())
    p50, p99 = (_percentile(latencies_ms, share) for share in (0.50, 0.99))
    print(f"events                    {len(latencies_ms)} from {options.cameras} cameras")
    print(f"lens to search            p50 {p50:.0f} ms   p99 {p99:.0f} ms   worst {latencies_ms[-1]:.0f} ms")
    print(f"floor                     {floor_ms:.0f} ms (one inference and two durable commits)")
    print(f"ratio                     p50 {p50 / floor_ms:.1f}x   p99 {p99 / floor_ms:.1f}x")
    print(f"collector search, whole   {command_s:.2f} s (a Python starts)")


def _build(cameras: int) -> Street:
    folder = BUILD / "lens-to-search"
    shutil.rmtree(folder, ignore_errors=True)
    street = Street(folder, VTEST)
    street.found_station()
    street.start_collector()
    street.enrol()
    street.take_model()
    for number in range(1, cameras + 1):
        street.add_camera(street.start_camera(f"camera-{number}"))
        time.sleep(2.5)  # out of step with each other, as a street is
    street.start_agent()
    return street


def _settle(street: Street, cameras: int) -> None:
    """Wait until every camera has been seen, so that no start-up is measured."""

    def seen() -> set[str]:
        return {found["camera"] for found in street.search("--limit", "200")}

    street.wait_until(lambda: len(seen()) == cameras, "every camera has an event")


def _collect(street: Street, wanted: int) -> dict[UUID, float]:
    """Ask again and again; return milliseconds from the confirming frame to the first answer with it."""
    folder = StationFolder.existing(street.station)
    question = Question(limit=100)
    with Search.of(folder) as search:
        known = {found.event_id for found in search.page(question).events}
    latencies_ms: dict[UUID, float] = {}
    while len(latencies_ms) < wanted:
        with Search.of(folder) as search:
            page = search.page(question)
        now = datetime.now(UTC)
        for found in page.events:
            if found.event_id not in known:
                known.add(found.event_id)
                if found.revision == 0:
                    latencies_ms[found.event_id] = (now - found.seen_at).total_seconds() * 1000
        if dead := street.children.dead():
            raise SystemExit(f"ended by itself: {dead}")
        time.sleep(_POLL_S)
    return latencies_ms


def _floor_ms(street: Street) -> float:
    detector = open_detector(street.home, AgentSettings())
    _, frame = cv2.VideoCapture(str(VTEST)).read()
    inference_s = statistics.median(_timed(lambda: detector.detect(frame)) for _ in range(_FLOOR_ROUNDS))
    outbox = Outbox(Path(street.folder) / "floor.db", SPEAKER)
    commit_s = statistics.median(
        _timed(lambda: outbox.put(event(jpeg=JPEG), JPEG)) for _ in range(_FLOOR_ROUNDS)
    )
    return (inference_s + 2 * commit_s) * 1000


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--cameras", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
