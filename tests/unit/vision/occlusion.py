"""People among opaque things, as a detector sees them: hidden, cut to what shows, shaken, missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.vision.detect import Detection
from agent.vision.track import Track, Tracker
from shared.geometry import Box
from tests.fakes import Actor

ASPECT = 16 / 9
_SHOWS = 0.35  # of an object; with less in view a detector finds nobody


@dataclass(frozen=True, slots=True)
class Noise:
    """What a detector does to the truth."""

    jitter: float = 0.03  # deviation of each edge, in sizes of the box
    misses: float = 0.08  # share of looks
    doubts: float = 0.15  # share of looks in which it is unsure: confidence .2


def visible(box: Box, covers: Sequence[Box]) -> Box | None:
    """What shows of a box behind others: its largest upright strip left or right of each."""
    left, right = box.x, box.right
    for cover in covers:
        if cover.y > box.y + box.h / 2 or cover.bottom < box.bottom - box.h / 4:
            continue  # hides feet or head only
        if cover.x <= left and cover.right >= right:
            return None
        if cover.x < right and cover.right > left:
            before, after = max(cover.x - left, 0.0), max(right - cover.right, 0.0)
            left, right = (left, cover.x) if before >= after else (cover.right, right)
    if right - left < _SHOWS * box.w:
        return None
    return Box.from_corners(left, box.y, right, box.bottom)


def look(
    t: float, actors: Sequence[Actor], pillars: Sequence[Box], noise: Noise, random: np.random.Generator
) -> list[Detection]:
    """Detections at one moment; actors stand in front of each other in the order given."""
    found, before = [], list(pillars)
    for actor in actors:
        box = actor.box(t)
        if box is None:
            continue
        shows = visible(box, before)
        before.append(box)
        if shows is None or random.random() < noise.misses:
            continue
        dx0, dy0, dx1, dy1 = random.normal(0, noise.jitter, 4)
        shaken = Box.from_corners(
            shows.x + dx0 * shows.w,
            shows.y + dy0 * shows.h,
            shows.right + dx1 * shows.w,
            shows.bottom + dy1 * shows.h,
        )
        found.append(Detection(actor.kind, 0.2 if random.random() < noise.doubts else 0.8, shaken))
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which confirmed track each actor was, in order, without repeats."""

    numbers: tuple[tuple[int, ...], ...]

    @property
    def swapped(self) -> bool:
        """Has a track been two people?"""
        sets = [set(numbers) for numbers in self.numbers]
        return any(a & b for i, a in enumerate(sets) for b in sets[i + 1 :])

    @property
    def broken(self) -> int:
        """Tracks too many."""
        return sum(max(len(set(numbers)) - 1, 0) for numbers in self.numbers)


def followed(
    actors: Sequence[Actor],
    *,
    pillars: Sequence[Box] = (),
    seconds: float = 9.0,
    fps: float = 5.0,
    seed: int = 0,
    noise: Noise | None = None,
) -> Outcome:
    """Track them, and tell who was who where each shows wholly."""
    noise, random, tracker = noise or Noise(), np.random.default_rng(seed), Tracker()
    was: list[list[int]] = [[] for _ in actors]
    for number in range(round(seconds * fps)):
        t = number / fps
        tracks = tracker.update(look(t, actors, pillars, noise, random), 1000 + t, ASPECT)
        live = [track for track in tracks.live if tracker.is_confirmed(track) and not track.missed]
        for actor, numbers in zip(actors, was, strict=True):
            mine = _whose(actor, t, actors, live)
            if mine and (not numbers or numbers[-1] != mine.number):
                numbers.append(mine.number)
    return Outcome(tuple(tuple(numbers) for numbers in was))


def _whose(actor: Actor, t: float, actors: Sequence[Actor], live: Sequence[Track]) -> Track | None:
    """The track on this actor, where no other actor is near enough to be meant."""
    box = actor.box(t)
    others = [other.box(t) for other in actors if other is not actor]
    if box is None or any(other and other.overlap(box) > 0 for other in others):
        return None
    best = max(live, key=lambda track: track.box.overlap(box), default=None)
    return best if best and best.box.overlap(box) > 0.5 else None
