"""What does decoding little save, and what does it lose?

    .venv/bin/python -m tests.bench.cameras.decode [--events [--noise 3 --crf 26]]

The real decoder of the agent on the packets of clips encoded as cameras do. The first table: CPU seconds
of the reader's thread per camera minute, decoding, converting and sampling at 5 fps, for plain full decoding,
for the choice made from the stream, and for key frames alone. `--events`: the whole eye behind it; somebody
comes after a still stretch, at every phase between two key frames; events lost, how much later they begin
to be told than with full decoding, how far off their paths begin, and what it costs.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from uuid import UUID

import av
from uuid6 import uuid7

from agent.cameras.attention import Attention
from agent.cameras.rtsp import Sampler, Thrift, _Decoder
from agent.cameras.stream import Arrival
from agent.detectors import open_model
from agent.vision.detect import Detector
from agent.vision.frame import Frame, Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.messages import ClockQuality, ClockReading, DetectionEvent
from tests.bench.cameras.as_camera import CRF, FPS, NOISE, encode, footage, noisy
from tests.bench.cameras.newcomers import newcomers
from tests.conftest import SHARED_DATA, VTEST
from tests.models import best_available_model_path

_VIDEO = SHARED_DATA / "video"
_STREET, _CARS, _PEOPLE = (
    _VIDEO / name for name in ("ozlu_input_video.mp4", "car-detection.mp4", "one-by-one-person-detection.mp4")
)
_SAMPLED_FPS = 5
_KEYS_ONLY = "keys"
_EPOCH_S = 1000.0
_STILL_S, _SETTLED_S = 16.0, 8.0  # a still scene; the eye and the economy have settled in it
_SAME_S = 2.0  # an event told so much apart is another one


class StreamClock:
    """Time as the packets tell it."""

    def __init__(self) -> None:
        self.now_s = _EPOCH_S

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.now_s)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True)
class Told:
    """One event, and when it was first told; stream seconds."""

    kind: str
    began_s: float
    told_s: float
    path_from: tuple[float, float] | None  # where its path begins


@dataclass(frozen=True)
class Played:
    """One clip through one decoder."""

    cpu_s: tuple[float, float]  # of the reader's thread: in the part asked for, and in all
    seconds: tuple[float, float]
    frames: int
    choice: str
    asleep: float  # share of the part asked for in which packets were kept undecoded
    was_asleep: bool  # at its very end
    told: tuple[Told, ...]

    @property
    def cpu_s_per_minute(self) -> float:
        return self.cpu_s[1] / self.seconds[1] * 60


class Shown:
    """Where the decoder's frames go: all of them, in their order."""

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()

    def put(self, frame: Frame, *, past: bool = False) -> None:
        del past
        self.frames.append(frame)


def play(
    clip: Path, how: str, eye: Pipeline | None = None, part: tuple[float, float] = (0, math.inf)
) -> Played:
    """`how`: full, full-later (looks at the pictures in between), thrifty or keys.

    `part`: seconds to count apart. Without an eye all is quiet.
    """
    clock, shown, attention = StreamClock(), Shown(), Attention()
    decoder = _Decoder("bench", clock, shown, _SAMPLED_FPS, None)
    if how == "thrifty":
        decoder.thrift = Thrift(attention)
    told: dict[UUID, Told] = {}
    frames, packets, asleep = 0, 0, []
    spent: list[tuple[float, bool]] = []
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        decoder.opened(video)
        for packet in container.demux(video):
            if not packet.size:
                continue
            packets += 1
            seen, counts = _EPOCH_S + packets / FPS, part[0] <= packets / FPS < part[1]
            clock.now_s = seen
            began_s = time.thread_time()
            if how != _KEYS_ONLY or packet.is_keyframe:
                decoder.arrived(Arrival(packet, seen, live=True))
            spent.append((time.thread_time() - began_s, counts))
            if counts:
                asleep.append(bool(decoder._kept))
            if packets == 1 and how == "full-later":
                decoder._sampler = Sampler(_SAMPLED_FPS)  # begins anew with the second picture
                shown.frames.clear()
            while shown.frames:
                frame = shown.frames.popleft()
                frames += 1
                for occurrence in eye.step(frame, _reading(frame.monotonic_s)) if eye else ():
                    _note(told, occurrence.event, frame.monotonic_s, seen)
                attention.saw(frame.monotonic_s, quiet=eye.is_quiet if eye else True)
        choice = f"{decoder.choice.how.value} ({decoder.choice.why.value})"
    if eye:
        for occurrence in eye.finish(_reading(seen)):
            _note(told, occurrence.event, seen, seen)
    return Played(
        (sum(cost for cost, counts in spent if counts), sum(cost for cost, _ in spent)),
        (max(len(asleep), 1) / FPS, packets / FPS),
        frames,
        choice,
        sum(asleep) / max(len(asleep), 1),
        bool(asleep and asleep[-1]),
        tuple(told.values()),
    )


