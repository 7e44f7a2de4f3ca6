"""Which model with which engine should this box run? Arithmetic on what was measured; measures nothing.

A tier is a model with an engine. Of those whose accuracy is known and holds, the most accurate one
that carries this site's cameras with room to spare is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.detectors.manifest import Manifest

HEADROOM = 0.75  # of the processor at most: publishing, pictures and the system want the rest
MOVING = 0.2  # a street camera has somebody in view a fifth of the time
ALWAYS = 1.0
MEMORY_SHARE = 0.5  # of what is free, at most
LOSS_LIMIT = 0.02  # average precision an INT8 model may lose against its own floats, in any kind
AS_GOOD = 0.02  # of mAP50: 128 labelled pictures cannot tell less; then the cheaper one wins


class Objection(StrEnum):
    """Why a tier is not offered."""

    LOSES = "loses"  # INT8 that lost too much
    NOT_COMPARED = "not-compared"  # INT8 nobody held against its floats
    MEMORY = "memory"


class Reason(StrEnum):
    """Why a tier was picked."""

    CARRIES = "carries"
    TOO_WEAK = "too-weak"  # nothing carries the cameras: the one that carries most
    UNMEASURED = "unmeasured"  # it carries them, but of nothing here the accuracy is known
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Speed:
    """One inference on this box."""

    cpu_ms: float  # median, all threads together
    wall_ms: float  # median
    memory_mb: float  # at its highest, over a bare interpreter


@dataclass(frozen=True, slots=True)
class CameraCost:
    """What one camera costs before any inference, in milliseconds of one core."""

    decode_ms_per_s: float  # per second of its stream
    gate_ms: float  # per frame looked at


@dataclass(frozen=True, slots=True)
class Box:
    """The box, and how it is run."""

    cores: int
    free_mb: float
    threads: int = 1  # of one inference
    fps: float = 5.0  # looked at per camera
    is_exact: bool = True  # multiplies bytes without losing any (`processor`)


@dataclass(frozen=True, slots=True)
class Tier:
    """A model with an engine, as measured here."""

    manifest: Manifest
    engine: str
    speed: Speed

    @property
    def map50(self) -> float:
        return self.manifest.accuracy.map50 if self.manifest.accuracy else 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """`tier` is None where nothing is offered."""

    tier: Tier | None
    reason: Reason


def cameras(tier: Tier, cost: CameraCost, box: Box, moving: float) -> int:
    """Return how many cameras the box carries with somebody moving that share of the time.

    Two limits: all cores together, and the one thread that looks (gate and detector); decoding has
    threads of its own.
    """
    looks = box.fps * moving
    alone = tier.speed.cpu_ms if box.threads == 1 else tier.speed.wall_ms  # wall: others' work counts too
    per_box = cost.decode_ms_per_s + box.fps * cost.gate_ms + looks * tier.speed.cpu_ms
    per_thread = box.fps * cost.gate_ms + looks * alone
    return int(min(box.cores * 1000 * HEADROOM / per_box, 1000 * HEADROOM / per_thread))


def worst_loss(manifest: Manifest, *, is_exact: bool) -> tuple[str, float] | None:
    """Return the kind of which INT8 loses most against its floats on such a box, and how much.

    None: nobody measured it, or the model is no INT8.
    """
    if manifest.accuracy is None:
        return None
    lost = manifest.accuracy.int8_loss if is_exact else manifest.accuracy.int8_loss_inexact
    return max(lost.items(), key=lambda one: one[1], default=None)


def objection(tier: Tier, box: Box) -> Objection | None:
    """Return why a tier is not offered, None where it is."""
    if tier.manifest.precision == "int8":
        worst = worst_loss(tier.manifest, is_exact=box.is_exact)
        if worst is None:
            return Objection.NOT_COMPARED
        if worst[1] >= LOSS_LIMIT:
            return Objection.LOSES
    if tier.speed.memory_mb > box.free_mb * MEMORY_SHARE:
        return Objection.MEMORY
    return None


def choose(tiers: Sequence[Tier], wanted: int, cost: CameraCost, box: Box) -> Choice:
    """Pick the most accurate tier that carries the wanted cameras; the cheapest of those as good."""
    offered = [tier for tier in tiers if objection(tier, box) is None]
    if not offered:
        return Choice(None, Reason.NOTHING)
    able = [tier for tier in offered if cameras(tier, cost, box, MOVING) >= wanted]
    if not able:
        most = max(offered, key=lambda tier: (cameras(tier, cost, box, MOVING), -tier.speed.cpu_ms))
        return Choice(most, Reason.TOO_WEAK)
    measured = [tier for tier in able if tier.manifest.accuracy is not None]
    if not measured:
        return Choice(min(able, key=lambda tier: tier.speed.cpu_ms), Reason.UNMEASURED)
    best = max(tier.map50 for tier in measured)
    as_good = [tier for tier in measured if best - tier.map50 < AS_GOOD]
    return Choice(min(as_good, key=lambda tier: tier.speed.cpu_ms), Reason.CARRIES)
