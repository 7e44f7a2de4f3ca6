"""Units that run for years are shut in, watched and bounded; systemd itself judges how much."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from agent.cameras.credentials import HANDED
from collector.intake.foundation import AUTHORITY_KEY
from shared.credentials import PREFIX
from tests.conftest import REPOSITORY

SERVICES = sorted((REPOSITORY / "systemd").glob("*.service"))
LONG_RUNNING = [unit for unit in SERVICES if "updater" not in unit.name]


def settings(unit: Path) -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_unit_is_exposed_no_more_than_2_of_10(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian's systemd)")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert found, judged.stdout + judged.stderr
    assert float(found[1]) <= 2.0


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_unit_has_bounds_and_comes_back(unit: Path) -> None:
    service = settings(unit)["Service"]
    assert {"MemoryMax", "TasksMax"} <= service.keys()
    assert service["Restart"] in {"always", "on-failure"}
    assert settings(unit)["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("unit", LONG_RUNNING, ids=lambda unit: unit.stem)
def test_no_service_that_hears_a_network_is_root(unit: Path) -> None:
    assert settings(unit)["Service"]["User"] in {"anninh-agent", "anninh-collector"}


def test_root_alone_hears_no_network() -> None:
    service = settings(REPOSITORY / "systemd" / "anninh-agent-updater.service")["Service"]
    assert service["PrivateNetwork"] == "yes"


def test_the_pages_cannot_read_what_makes_sites() -> None:
    console = (REPOSITORY / "systemd" / "anninh-console.service").read_text()
    hidden = {Path(path).name for path in re.findall(r"^InaccessiblePaths=-(\S+)", console, re.MULTILINE)}
    assert {"ca", "collector.key", "anninh-collector.service"} <= hidden


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_unit_starts_without_the_secrets_it_may_be_handed(unit: Path) -> None:
    """systemd passes over one that is in no store only where no path is given (systemd.exec, since 251)."""
    loaded = re.findall(r"^LoadCredential=(\S+)$", unit.read_text(), re.MULTILINE)
    assert not [name for name in loaded if ":" in name]
    expected = {
        "anninh-agent": [PREFIX + HANDED],
        "anninh-collector": [PREFIX + "alarms", PREFIX + AUTHORITY_KEY],
    }
    assert loaded == expected.get(unit.stem, [])