def _note(told: dict[UUID, Told], event: DetectionEvent, seen_s: float, now_s: float) -> None:
    before = told.get(event.event_id)
    told[event.event_id] = Told(
        event.kind.value,
        before.began_s if before else seen_s,
        before.told_s if before else now_s,
        (event.path[0].x, event.path[0].y) if event.path else None,
    )


def _reading(monotonic_s: float) -> ClockReading:
    return ClockReading(boot_id="bench", monotonic_s=monotonic_s, quality=ClockQuality.SYNCED)


def costs(folder: Path) -> None:
    still = next(footage(_STREET, 36.0))
    scenes = {
        "quiet street": lambda: noisy(repeat(still, 40 * FPS)),
        "people one by one": lambda: noisy(footage(_PEOPLE, 0, 40)),
        "busy street": lambda: noisy(footage(_STREET, 0, 30)),
    }
    streams = {
        "variable": ("variable", "bframes=0"),
        "constant": ("constant", "bframes=0"),
        "2 B-frames": ("variable", "bframes=2:b-pyramid=none:b-adapt=0"),
    }
    print(f"{'scene':20}{'stream':12}{'full':>7}{'choice':>8}{'keys':>7}{'of full':>9}   choice")
    for scene, pictures in scenes.items():
        for name, (rate, options) in streams.items():
            clip = encode(pictures(), folder / "clip.ts", rate=rate, options=options)
            model = open_model(best_available_model_path()) if scene != "quiet street" else None
            full, keys = play(clip, "full"), play(clip, _KEYS_ONLY)
            eye = Pipeline("bench", "bench", model, Tuning(), uuid7) if model else None
            chosen = play(clip, "thrifty", eye)
            cost, base = chosen.cpu_s_per_minute, full.cpu_s_per_minute
            print(
                f"{scene:20}{name:12}{base:7.2f}{cost:8.2f}{keys.cpu_s_per_minute:7.2f}{cost / base:9.2f}"
                f"   {chosen.choice}"
            )


@dataclass(frozen=True)
class Case:
    """One stream; nothing moves in it until `still_s`."""

    name: str
    still_s: float
    pictures: Iterator[Image]
    rate: str = "variable"


def _passing(still_s: float, speed: float) -> Iterator[Image]:
    """An empty floor, then somebody really crosses it, then it is empty again."""
    empty = next(footage(_PEOPLE, 3.0))
    lead, tail = repeat(empty, round(still_s * FPS)), repeat(empty, 4 * FPS)
    return chain(lead, footage(_PEOPLE, 5.2, 3.4 / speed, speed=speed), tail)


def _going_on(video: Path, from_s: float, still_s: float) -> Iterator[Image]:
    """A moment of this footage stands still, then everything goes on."""
    still = next(footage(video, from_s))
    return chain(repeat(still, round(still_s * FPS)), footage(video, from_s, 6.0))


def _cases(model: Detector) -> Iterator[Case]:
    """Somebody comes at every phase between two key frames (2 s apart)."""
    for speed, phases in ((1.0, range(0, 20, 4)), (2.0, range(0, 20, 2)), (3.0, range(1, 20, 2))):
        for phase in phases:
            still_s = _STILL_S + phase / FPS
            yield Case(f"one by one x{speed:g} +{phase / FPS:.1f} s", still_s, _passing(still_s, speed))
    for video, seconds in ((VTEST, 79), (_CARS, 60), (_STREET, 60), (_PEOPLE, 60)):
        for number, one in enumerate(newcomers(video, model, seconds)):
            still_s = _STILL_S + number * 7 % 20 / FPS
            name = f"{video.stem[:10]} {one.kind} of {one.from_s:.1f} s"
            yield Case(name, still_s, one.entering(still_s))
    for video, every_s, count in ((_STREET, 7.5, 4), (_CARS, 2.5, 8)):
        for number in range(count):
            still_s = _STILL_S + number * 3 % 20 / FPS
            name = f"{video.stem[:10]} goes on at {number * every_s:.1f} s"
            yield Case(name, still_s, _going_on(video, number * every_s, still_s))
    for phase in (3, 11):
        still_s = _STILL_S + phase / FPS
        yield Case("one by one x2, constant rate", still_s, _passing(still_s, 2.0), "constant")


