"""Which boxes are to be told of a version now, and how did it go with those told before? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared import waves
from shared.update_manifest import Manifest, UnreadableError, numbers

PATIENCE = timedelta(
    hours=24
)  # 150 MB at 128 kbit/s take three hours; a box may be without power for a night
_WRONG = frozenset({"update-damaged", "update-no-room", "update-refused", "update-returned"})


class NotTold(StrEnum):
    """Why a box is left alone; words are in the catalogue: `shelf.why.<word>`."""

    SILENT = "silent"
    NEWEST = "newest"
    ARCHITECTURE = "architecture"
    WAVE = "wave"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Box:
    """What a box last said of itself."""

    site: str
    version: str
    architecture: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """Of those told: how many run it, did not come back, or have time left."""

    told: int = 0
    proven: int = 0
    failed: int = 0
    waiting: int = 0

    def why_not_wider(self) -> str:
        """Return why nobody else may be told yet, as a code; empty when they may."""
        return waves.may_widen(self.told, self.proven, self.failed, self.waiting) if self.told else ""


def tally(version: str, told: Mapping[str, datetime], boxes: Iterable[Box], now: datetime) -> Tally:
    """`told`: when each site was last told."""
    known = {box.site: box for box in boxes}
    proven = failed = 0
    for site, at in told.items():
        box = known.get(site)
        if box and runs(box, version):
            proven += 1
        elif (box and _WRONG.intersection(box.causes)) or now - at > PATIENCE:
            failed += 1
    return Tally(len(told), proven, failed, len(told) - proven - failed)


def runs(box: Box, version: str) -> bool:
    """Does it run this version, or a newer one?"""
    try:
        return numbers(box.version) >= numbers(version)
    except UnreadableError:
        return False


def refusal(
    site: str, box: Box | None, packages: Mapping[str, Manifest], told_at: datetime | None, now: datetime
) -> NotTold | None:
    """Return why this box is not told of the version in `packages` (by architecture); None when it is."""
    if box is None:
        return NotTold.SILENT
    manifest = packages.get(box.architecture)
    if manifest is None:
        return NotTold.ARCHITECTURE
    if runs(box, manifest.version):
        return NotTold.NEWEST
    if not waves.includes(site, manifest.version, manifest.wave_percent):
        return NotTold.WAVE  # it would refuse: the maker's signature says how many
    return NotTold.WAITING if told_at and now - told_at <= PATIENCE else None
