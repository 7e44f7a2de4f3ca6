"""How often does a parked car fire again in the course of a day? Re-fires per parked vehicle-day.

    .venv/bin/python -m tests.bench.vision.parked_day [--short] [SCENE ...]

Real pictures of vehicles that stand, with a real detector; the day is laid over them (`tests.augment`).
One vehicle of each scene drives in at the start and away at the end, and is owed one event; the others
were there before and are owed none. In between: clouds, a bus that passes before them twice, a lost
stream, a clean restart, dusk, the switch to infra-red, headlights, rain, `kill -9`, dawn.

How the day is compressed: its hours of nothing are cut out, not sped up. What changes the light takes
as many seconds as on a real camera or fewer (dusk: two minutes instead of half an hour), so that every
look sees a harder change than it would. Frames come five a second while something moves or a light
sweeps, twice a second under clouds and through dusk and dawn, once a second else; the pipeline looks at
those it wants, as on a box.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from uuid6 import uuid7

from agent.detectors import open_model
from agent.still_store import PERIOD_S, StillStore
from agent.vision.detect import Detection, Detector
from agent.vision.frame import Image
from agent.vision.pipeline import Occurrence, Pipeline, Tuning
from agent.vision.still import StillTuning
from agent.vision.track import FAMILY
from shared.geometry import Box
from shared.messages import ClockQuality, ClockReading, DetectionEvent, Kind, Phase
from tests import augment
from tests.augment import Sprite, moment
from tests.conftest import SHARED_DATA
from tests.fakes import NOON
from tests.models import best_available_model_path

_COCO = "coco_{}128/images/{:012d}.jpg"
SCENES = {  # chosen by looking: who stands there really stands, or could
    "queue": "video/ozlu_input_video.mp4",  # five cars up a street, one of them parked at the right edge
    "pickup": _COCO.format("val", 9769),  # in snow
    "kerb": _COCO.format("train", 64),  # half a car behind a pole
    "jam": _COCO.format("val", 1532),  # six in two rows under a bridge
    "garage": _COCO.format("val", 9891),  # indoors, two people beside it
    "vans": _COCO.format("train", 257),  # a crowd before them
    "bus": _COCO.format("train", 471),
    "corner": _COCO.format("val", 11197),  # two small ones across the road
}
_QUEUE_FRAME = 300  # the queue stands until second 19
_PASSER = _COCO.format("train", 471), Box(0.18, 0.25, 0.72, 0.5)
_OFF = StillTuning(most=0)
_DRIVES_S = 4.0  # in from the edge, and out
_PASSES_S = 7.0
_WIDTH = 640  # of a sub-stream


@dataclass(frozen=True, slots=True)
class Day:
    """How many seconds each part takes."""

    arrival: float = 20.0
    clouds: float = 180.0
    bus: float = 15.0
    lost: float = 20.0  # no frames
    calm: float = 60.0
    restart: float = 30.0  # no frames: stopped in order, started again
    afternoon: float = 90.0
    dusk: float = 120.0
    infra_red: float = 60.0
    headlights: float = 75.0
    rain: float = 45.0
    killed: float = 40.0  # no frames: `kill -9`
    small_hours: float = 120.0
    bus_by_night: float = 15.0
    before_dawn: float = 30.0
    dawn: float = 90.0
    clouds_again: float = 150.0
    departure: float = 15.0

    def part(self, t: float) -> tuple[str, float]:
        """Which part of the day is it, and how far into it are we?"""
        for one in fields(self):
            length = getattr(self, one.name)
            if t < length:
                return one.name, t
            t -= length
        return "over", t

    def start(self, name: str) -> float:
        names = [one.name for one in fields(self)]
        return float(sum(getattr(self, before) for before in names[: names.index(name)]))

    @property
    def length(self) -> float:
        return self.start("departure") + self.departure


SHORT = Day(
    arrival=16, clouds=12, bus=9, lost=12, calm=6, restart=8, afternoon=6, dusk=20, infra_red=8,
    headlights=13, rain=6, killed=8, small_hours=8, bus_by_night=9, before_dawn=6, dawn=15,
    clouds_again=10, departure=8,
)  # fmt: skip
_AWAY = ("lost", "restart", "killed")
_NIGHT = ("infra_red", "headlights", "rain", "killed", "small_hours", "bus_by_night", "before_dawn")
_FPS = {
    **dict.fromkeys(("arrival", "bus", "headlights", "bus_by_night", "departure"), 5.0),
    **dict.fromkeys(("clouds", "clouds_again", "dusk", "dawn", "rain"), 2.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A place, who stands there, and the one of them who comes and goes."""

    name: str
    empty: Image  # without the newcomer
    places: tuple[Box, ...]  # the newcomer's first
    newcomer: Sprite
    passer: Sprite

    @classmethod
    def load(cls, name: str, detector: Detector) -> Scene:
        picture = _picture(SHARED_DATA / SCENES[name])
        found = [one for one in detector.detect(picture) if FAMILY[one.kind] == FAMILY[Kind.CAR]]
        sure = [one.box for one in found if one.confidence >= Tuning().track.sure]
        places = tuple(sorted(sure, key=lambda box: -box.area))
        hole = np.zeros(picture.shape[:2], np.uint8)
        hole[_pixels(picture, places[0])] = 255
        empty = np.asarray(cv2.inpaint(picture, hole, 5, cv2.INPAINT_TELEA), np.uint8)
        bus = _picture(SHARED_DATA / _PASSER[0])
        return cls(name, empty, places, _cut(picture, places[0]), _cut(bus, _PASSER[1]))

    def at(self, t: float, day: Day) -> Image:
        """What a camera without weather would show."""
        place = self.places[0]
        drive = _drive(t, day)
        feet = None if drive is None else (place.centre[0] + drive * _way(place), place.bottom)
        picture = augment.pasted([self.newcomer], lambda _: feet, place.h)(self.empty, t)
        bus_at = _bus(t, day)
        low = max(box.bottom for box in self.places)
        height = min(0.6, 1.3 * place.h)
        feet_of_bus = None if bus_at is None else (bus_at, min(1.0, low + 0.1 * height))
        return augment.pasted([self.passer], lambda _: feet_of_bus, height)(picture, t)