def events(folder: Path, noise: float, crf: int) -> None:
    model, result = open_model(best_available_model_path()), Compared(is_told=True)
    chance = Compared(is_told=False)
    for case in _cases(model):
        clip = encode(noisy(case.pictures, noise), folder / "clip.ts", rate=case.rate, crf=crf)
        part = (_SETTLED_S, case.still_s)
        full, thrifty = (
            play(clip, how, Pipeline("bench", "bench", model, Tuning(), uuid7), part)
            for how in ("full", "thrifty")
        )
        result.add(case, full, thrifty)
        other = play(clip, "full-later", Pipeline("bench", "bench", model, Tuning(), uuid7), part)
        chance.add(case, full, other)
    print("\nfull decoding against itself, looking at the pictures in between: what is chance")
    chance.show()
    print("\nquiet mode against full decoding")
    result.show()


class Compared:
    """What full decoding told against what thrifty decoding told."""

    def __init__(self, *, is_told: bool) -> None:
        self._is_told = is_told
        self._lost: list[str] = []
        self._delays_s: list[float] = []
        self._shifts: list[float] = []
        self._events = self._more = self._asleep_cases = self._asleep_events = 0
        self._cpu = {part: [0.0, 0.0, 0.0] for part in ("quiet part, asleep before it ends", "in all")}

    def add(self, case: Case, full: Played, thrifty: Played) -> None:
        left, said = list(thrifty.told), []
        for event in full.told:
            match = next((one for one in left if _is_same(one, event)), None)
            if match is None:
                self._lost.append(f"{case.name}: {event.kind} at {event.began_s - _EPOCH_S:.1f} s")
                said.append("LOST")
                continue
            left.remove(match)
            self._delays_s.append(match.told_s - event.told_s)
            said.append(f"{match.told_s - event.told_s:+.1f}")
            if event.path_from and match.path_from:
                self._shifts.append(math.dist(event.path_from, match.path_from))
        self._events += len(full.told)
        self._more += len(left)
        if thrifty.was_asleep:
            self._asleep_cases += 1
            self._asleep_events += len(full.told)
            for number, part in enumerate(self._cpu):
                seconds, total = full.seconds[number], self._cpu[part]
                total[0] += seconds
                total[1] += full.cpu_s[number]
                total[2] += thrifty.cpu_s[number]
        if not self._is_told:
            return
        print(
            f"{case.name:34} events {len(full.told)} / {len(thrifty.told)}  frames {full.frames:3} /"
            f" {thrifty.frames:3}  asleep {thrifty.asleep:4.0%}"
            f"{' and then' if thrifty.was_asleep else ' NOT then'}  {' '.join(said)}  {thrifty.choice}",
            flush=True,
        )

    def show(self) -> None:
        print(
            f"events {self._events}, of them after quiet mode {self._asleep_events}"
            f" ({self._asleep_cases} streams)"
        )
        print(f"lost {len(self._lost)} {self._lost}; told more {self._more}")
        for name, values in (
            ("told later by, s", self._delays_s),
            ("path begins elsewhere by", self._shifts),
        ):
            ordered = sorted(values) or [0.0]
            p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
            print(f"{name}: p50 {p50:.3f}, p99 {p99:.3f}, least {ordered[0]:.3f}, most {ordered[-1]:.3f}")
        for part, (seconds, full, thrifty) in self._cpu.items():
            per_minute = 60 / max(seconds, 1e-9)
            print(
                f"CPU of the reader, s a minute, {part}: full {full * per_minute:.3f},"
                f" thrifty {thrifty * per_minute:.3f}"
            )


def _is_same(one: Told, other: Told) -> bool:
    return one.kind == other.kind and abs(one.began_s - other.began_s) <= _SAME_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--noise", type=float, default=NOISE, help="of the sensor, grey levels")
    parser.add_argument("--crf", type=int, default=CRF, help="of the encoder; lower is finer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.events:
            events(Path(folder), options.noise, options.crf)
        else:
            costs(Path(folder))


if __name__ == "__main__":
    main()
