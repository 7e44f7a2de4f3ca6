"""Does the simulated fleet still work, in small? The figures are `python -m tests.bench.fleet`'s."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from tests.bench.fleet import verdict
from tests.bench.fleet.__main__ import STATION, Plan, run


def test_twenty_boxes_lose_nothing_when_the_broker_dies_under_them(tmp_path: Path) -> None:
    plan = Plan(sites=20, seconds=2.0, days=0, heartbeat_s=2.0, peak=100.0)
    phases, ledger = asyncio.run(run(tmp_path, plan))
    found = verdict.of(tmp_path / STATION, ledger)
    assert found.is_clean
    assert found.made > 20
    storm = next(phase for phase in phases if "storm" in phase.name)
    assert storm.sites == plan.sites
    with sqlite3.connect(tmp_path / STATION / "archive.db") as archive:
        archive.execute("DELETE FROM messages WHERE id = (SELECT max(id) FROM messages)")
    archive.close()
    assert verdict.of(tmp_path / STATION, ledger).lost == 1
