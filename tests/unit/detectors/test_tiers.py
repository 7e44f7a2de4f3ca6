"""Which tier a box is given, and that an engine is one file."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import agent.detectors
from agent.detectors import engine_file, engines, known
from agent.detectors.manifest import Accuracy, Manifest
from agent.detectors.tiers import (
    ALWAYS,
    MOVING,
    Box,
    CameraCost,
    Objection,
    Reason,
    Speed,
    Tier,
    cameras,
    choose,
    objection,
)
from agent.settings import AgentSettings

COST = CameraCost(decode_ms_per_s=20, gate_ms=1)
BOX = Box(cores=2, free_mb=2000)


def tier(name: str, cpu_ms: float, map50: float | None, **changes: object) -> Tier:
    accuracy = None
    loss, inexact = changes.pop("loss", {}), changes.pop("inexact", {})
    if map50 is not None:
        accuracy = Accuracy(
            data_set="made up",
            person_ap50=map50,
            map50=map50,
            person_recall=0.5,
            person_precision=0.8,
            measured_on=date(2026, 11, 23),
            int8_loss=loss,
            int8_loss_inexact=inexact,
        )
    memory = changes.pop("memory_mb", 100.0)
    manifest = Manifest(
        name=name,
        file="m.onnx",
        sha256="0" * 64,
        licence="MIT",
        source="a test",
        family="yolo",
        precision=changes.pop("precision", "fp32"),
        width=416,
        height=416,
        classes=known.COCO_CLASSES,
        thresholds=known.limits(0.3, 0.3),
        accuracy=accuracy,
    )
    return Tier(manifest, "onnxruntime", Speed(cpu_ms, cpu_ms, memory))


def test_the_most_accurate_that_carries_the_cameras_is_chosen() -> None:
    small, large = tier("small", 10, 0.5), tier("large", 100, 0.7)
    assert choose([small, large], 2, COST, BOX).tier is large
    assert choose([small, large], 12, COST, BOX).tier is small


def test_of_two_as_good_the_cheaper_is_chosen() -> None:
    assert choose([tier("a", 30, 0.600), tier("b", 20, 0.595)], 1, COST, BOX).tier.manifest.name == "b"


def test_where_nothing_carries_the_cameras_that_is_said() -> None:
    choice = choose([tier("a", 300, 0.7), tier("b", 200, 0.5)], 50, COST, BOX)
    assert (choice.reason, choice.tier.manifest.name) == (Reason.TOO_WEAK, "b")


def test_without_anything_nothing_is_chosen() -> None:
    assert choose([], 1, COST, BOX).reason is Reason.NOTHING


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"precision": "int8"}, Objection.NOT_COMPARED),
        ({"precision": "int8", "loss": {"person": 0.005, "car": 0.02}}, Objection.LOSES),
        ({"precision": "int8", "loss": {"person": 0.015}}, None),
        ({"memory_mb": 1500.0}, Objection.MEMORY),
        ({}, None),
    ],
    ids=str,
)
def test_a_tier_is_offered_only_where_it_holds(made: dict[str, object], why: Objection | None) -> None:
    assert objection(tier("a", 10, 0.6, **made), BOX) is why


@pytest.mark.parametrize(
    ("inexact", "why"),
    [({}, Objection.NOT_COMPARED), ({"person": 0.029}, Objection.LOSES), ({"person": 0.003}, None)],
    ids=str,
)
def test_int8_must_hold_on_the_kind_of_processor_it_runs_on(
    inexact: dict[str, float], why: Objection | None
) -> None:
    int8 = tier("a", 10, 0.6, precision="int8", loss={"person": 0.01}, inexact=inexact)
    assert objection(int8, BOX) is None
    assert objection(int8, replace(BOX, is_exact=False)) is why


def test_more_motion_and_fewer_cores_carry_fewer_cameras() -> None:
    one = tier("a", 20, 0.6)
    assert cameras(one, COST, BOX, MOVING) == 30  # the looking thread: 750 / (5 + 20)
    assert cameras(one, COST, BOX, ALWAYS) == 7
    assert cameras(one, COST, Box(cores=1, free_mb=2000), MOVING) == 16  # 750 / (20 + 5 + 20)


def test_an_accelerator_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine_abacus.py").write_text(
        "LIBRARY, EXTRA = 'json', 'abacus'\n"
        "def runs(manifest): return manifest.file.endswith('.onnx')\n"
        "def open_detector(manifest, folder, threads, thresholds): return manifest.name\n"
    )
    with pytest.raises(ValueError, match="onnxruntime"):
        AgentSettings(engine="abacus")
    before = list(agent.detectors.__path__)
    agent.detectors.__path__.append(str(tmp_path))
    try:
        assert "abacus" in engines()
        assert AgentSettings(engine="abacus").engine == "abacus"
        assert engine_file("abacus").runs(tier("a", 1, 0.5).manifest)
    finally:
        agent.detectors.__path__[:] = before


def test_every_engine_says_what_it_needs_and_reads() -> None:
    for name in engines():
        engine = engine_file(name)
        assert engine.LIBRARY
        assert engine.EXTRA
        assert callable(engine.runs)
        assert callable(engine.open_detector)


def offered(name: str, *, is_exact: bool) -> bool:
    model = next(one for one in known.KNOWN.values() if one.name == name)
    manifest = model.manifest("m.onnx", "0" * 64)
    return (
        objection(Tier(manifest, model.engine, Speed(10, 10, 100)), replace(BOX, is_exact=is_exact)) is None
    )


@pytest.mark.parametrize("side", [320, 416, 640])
def test_openvinos_int8_holds_at_every_size_and_on_every_processor(side: int) -> None:
    assert all(offered(f"yolo11n-{side}-int8-openvino", is_exact=exact) for exact in (True, False))


@pytest.mark.parametrize("side", [320, 416, 640])
def test_onnx_runtimes_int8_is_not_offered_where_sums_of_bytes_are_cut_off(side: int) -> None:
    assert not offered(f"yolo11n-{side}-int8", is_exact=False)
