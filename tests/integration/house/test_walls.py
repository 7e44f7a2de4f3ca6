"""The walls between the rooms hold: each rule is broken on purpose, and the linter must say so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LINTER = Path(sys.executable).parent / "lint-imports"

BROKEN = [
    ("shared/messages.py", "import agent.settings", "shared knows nobody"),
    ("agent/settings.py", "import collector.settings", "shared knows nobody"),
    ("collector/settings.py", "import agent.settings", "shared knows nobody"),
    ("agent/uplink/outbox.py", "import agent.cameras.rtsp", "agent: cli > commands"),
    ("agent/vision/track.py", "import agent.uplink.outbox", "agent: cli > commands"),
    ("collector/archive/store.py", "import collector.intake.ingest", "collector: cli > commands"),
    ("collector/console/app.py", "import collector.intake.ingest", "collector: cli > commands"),
    ("agent/vision/motion.py", "import time", "the core computes"),
    ("agent/vision/event.py", "import logging", "the core computes"),
    ("collector/intake/ingest.py", "import sqlite3", "the core computes"),
    ("shared/topics.py", "import socket", "the core computes"),
    ("agent/service.py", "import ultralytics", "torch stays out"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("house")
    shutil.copy(REPOSITORY / "pyproject.toml", house)
    for room in ("agent", "collector", "shared"):
        shutil.copytree(REPOSITORY / room, house / room, ignore=shutil.ignore_patterns("__pycache__"))
    return house


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache"], cwd=house, capture_output=True, text=True, check=False, timeout=100
    )


def test_the_walls_stand_as_they_are(copy: Path) -> None:
    assert lint(copy).returncode == 0


@pytest.mark.parametrize(("file", "line", "rule"), BROKEN)
def test_a_rule_broken_on_purpose_is_found(copy: Path, file: str, line: str, rule: str) -> None:
    path = copy / file
    whole = path.read_text(encoding="utf-8")
    try:
        path.write_text(whole + f"\n{line}\n", encoding="utf-8")
        result = lint(copy)
    finally:
        path.write_text(whole, encoding="utf-8")
    broken = [said for said in result.stdout.splitlines() if said.endswith("BROKEN")]
    assert result.returncode != 0
    assert any(said.startswith(rule) for said in broken), result.stdout
