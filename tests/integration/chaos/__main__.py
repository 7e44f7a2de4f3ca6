"""Does anything get lost? `python -m tests.integration.chaos --seeds 10 [--seconds 45] [--first 1]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.chaos.faults import Hand, drawn
from tests.integration.chaos.judge import Judge, Verdict
from tests.integration.chaos.ledger import Ledger
from tests.integration.chaos.street import Street

_COLUMNS = (
    "seed", "made", "stored", "lost", "twice", "gaps made", "gaps told", "agent",
    "broker", "collector", "cuts",
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What one seed came to."""

    verdict: Verdict = field(default_factory=Verdict)
    kills: tuple[int, int, int] = (0, 0, 0)
    cuts: int = 0

    def row(self, name: object) -> str:
        v = self.verdict
        cells = name, v.made, v.stored, v.lost, v.twice, v.gaps_made, v.gaps_reported, *self.kills, self.cuts
        return "  ".join(f"{cell:>9}" for cell in cells)

    def add(self, other: Outcome) -> None:
        self.verdict.add(other.verdict)
        a, b = self.kills, other.kills
        self.kills, self.cuts = (a[0] + b[0], a[1] + b[1], a[2] + b[2]), self.cuts + other.cuts


def one_seed(seed: int, seconds: float, folder: Path, *, rate: float = 8.0) -> Outcome:
    """Make a street, let the seed's faults loose on it, let it drain, and judge."""
    outcome = Outcome()
    houses = 2 + seed % 2
    with Street(folder, houses, rate) as street:
        street.wait_until_all_speak()
        hand = Hand(street)
        hand.run(drawn(seed, seconds, houses, can_fill=street.station_disk.can_fill), seconds)
        if not street.drain():
            outcome.verdict.breaches.append("did not drain")
        agents = sum(house.agent.kills for house in street.houses)
        outcome.kills = agents, hand.done["broker killed"], street.collector.kills
        if not all(outcome.kills):
            outcome.verdict.breaches.append("not everybody was killed: proves nothing")
        outcome.cuts = sum(house.relay.cuts for house in street.houses)
        with closing(street.archive()) as archive:
            judge = Judge(archive, street.station.folder / "thumbnails")
            for house in street.houses:
                outcome.verdict.add(judge.of(house.site, Ledger.read(house.ledger)))
    return outcome


@contextmanager
def _folder(seed: int, *, keep: bool) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix=f"chaos-{seed}-")
    yield folder
    if keep:
        print(f"  {folder}")
    else:
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--keep", action="store_true", help="leave ledgers and logs behind")
    parser.add_argument("--beside", type=int, default=1, help="seeds at a time")
    asked = parser.parse_args()
    total = Outcome()
    print("  ".join(f"{name:>9}" for name in _COLUMNS), flush=True)

    def one(seed: int) -> tuple[int, Outcome]:
        with _folder(seed, keep=asked.keep) as folder:
            return seed, one_seed(seed, asked.seconds, Path(folder))

    with ThreadPoolExecutor(asked.beside) as streets:
        for seed, outcome in streets.map(one, range(asked.first, asked.first + asked.seeds)):
            print(outcome.row(seed), flush=True)
            for breach in outcome.verdict.breaches:
                print(f"! {breach}", flush=True)
            total.add(outcome)
    print(total.row("total"))
    print("gaps by reason:", dict(total.verdict.reasons))
    return 1 if total.verdict.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
