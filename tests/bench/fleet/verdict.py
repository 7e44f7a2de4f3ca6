"""Was anything lost, or kept twice? What all boxes made, against what the archive holds."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from collector.archive.folder import StationFolder
from collector.archive.gaps import Gaps
from collector.archive.media import ThumbnailPacks
from tests.bench.fleet.house import Ledger


@dataclass(frozen=True, slots=True)
class Verdict:
    """All but `made` must be 0."""

    made: int
    lost: int
    changed: int  # other bytes kept than were made
    stranger: int  # kept, and never made
    pictures_twice: int  # the same picture a second time in a pack
    pictures_missing: int
    missing_numbers: int
    refused: int

    @property
    def is_clean(self) -> bool:
        return not any(
            (self.lost, self.changed, self.stranger, self.pictures_twice, self.pictures_missing,
             self.missing_numbers, self.refused)
        )  # fmt: skip


def of(station: Path, ledger: Ledger) -> Verdict:
    folder = StationFolder(station)
    kept: set[bytes] = set()
    changed = 0
    with closing(sqlite3.connect(f"file:{folder.archive_database}?mode=ro", uri=True)) as archive:
        for given, body in archive.execute("SELECT id, body FROM messages WHERE channel IN ('ev', 'thumb')"):
            kept.add(given)
            if given in ledger.bodies and given not in ledger.pictures:
                changed += hashlib.sha256(body).digest() != ledger.bodies[given]
        noted = Counter(digest for (digest,) in archive.execute("SELECT sha256 FROM thumbnails"))
        (refused,) = archive.execute("SELECT coalesce(sum(count), 0) FROM refusals").fetchone()
        missing = sum(hole.messages for hole in Gaps(archive).of())
    wanted = Counter(ledger.bodies[given].hex() for given in ledger.pictures)
    made = ledger.bodies.keys()
    return Verdict(
        len(made), len(made - kept), changed, len(kept - made), _in_packs(folder) - noted.total(),
        (wanted - noted).total(), missing, int(refused) + len(ledger.refused),
    )  # fmt: skip


def _in_packs(folder: StationFolder) -> int:
    packs = ThumbnailPacks(folder.thumbnails)
    return sum(1 for path in folder.thumbnails.glob("*.pack") for _ in packs.walk(path.name))
