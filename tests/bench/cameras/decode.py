"""What does decoding little save, and what does it lose? `python -m tests.bench.cameras.decode [--events]`.

The real decoder of the agent on the packets of clips encoded as cameras do. The first table: CPU seconds
of the reader's thread per camera minute, decoding, converting and sampling at 5 fps, for plain full decoding,
for the choice made from the stream, and for key frames alone. `--events`: the whole eye behind it; people
who cross an empty floor in a hurry, at every phase between two key frames; events lost, and how much
later they begin to be told than with full decoding.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path

import av
from uuid6 import uuid7

from agent.cameras.attention import Attention
from agent.cameras.rtsp import FrameSlot, Thrift, _Decoder
from agent.cameras.stream import Arrival
from agent.detectors import open_model
from agent.vision.frame import Image
from agent.vision.pipeline import Pipeline, Tuning
from shared.messages import ClockQuality, ClockReading
from tests.bench.cameras.as_camera import FPS, encode, footage, noisy
from tests.conftest import SHARED_DATA, VTEST
from tests.models import best_available_model_path

_VIDEO = SHARED_DATA / "video"
_STREET, _CARS, _PEOPLE = (
    _VIDEO / name for name in ("ozlu_input_video.mp4", "car-detection.mp4", "one-by-one-person-detection.mp4")
)
_SAMPLED_FPS = 5
_KEYS_ONLY = "keys"


class StreamClock:
    """Time as the packets tell it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.now_s)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True)
class Played:
    """One clip through one decoder."""

    cpu_s_per_minute: float
    frames: int
    choice: str
    told: tuple[tuple[float, str, float], ...]  # event began at, kind, first told at; stream seconds


def play(clip: Path, how: str, eye: Pipeline | None = None) -> Played:
    """`how`: full, thrifty or keys. Without an eye everything counts as quiet."""
    clock, slot, attention = StreamClock(), FrameSlot(), Attention()
    decoder = _Decoder("bench", clock, slot, _SAMPLED_FPS, None)
    if how == "thrifty":
        decoder.thrift = Thrift(attention)
    told, seen, frames, cpu_s, packets = {}, 0.0, 0, 0.0, 0
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        decoder.opened(video)
        for packet in container.demux(video):
            if not packet.size:
                continue
            seen, packets = 1000.0 + packets / FPS, packets + 1
            clock.now_s = seen
            began_s = time.thread_time()
            if how != _KEYS_ONLY or packet.is_keyframe:
                decoder.arrived(Arrival(packet, seen, live=True))
            cpu_s += time.thread_time() - began_s
            while (frame := slot.take(0)) is not None:
                frames += 1
                if eye:
                    for occurrence in eye.step(frame, _reading(frame.monotonic_s)):
                        event = occurrence.event
                        told.setdefault(event.event_id, (frame.monotonic_s, event.kind.value, seen))
                attention.saw(frame.monotonic_s, quiet=eye.is_quiet if eye else True)
        choice = f"{decoder.choice.how.value} ({decoder.choice.why.value})"
    return Played(cpu_s / (packets / FPS) * 60, frames, choice, tuple(told.values()))


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


def _passing(phase: int, speed: float) -> Iterator[Image]:
    """An empty floor for 12 s and `phase` tenths, then somebody really crosses it, then it is empty again."""
    empty = next(footage(_PEOPLE, 3.0))
    lead, tail = repeat(empty, 12 * FPS + phase), repeat(empty, 4 * FPS)
    return noisy(chain(lead, footage(_PEOPLE, 5.2, 3.4 / speed, speed=speed), tail))


def events(folder: Path) -> None:
    model, delays_s, lost, extra, total, choices = (
        open_model(best_available_model_path()),
        [],
        [],
        0,
        0,
        set(),
    )
    clips = [
        (f"passer x{speed:g} +{phase / FPS:.1f} s {rate}", _passing(phase, speed), rate)
        for speed, phases in ((2.0, range(0, 20, 2)), (3.0, range(1, 20, 2)))
        for phase in phases
        for rate in ("variable",)
    ]
    clips += [("passer x2 constant", _passing(phase, 2.0), "constant") for phase in (3, 11)]
    clips += [(video.stem, noisy(footage(video)), "variable") for video in (_PEOPLE, _CARS, _STREET, VTEST)]
    for name, pictures, rate in clips:
        clip = encode(pictures, folder / "clip.ts", rate=rate)
        full, thrifty = (
            play(clip, how, Pipeline("bench", "bench", model, Tuning(), uuid7)) for how in ("full", "thrifty")
        )
        left = list(thrifty.told)
        total += len(full.told)
        choices.add(thrifty.choice)
        for began_s, kind, told_s in full.told:
            match = next((one for one in left if one[1] == kind and abs(one[0] - began_s) <= 2.0), None)
            if match is None:
                lost.append((name, kind, round(began_s - 1000, 1)))
            else:
                left.remove(match)
                delays_s.append(match[2] - told_s)
        extra += len(left)
        print(
            f"{name:36} events {len(full.told)} / {len(thrifty.told)}"
            f"  frames {full.frames} / {thrifty.frames}  {thrifty.choice}",
            flush=True,
        )
    ordered = sorted(delays_s) or [0.0]
    p50_s, p99_s = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    print(
        f"events with full decoding {total}; lost {len(lost)} {lost}; more {extra}; choices {sorted(choices)}"
    )
    print(f"told later by: p50 {p50_s:.2f} s, p99 {p99_s:.2f} s, at most {ordered[-1]:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events(Path(folder)) if options.events else costs(Path(folder))


if __name__ == "__main__":
    main()