def sky(picture: Image, t: float, day: Day) -> Image:
    """Light and weather of that moment over the picture."""
    part, since = day.part(t)
    if part in ("clouds", "clouds_again"):
        return augment.noise(4)(augment.clouds()(picture, t), t)
    if part == "dusk":
        return augment.noise(4 + 10 * since / day.dusk)(augment.fade(takes_s=day.dusk)(picture, since), t)
    if part in _NIGHT or (part == "dawn" and since < 1.5):
        night = augment.switch_over(day.start("infra_red"), day.start("dawn"))(picture, t)
        if part == "headlights":
            night = augment.headlights()(night, since)
        if part == "rain":
            night = augment.rain(night=True)(night, t)
        return augment.noise(12)(night, t)
    if part == "dawn":
        return augment.noise(6)(augment.fade(takes_s=day.dawn, dusk=False, least=0.4)(picture, since), t)
    return augment.noise(4)(picture, t)


def moments(day: Day) -> Iterator[float]:
    """When there is a frame."""
    for one in fields(day):
        if one.name not in _AWAY:
            start, fps = day.start(one.name), _FPS.get(one.name, 1.0)
            frames = round(getattr(day, one.name) * fps)
            # The blink of the switch itself is seen at full rate
            fast = np.arange(0, 4, 0.2) if one.name in ("infra_red", "dawn") else np.empty(0)
            slow = np.arange(frames) / fps
            yield from (start + float(t) for t in np.unique(np.round(np.concatenate([fast, slow]), 3)))


