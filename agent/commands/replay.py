"""`agent replay FILE`: let a video pass the same eye as a camera, and print what it would have told."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from uuid6 import uuid7

from agent import zone_file
from agent.cameras.replay import VideoFile
from agent.detectors import open_detector, open_model
from agent.draw import DrawnVideo
from agent.settings import AgentSettings, home
from agent.vision.detect import Detector
from agent.vision.event import EventTuning
from agent.vision.frame import Frame
from agent.vision.pipeline import Counts, Occurrence, Pipeline, Tuning
from agent.vision.thumbnail import EncodedThumbnail, encode
from agent.vision.zones import EVERYWHERE
from shared.clock import Clock, SystemClock
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Phase
from shared.terminal import out, say
from shared.texts import both, text

_SITE, _CAMERA = "replay", "file"  # a file belongs to no house


@dataclass(frozen=True, slots=True)
class _Told:
    """What the outbox would have been given."""

    event: DetectionEvent
    picture: EncodedThumbnail | None


def replay(  # noqa: PLR0913 -- one argument per option of the command line
    file: Annotated[Path, typer.Argument(help=both("help.agent.replay-file"))],
    *,
    as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False,
    fps: Annotated[float | None, typer.Option(min=0.2, max=30, help=both("help.agent.replay-fps"))] = None,
    model: Annotated[Path | None, typer.Option(help=both("help.agent.replay-model"))] = None,
    thumbnails: Annotated[Path | None, typer.Option(help=both("help.agent.replay-thumbnails"))] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help=both("help.agent.replay-draw"))
    ] = None,
    zones: Annotated[Path | None, typer.Option(metavar="FILE", help=both("help.agent.replay-zones"))] = None,
    camera: Annotated[str | None, typer.Option(help=both("help.agent.replay-camera"))] = None,
    real_time: Annotated[bool, typer.Option("--real-time", help=both("help.agent.replay-real-time"))] = False,
) -> None:
    folder, clock = home(), SystemClock()
    heeded = zone_file.chosen(zones, camera) if zones else EVERYWHERE
    settings = AgentSettings.load(folder / "agent.toml")
    detector = open_model(model, settings.detector_threads) if model else open_detector(folder, settings)
    if thumbnails:
        thumbnails.mkdir(parents=True, exist_ok=True)
    starts_at = datetime.fromtimestamp(int(clock.now().timestamp()), UTC)
    pace: Clock | None = clock if real_time else None
    sampled_fps = fps or settings.detect_fps
    video = VideoFile(file, _CAMERA, starts_at, sampled_fps=sampled_fps, pace=pace)
    pipeline = Pipeline(_SITE, _CAMERA, detector, Tuning(event=EventTuning(zones=heeded)), uuid7)
    events: dict[uuid.UUID, DetectionEvent] = {}
    with DrawnVideo(draw, sampled_fps, heeded) if draw else nullcontext() as drawn:
        for told in _play(video, pipeline, drawn):
            events[told.event.event_id] = told.event
            if told.picture and thumbnails:
                name = f"{told.event.event_id}-{told.event.revision}.jpg"
                (thumbnails / name).write_bytes(told.picture.jpeg)
            _show(told, starts_at, as_json=as_json)
    _summarise(list(events.values()), pipeline.counts, detector, as_json=as_json)


def _play(video: VideoFile, pipeline: Pipeline, drawn: DrawnVideo | None) -> Iterator[_Told]:
    """Let every frame through; the file's end is a stream's end."""
    reading = _reading(None)
    for frame in video:
        reading = _reading(frame)
        glance = pipeline.glance(frame)
        if glance is None:
            continue
        if glance.wanted:
            yield from map(_with_picture, pipeline.look(glance, reading))
        if drawn:
            drawn.add(glance, pipeline.live)
    yield from map(_with_picture, pipeline.finish(reading))


def _reading(frame: Frame | None) -> ClockReading:
    at_s = round(frame.monotonic_s, 3) if frame else 0.0
    return ClockReading(boot_id=_SITE, monotonic_s=at_s, quality=ClockQuality.UNSYNCED)


def _with_picture(occurrence: Occurrence) -> _Told:
    event, view = occurrence.event, occurrence.view
    if view is None:
        return _Told(event, None)
    picture = encode(view.image, view.box)
    return _Told(event.model_copy(update={"thumbnail": picture.announced(view.captured_at)}), picture)


def _show(told: _Told, starts_at: datetime, *, as_json: bool) -> None:
    event = told.event
    if as_json:
        out.print(event.model_dump_json(exclude_none=True), markup=False)
        return
    if event.phase is Phase.UPDATE:
        return
    moment = event.started_at if event.phase is Phase.START else event.seen_at
    say(
        f"replay.{event.phase}",
        at=f"{(moment - starts_at).total_seconds():7.1f}",
        event=str(event.event_id)[-6:],  # UUIDv7 begin alike within a run
        kind=text(f"kind.{event.kind}"),
        confidence=f"{event.confidence:.2f}",
        lasted=f"{(event.seen_at - event.started_at).total_seconds():.1f}",
        picture_kb=f"{len(told.picture.jpeg) / 1000:.0f}" if told.picture else "-",
    )


def _summarise(events: list[DetectionEvent], counts: Counts, detector: Detector, *, as_json: bool) -> None:
    by_kind = Counter(event.kind for event in events)
    if as_json:
        summary: dict[str, Any] = {
            "summary": {
                "events": {kind.value: number for kind, number in sorted(by_kind.items())},
                "frames": counts.frames,
                "looked": counts.looked,
                "gated": counts.gated,
                "detector": detector.name,
            }
        }
        out.print(json.dumps(summary), markup=False)
        return
    kinds = ", ".join(f"{number} {text(f'kind.{kind}')}" for kind, number in sorted(by_kind.items()))
    say("replay.summary", events=len(events), kinds=kinds or "-")
    share = round(100 * counts.looked / max(counts.frames, 1))
    say("replay.looked", looked=counts.looked, frames=counts.frames, share=share, detector=detector.name)
