"""Which parts does one camera of a running agent have, and what is done to all of them together?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from uuid6 import uuid7

from agent.cameras import credentials, guard
from agent.cameras.attention import Attention
from agent.cameras.camera_events import CameraEvents, HintMark
from agent.cameras.follow import Followed
from agent.cameras.listening import listeners
from agent.cameras.masks import LiveMasks
from agent.cameras.pictures import MainPictures
from agent.cameras.reference import ImageCheck
from agent.cameras.register import CameraEntry
from agent.cameras.rtsp import CameraStream
from agent.lookout import Lookout
from agent.settings import AgentSettings
from agent.vision.detect import Detector
from agent.vision.event import EventTuning
from agent.vision.pipeline import Pipeline, Tuning
from agent.vision.zones import CameraZones
from agent.watch import Watched
from shared.clock import Clock
from shared.messages import CameraHealth, CameraState


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all cameras of an agent have in common."""

    home: Path
    settings: AgentSettings
    clock: Clock
    site: str
    detector: Detector
    arrived: threading.Event
    zones_of: Callable[[str], CameraZones]
    detect_fps: float


@dataclass(slots=True)
class CameraParts:
    """One camera: what reads it, what looks at it, and how it is."""

    entry: CameraEntry
    lookout: Lookout
    pipeline: Pipeline
    stream: CameraStream
    pictures: MainPictures | None
    image_check: ImageCheck
    watched: Watched
    hints: HintMark
    listener: CameraEvents | None = None
    paused: str = ""  # why nobody looks: a code of `agent.health`

    def start(self) -> None:
        self.stream.start()
        if self.pictures:
            self.pictures.start()

    def ask_to_stop(self) -> None:
        self.stream.ask_to_stop()
        if self.pictures:
            self.pictures.ask_to_stop()

    def stop(self) -> None:
        self.stream.stop()
        if self.pictures:
            self.pictures.stop()

    def pause(self, cause: str) -> None:
        """Hang up and look no more, or (no cause) come back. Its listener may be another lens's too."""
        was, self.paused = self.paused, cause
        if bool(was) == bool(cause):
            return
        held = bool(cause)
        self.watched.paused = held
        self.stream.hold(held=held)
        if self.pictures:
            self.pictures.hold(held=held)

    def health(self, now_s: float) -> CameraHealth:
        """A pause is no fault; the stream's own trouble comes next: without one the picture is an old one."""
        health, cause = self.stream.health(now_s), self.image_check.cause
        if self.paused:
            quiet = {"state": CameraState.DOWN, "cause": self.paused, "fps": 0.0, "frame_age_s": None}
            return health.model_copy(update=quiet | {"decoding": "", "decoding_why": ""})
        if not cause and self.lookout.is_behind():
            cause = "detector-behind"
        if not cause and self.listener:
            cause = self.listener.cause(self.entry.source)
        if health.state is not CameraState.OK or not cause:
            return health
        return health.model_copy(update={"state": CameraState.DEGRADED, "cause": cause})

    def told(self, now_s: float) -> CameraHealth:
        """The same with the figures of the last minutes, for a heartbeat."""
        if self.paused:
            return self.health(now_s)
        figures = self.lookout.figures()
        late = {
            "late_p50_ms": figures.p50_ms,
            "late_p99_ms": figures.p99_ms,
            "frames_looked": figures.looked,
            "frames_skipped": figures.skipped,
        }
        return self.health(now_s).model_copy(update=late)


def made(entry: CameraEntry, around: Surroundings) -> CameraParts:
    """Put one camera together; nothing of it runs yet."""
    home, clock = around.home, around.clock
    credential = credentials.load(home, entry.login_name)
    tuning = Tuning(event=EventTuning(zones=around.zones_of(entry.name)))
    pipeline = Pipeline(around.site, entry.name, around.detector, tuning, uuid7)
    attention = Attention()
    hints = HintMark(attention)
    lookout = Lookout(pipeline, clock, arrived=around.arrived, attention=attention, hints=hints)
    masks = LiveMasks(home, entry.name, clock)
    address = guard.detect_address(entry, credential, clock)
    fps = around.detect_fps
    stream = CameraStream(entry.name, address, clock, slot=lookout, sampled_fps=fps, masks=masks)
    if around.settings.decode == "auto":
        stream.be_thrifty(attention, is_only_stream=entry.picture_url == entry.detect_url)
    pictures = None
    if entry.picture_url != entry.detect_url:
        main = guard.picture_address(entry, credential, clock)
        pictures = MainPictures(entry.name, main, clock, masks)
    check = ImageCheck(home, entry.name, masks)
    watched = Watched(
        camera=entry.name,
        lookout=lookout,
        pictures=pictures,
        pipeline=pipeline,
        clock_offset_s=entry.clock_offset_s,
        seen_s=clock.monotonic(),
        image_check=check,
    )
    return CameraParts(entry, lookout, pipeline, stream, pictures, check, watched, hints)


def listen(home: Path, cameras: Iterable[CameraParts], clock: Clock) -> set[CameraEvents]:
    """Hear what the cameras themselves have seen."""
    lenses = [(lambda camera=camera: camera.entry, camera.hints) for camera in cameras]
    by_name = listeners(home, lenses, clock)
    for camera in cameras:
        camera.listener = by_name.get(camera.entry.name)
    return set(by_name.values())


def followed(home: Path, camera: CameraParts, clock: Clock) -> Followed:
    """What the follower may know of a camera; one that is paused is not lost."""
    return Followed(
        camera.entry,
        cause=lambda: camera.paused or camera.stream.health(clock.monotonic()).cause,
        move_to=lambda entry: _move(home, camera, entry, clock),
    )


def _move(home: Path, camera: CameraParts, entry: CameraEntry, clock: Clock) -> None:
    """The camera is elsewhere now, or a person has changed what the register says of it."""
    is_elsewhere = entry.model_copy(update={"clock_offset_s": camera.entry.clock_offset_s}) != camera.entry
    camera.entry = entry
    camera.watched.clock_offset_s = entry.clock_offset_s
    if not is_elsewhere:
        return  # its clock was measured again
    credential = credentials.load(home, entry.login_name)
    camera.stream.move_to(guard.detect_address(entry, credential, clock))
    if camera.pictures:
        camera.pictures.move_to(guard.picture_address(entry, credential, clock))
