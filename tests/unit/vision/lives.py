"""What does the whole eye make of a drawn street? Shared by the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from uuid6 import uuid7

from agent.vision.frame import Frame
from agent.vision.pipeline import Counts, Occurrence, Pipeline, Tuning
from shared.messages import ClockQuality, ClockReading, DetectionEvent
from tests.fakes import Actor, PerfectDetector, Street

SITE, CAMERA = "nha-ong-ba", "cong-truoc"


def reading(at_s: float) -> ClockReading:
    return ClockReading(boot_id="boot", monotonic_s=at_s, quality=ClockQuality.SYNCED)


def lived(
    *actors: Actor, seconds: float, fps: float = 5.0, tuning: Tuning | None = None, **how
) -> tuple[list[Occurrence], Counts]:
    """Everything told about a street, from the first frame to the end of the stream."""
    street = Street(*actors, width=320, height=180)
    pipeline = Pipeline(SITE, CAMERA, PerfectDetector(street), tuning or Tuning(), uuid7)
    told: list[Occurrence] = []
    for f in street.frames(seconds, fps=fps, **how):
        told += pipeline.step(f, reading(f.monotonic_s))
    return told + pipeline.finish(reading(1000 + seconds)), pipeline.counts


def by_event(told: list[Occurrence]) -> dict[UUID, list[DetectionEvent]]:
    lives: dict[UUID, list[DetectionEvent]] = {}
    for occurrence in told:
        lives.setdefault(occurrence.event.event_id, []).append(occurrence.event)
    return lives


def walker(**changes) -> Actor:
    return Actor(**({"at": (0.0, 0.5), "speed": (0.1, 0.0), "enters_s": 2.0} | changes))


def looks(pipeline: Pipeline, frames: Iterable[Frame]) -> list[Occurrence]:
    return [told for f in frames for told in pipeline.step(f, reading(f.monotonic_s))]
