"""Does one station carry thousands of sites, and lose nothing on bad days?

Run: python -m tests.bench.fleet [--sites 3000] [--seconds 60] [--days 2] [--json FILE].
Real mosquitto and collector, a TLS connection and a certificate for each site; the boxes are simulated
in this process (`house`). Per cent are of one core; p50 / p99 of the answer from made to acknowledged,
of the heartbeat from sent to received. A compressed day has the rates of a day, not its number of events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.fleet import papers, verdict
from tests.bench.fleet.fleet import HEARTBEAT_S, Fleet
from tests.bench.fleet.house import Ledger
from tests.bench.fleet.program import Phase, Program, written
from tests.station import Station

STATION = "station"
ARRIVE_A_SECOND = 200.0
DESCRIPTORS_BESIDE = 200  # beyond one for each site


@dataclass(frozen=True, slots=True)
class Plan:
    """How large, how long."""

    sites: int
    seconds: float
    days: int
    heartbeat_s: float = HEARTBEAT_S
    peak: float = 20.0
    busy_days: float = 6.0  # times the average


async def run(folder: Path, plan: Plan) -> tuple[list[Phase], Ledger]:
    _allow_descriptors(plan.sites)
    station = Station(folder / STATION, start=False)
    began_s = time.monotonic()
    sites = papers.issue(
        station.folder, [f"nha-{number:04d}" for number in range(plan.sites)], folder / "papers"
    )
    print(f"{plan.sites} sites enrolled in {time.monotonic() - began_s:.0f} s", flush=True)
    station.start()
    with station:
        async with Fleet(sites, station.broker_port, plan.heartbeat_s) as fleet:
            program = Program(station, fleet)
            await program.arrive(ARRIVE_A_SECOND)
            await program.steady("average", 1.0, plan.seconds)
            await program.steady(f"{plan.peak:g} x average", plan.peak, plan.seconds)
            await program.drain()
            if plan.days:
                await program.days(plan.days, plan.seconds, plan.busy_days)
            await program.storm()
            await program.drain()
            print(f"sent again {fleet.ledger.sent_again}, events seen {fleet.seen}", flush=True)
    return program.phases, fleet.ledger


def _allow_descriptors(sites: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sites + DESCRIPTORS_BESIDE
    if most != resource.RLIM_INFINITY and most < wanted:
        raise SystemExit(f"{wanted} open files are needed, {most} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        phases, ledger = asyncio.run(run(Path(folder), Plan(asked.sites, asked.seconds, asked.days)))
        found = verdict.of(Path(folder) / STATION, ledger)
    print(found, "clean" if found.is_clean else "NOT CLEAN")
    if asked.json:
        asked.json.write_text(json.dumps({"phases": written(phases), "verdict": asdict(found)}, indent=2))
    raise SystemExit(not found.is_clean)


if __name__ == "__main__":
    main()
