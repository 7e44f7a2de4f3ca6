"""What a box reads of itself: its power, its flash memory, its memory's growth."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.health import KNOWN
from agent.uplink.heartbeat import Growth, Power, Vitals, disk_worn, power


@pytest.mark.parametrize(
    ("bits", "read"),
    [
        ("0\n", Power(undervoltage=False, undervoltage_seen=False, throttled=False)),
        ("50005\n", Power(undervoltage=True, undervoltage_seen=True, throttled=True)),
        ("50000\n", Power(undervoltage=False, undervoltage_seen=True, throttled=False)),
        ("rubbish", Power()),
        (None, Power()),
    ],
)
def test_the_firmwares_bits_become_words(tmp_path: Path, bits: str | None, read: Power) -> None:
    folder = tmp_path / "devices/platform/soc/soc:firmware"
    folder.mkdir(parents=True)
    if bits is not None:
        (folder / "get_throttled").write_text(bits)
    assert power(tmp_path) == read


@pytest.mark.parametrize(
    ("steps", "worn"), [("0x01 0x09", 0.9), ("0x0b 0x01", 1.0), ("0x00 0x00", None), ("", None)]
)
def test_the_worse_half_of_a_flash_memory_counts(tmp_path: Path, steps: str, worn: float | None) -> None:
    folder = tmp_path / "block/mmcblk0/device"
    folder.mkdir(parents=True)
    (folder / "life_time").write_text(steps)
    assert disk_worn(tmp_path) == worn


def test_growth_is_told_once_the_program_has_settled() -> None:
    growth = Growth(0)
    assert [growth.add(100 + hour * 12, hour * 3600) for hour in (0, 0.25, 1, 2, 5)] == [
        None,
        None,
        None,
        12.0,
        12.0,
    ]


def test_each_cause_is_a_known_problem_and_a_well_box_has_none() -> None:
    sick = Vitals(90, 300, 100, 85, Power(undervoltage=True, undervoltage_seen=True, throttled=True), 0.9)
    assert sick.causes(7.0)[0] == "power-weak"
    assert len(sick.causes(7.0)) == 6
    assert set(sick.causes(7.0)) <= set(KNOWN)
    assert Vitals(90, 300, 5000, 55).causes(None) == ()