class _Once:
    """The same picture is looked at once, whoever asks."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.name = detector.name
        self._last: tuple[Image, list[Detection]] | None = None

    def detect(self, image: Image) -> list[Detection]:
        if self._last is None or self._last[0] is not image:
            self._last = image, self._detector.detect(image)
        return list(self._last[1])


class Housed:
    """One agent through one day: a pipeline, its store, and all it said."""

    def __init__(self, home: Path, detector: Detector, tuning: Tuning) -> None:
        self.home, self.detector, self.tuning = home, detector, tuning
        self.messages: list[tuple[float, DetectionEvent]] = []
        self._due_s = PERIOD_S
        self._begin(0.0)

    def see(self, image: Image, t: float) -> None:
        self._say(t, self._pipeline.step(moment(image, t), _reading(t)))
        if t >= self._due_s:
            self._due_s = t + PERIOD_S
            self._say(t, self._pipeline.expire(_reading(t)))
            self._keep(t)

    def lose_stream(self, t: float) -> None:
        self._say(t, self._pipeline.pause(_reading(t)))

    def restart(self, t: float, away_s: float) -> None:
        """In order: systemd says stop, and later start."""
        self.lose_stream(t)
        self._keep(t, last=True)
        self.kill(t, away_s)

    def kill(self, t: float, away_s: float) -> None:
        """`kill -9`: what is on disk is all there is."""
        self._store.close()
        self._begin(t + away_s)

    def finish(self, t: float) -> None:
        self._say(t, self._pipeline.finish(_reading(t)))
        self._store.close()

    def _begin(self, t: float) -> None:
        self._store = StillStore(self.home)
        self._pipeline = Pipeline("nha", "cong", self.detector, self.tuning, uuid7)
        things, living = self._store.things("cong", ""), self._store.living("cong")
        self._say(t, self._pipeline.recall(things, living, NOON + timedelta(seconds=t), _reading(t)))

    def _keep(self, t: float, *, last: bool = False) -> None:
        things = self._pipeline.remembered(NOON + timedelta(seconds=t), 1000 + t)
        self._store.keep("cong", "", things, 1000 + t, last=last)

    def _say(self, t: float, told: list[Occurrence]) -> None:
        for occurrence in told:
            self._store.about_to_tell(occurrence.event)
            self.messages.append((t, occurrence.event))
            self._store.told(occurrence.event)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one agent made of one day in one scene."""

    scene: str
    fires: tuple[int, ...]  # events at each place, the newcomer's first
    passing: int  # of the buses: two
    stray: tuple[str, ...]  # events of nobody: when, what, where
    broken: int  # events without exactly one start and one end

    @property
    def re_fires(self) -> tuple[int, ...]:
        return tuple(max(0, fired - (number == 0)) for number, fired in enumerate(self.fires))


def tally(scene: Scene, day: Day, messages: list[tuple[float, DetectionEvent]]) -> Tally:
    """Whose event is each? A place's, a passing bus's, or nobody's."""
    lives: dict[object, list[tuple[float, DetectionEvent]]] = {}
    for said in messages:
        lives.setdefault(said[1].event_id, []).append(said)
    fires, passing, stray, broken = [0] * len(scene.places), 0, [], 0
    for life in lives.values():
        phases = [event.phase for _, event in life]
        broken += phases.count(Phase.START) != 1 or phases.count(Phase.END) != 1
        (at_s, first), last = life[0], life[-1][1]
        xs = [point.x for point in last.path]
        part = day.part(at_s)[0]
        overlaps = [place.overlap(first.box) for place in scene.places]
        number = int(np.argmax(overlaps))
        if part in ("bus", "bus_by_night") and max(xs) - min(xs) > 0.2:
            passing += 1
        elif part == "arrival" and first.kind is not Kind.PERSON:
            fires[0] += 1
        elif overlaps[number] > 0.25 and first.kind is not Kind.PERSON:
            fires[number] += 1
        else:
            stray.append(f"{part} {first.kind} {first.box.centre[0]:.2f},{first.box.centre[1]:.2f}")
    return Tally(scene.name, tuple(fires), passing, tuple(stray), broken)


