"""Real interfaces, made of memory: a clock told the time, a detector reading a script, a street."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from agent.vision.detect import Detection
from agent.vision.frame import Frame, Image
from shared.geometry import Box
from shared.messages import Kind

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # twelve o'clock in Vietnam


class FakeClock:
    """Time passes when the test says so; sleeping takes no time at all."""

    def __init__(self, now: datetime = NOON, monotonic_s: float = 1000.0) -> None:
        self._now = now
        self._monotonic_s = monotonic_s

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        self._now += by
        self._monotonic_s += by.total_seconds()

    def set_wall(self, now: datetime) -> None:
        """Step the wall clock, as NTP does; the monotonic clock does not notice."""
        self._now = now


class ScriptedDetector:
    """Gives one list of detections per look, then nothing; counts how often it was asked."""

    name = "scripted"

    def __init__(self, looks: Sequence[Sequence[Detection]] = ()) -> None:
        self._looks = list(looks)
        self.asked = 0

    def detect(self, image: Image) -> list[Detection]:
        del image
        self.asked += 1
        return list(self._looks[self.asked - 1]) if self.asked <= len(self._looks) else []


@dataclass(slots=True)
class Actor:
    """An object that moves in a straight line; centre and speed in fractions of the frame (per second)."""

    at: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)
    size: tuple[float, float] = (0.06, 0.25)
    kind: Kind = Kind.PERSON
    confidence: float = 0.8
    enters_s: float = 0.0
    leaves_s: float = float("inf")
    hidden_s: tuple[float, float] = (0.0, 0.0)  # from, until

    def box(self, t: float) -> Box | None:
        """Where it is t seconds after the start; None: not in the picture."""
        if not self.enters_s <= t < self.leaves_s:
            return None
        x = self.at[0] + self.speed[0] * (t - self.enters_s)
        y = self.at[1] + self.speed[1] * (t - self.enters_s)
        w, h = self.size
        box = Box.from_corners(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return box if box.area > w * h / 4 else None

    def detection(self, t: float) -> Detection | None:
        box = self.box(t)
        if box is None or self.hidden_s[0] <= t < self.hidden_s[1]:
            return None
        return Detection(self.kind, self.confidence, box)


class PerfectDetector:
    """Sees exactly what the street holds at the moment of the frame last drawn, or in a crop of it."""

    name = "perfect"

    def __init__(self, street: Street) -> None:
        self._street = street
        self.asked = 0

    def detect(self, image: Image) -> list[Detection]:
        self.asked += 1
        seen = [found for actor in self._street.actors if (found := actor.detection(self._street.drawn_s))]
        part = part_of_its_picture(image)
        return [inside for found in seen if (inside := _within(found, part))]


def part_of_its_picture(image: Image) -> Box:
    """A crop is a view: where it begins in memory says which part of the picture it is."""
    whole = image.base
    if not isinstance(whole, np.ndarray) or whole.ndim != image.ndim or whole.shape == image.shape:
        return Box(0.0, 0.0, 1.0, 1.0)
    height, width = whole.shape[:2]
    row, rest = divmod(image.ctypes.data - whole.ctypes.data, whole.strides[0])
    x, y = rest / whole.strides[1] / width, row / height
    return Box(x, y, image.shape[1] / width, image.shape[0] / height)


def _within(found: Detection, part: Box) -> Detection | None:
    """The same detection in fractions of the part; None: nothing of it shows there."""
    box = Box.from_corners(
        (found.box.x - part.x) / part.w,
        (found.box.y - part.y) / part.h,
        (found.box.right - part.x) / part.w,
        (found.box.bottom - part.y) / part.h,
    )
    return replace(found, box=box) if box.area > 0 else None


class Street:
    """A textured scene with actors in it, as frames of a camera."""

    def __init__(
        self, *actors: Actor, width: int = 640, height: int = 360, camera: str = "cong-truoc", seed: int = 7
    ) -> None:
        self.actors = actors
        self.camera = camera
        self.drawn_s = 0.0
        random = np.random.default_rng(seed)
        coarse = random.integers(60, 190, (height // 20 + 1, width // 20 + 1, 3), dtype=np.uint8)
        self._scene = coarse.repeat(20, axis=0).repeat(20, axis=1)[:height, :width]
        self._coat = random.integers(0, 256, (height, width, 3), dtype=np.uint8) // 3

    def image(self, t: float) -> Image:
        self.drawn_s = t
        picture = self._scene.copy()
        height, width = picture.shape[:2]
        for actor in self.actors:
            box = actor.box(t)
            if box:
                rows = slice(int(box.y * height), int(box.bottom * height))
                columns = slice(int(box.x * width), int(box.right * width))
                picture[rows, columns] = self._coat[: rows.stop - rows.start, : columns.stop - columns.start]
        return picture

    def frames(
        self,
        seconds: float,
        *,
        fps: float = 5.0,
        start_s: float = 0.0,
        light: Callable[[Image, float], Image] = lambda image, _: image,
    ) -> Iterator[Frame]:
        """`light` changes each picture before the camera has it; it is given the seconds since the start."""
        for number in range(round(seconds * fps)):
            t = start_s + number / fps
            yield frame(light(self.image(t), t), t, camera=self.camera)


def frame(image: Image, t: float, camera: str = "cong-truoc") -> Frame:
    """One picture, t seconds after noon."""
    return Frame(camera, image, NOON + timedelta(seconds=t), 1000.0 + t)