def lived(name: str, day: Day, threads: int = 1) -> tuple[Tally, Tally]:
    """With memory, and without; both look at the same pictures."""
    detector = _Once(open_model(best_available_model_path(), threads))
    scene = Scene.load(name, detector)
    with tempfile.TemporaryDirectory() as folder:
        agents = []
        for kind, tuning in (("with", Tuning()), ("without", Tuning(still=_OFF))):
            home = Path(folder) / kind
            home.mkdir()
            agents.append(Housed(home, detector, tuning))
        was = ""
        for t in moments(day):
            part = day.part(t)[0]
            if part != was:
                for agent in agents:
                    _interrupt(agent, part, day)
                was = part
            image = sky(scene.at(t, day), t, day)
            for agent in agents:
                agent.see(image, t)
        for agent in agents:
            agent.finish(day.length)
        with_memory, without = (tally(scene, day, agent.messages) for agent in agents)
    return with_memory, without


def _interrupt(agent: Housed, part: str, day: Day) -> None:
    if part == "calm":
        agent.lose_stream(day.start("lost") + 10)
    if part == "afternoon":
        agent.restart(day.start("restart"), day.restart)
    if part == "small_hours":
        agent.kill(day.start("killed"), day.killed)


def _picture(path: Path) -> Image:
    if path.suffix == ".mp4":
        clip = cv2.VideoCapture(str(path))
        clip.set(cv2.CAP_PROP_POS_FRAMES, _QUEUE_FRAME)
        _, picture = clip.read()
    else:
        picture = cv2.imread(str(path))
    height = _WIDTH * picture.shape[0] // picture.shape[1]
    return np.asarray(cv2.resize(picture, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def _pixels(picture: Image, box: Box) -> tuple[slice, slice]:
    height, width = picture.shape[:2]
    rows = slice(round(box.y * height), round(box.bottom * height))
    return rows, slice(round(box.x * width), round(box.right * width))


def _cut(picture: Image, box: Box) -> Sprite:
    """The box, its edges soft: at its place it is the picture it was cut from."""
    part = picture[_pixels(picture, box)]
    shown = np.zeros(part.shape[:2], np.float32)
    shown[2:-2, 2:-2] = 255.0
    return np.dstack([part, cv2.GaussianBlur(shown, (7, 7), 0).astype(np.uint8)])


def _way(place: Box) -> float:
    """From its place to out of view, by the nearer side."""
    left = -(place.right + 0.01)
    right = 1.01 - place.x
    return left if abs(left) < right else right


def _drive(t: float, day: Day) -> float | None:
    """How much of its way is the newcomer from its place? None: not in view."""
    part, since = day.part(t)
    if part == "arrival":
        left = 1.0 - (since - 3.0) / _DRIVES_S
        return None if left >= 1 else max(0.0, left)
    if part == "departure":
        gone = (since - 1.0) / _DRIVES_S
        return None if gone >= 1 else max(0.0, gone)
    return 0.0


def _bus(t: float, day: Day) -> float | None:
    part, since = day.part(t)
    if part not in ("bus", "bus_by_night") or not 1.0 <= since <= 1.0 + _PASSES_S:
        return None
    return -0.4 + 1.8 * (since - 1.0) / _PASSES_S


def _reading(t: float) -> ClockReading:
    return ClockReading(boot_id="boot", monotonic_s=round(1000 + t, 3), quality=ClockQuality.SYNCED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", default=list(SCENES))
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    day = SHORT if asked.short else Day()
    out: Callable[[str], object] = sys.stdout.write
    totals = {"with": [0, 0, 0], "without": [0, 0, 0]}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for pair in pool.map(partial(lived, day=day), asked.scenes):
            for kind, one in zip(totals, pair, strict=True):
                out(
                    f"{one.scene:8} {kind:8} re-fires {one.re_fires} buses {one.passing}"
                    f" of nobody {one.stray} broken {one.broken}\n"
                )
                totals[kind][0] += len(one.fires)
                totals[kind][1] += sum(one.re_fires)
                totals[kind][2] = max(totals[kind][2], *one.re_fires)
    for kind, (vehicles, again, most) in totals.items():
        out(
            f"{kind} memory: {again} re-fires in {vehicles} parked vehicle-days"
            f" = {again / vehicles:.2f}, at most {most}\n"
        )


if __name__ == "__main__":
    main()
