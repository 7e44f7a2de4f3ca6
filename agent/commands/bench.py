"""`agent bench`: what can this box do? Each model with each engine, measured here, and which one to run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.table import Table

from agent.cameras import register
from agent.detectors import engine_file, folder_of, installed, is_installed, put_in_force
from agent.detectors.manifest import Manifest
from agent.detectors.measure import TierFailed, measured
from agent.detectors.processor import is_exact
from agent.detectors.tiers import (
    ALWAYS,
    MOVING,
    Box,
    CameraCost,
    Choice,
    Tier,
    cameras,
    choose,
    objection,
    worst_loss,
)
from agent.engines import AUTO, engines
from agent.settings import AgentSettings, home
from agent.stream_cost import camera_cost
from shared.errors import NeedsFixing
from shared.terminal import out, say
from shared.texts import both, text

_FRAMES, _QUICK_FRAMES = 40, 10
_MB = 1_000_000


class NothingOffered(NeedsFixing):
    """`--use` where no tier is offered."""

    key = "nothing-offered"


@dataclass(frozen=True, slots=True)
class _Result:
    """All that was measured."""

    box: Box
    cost: CameraCost
    wanted: int
    tiers: list[Tier]
    not_here: dict[str, str]  # engine: why it was not measured
    choice: Choice


def bench(
    *,
    as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.json"))] = False,
    quick: Annotated[bool, typer.Option("--quick", help=both("help.agent.bench-quick"))] = False,
    wanted: Annotated[
        int | None, typer.Option("--cameras", min=1, max=256, help=both("help.agent.bench-cameras"))
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=16, help=both("help.agent.bench-threads"))] = None,
    clip: Annotated[Path | None, typer.Option(help=both("help.agent.bench-clip"))] = None,
    use: Annotated[bool, typer.Option("--use", help=both("help.agent.bench-use"))] = False,
) -> None:
    folder = home()
    settings = AgentSettings.load(folder / "agent.toml")
    box = Box(
        cores=len(os.sched_getaffinity(0)),
        free_mb=psutil.virtual_memory().available / _MB,
        threads=threads or settings.detector_threads,
        fps=settings.detect_fps,
        is_exact=is_exact(),
    )
    cost = camera_cost(clip, box.fps)
    not_here: dict[str, str] = {}
    tiers = list(_measure(folder, box, _QUICK_FRAMES if quick else _FRAMES, not_here))
    wanted = wanted or len(register.load(folder)) or 1
    result = _Result(box, cost, wanted, tiers, not_here, choose(tiers, wanted, cost, box))
    if as_json:
        typer.echo(json.dumps(_as_json(result), indent=2))
    else:
        _show(result)
    if use:
        _put_in_force(folder, settings, result.choice.tier, quiet=as_json)


def _measure(folder: Path, box: Box, frames: int, not_here: dict[str, str]) -> Iterator[Tier]:
    """Every model here with every engine here that reads it; what is not measured goes to `not_here`."""
    models = installed(folder)
    for name in engines():
        engine = engine_file(name)
        if not is_installed(engine):
            not_here[name] = text("bench.not-installed", extra=engine.EXTRA)
            continue
        readable = [manifest for manifest in models if engine.runs(manifest)]
        if not readable:
            not_here[name] = text("bench.no-model", engine=name)
        for manifest in readable:
            try:
                speed = measured(folder_of(folder, manifest.name), name, box.threads, frames)
            except TierFailed as error:
                not_here[f"{manifest.name} ({name})"] = error.what()
                continue
            yield Tier(manifest, name, speed)


def _show(result: _Result) -> None:
    box, cost = result.box, result.cost
    say("bench.box", cores=box.cores, free_mb=round(box.free_mb), threads=box.threads)
    if not box.is_exact:
        say("bench.inexact")
    say("bench.camera", decode=f"{cost.decode_ms_per_s:.1f}", gate=f"{cost.gate_ms:.2f}", fps=f"{box.fps:g}")
    table = Table("", box=None)
    for column in ("model", "cpu-ms", "wall-ms", "memory", "quality", "fifth", "always", "note"):
        right = column not in {"model", "note"}
        table.add_column(text(f"bench.column.{column}"), justify="right" if right else "left")
    for tier in sorted(result.tiers, key=lambda one: (-one.map50, one.speed.cpu_ms)):
        against = objection(tier, box)
        table.add_row(
            "→" if tier is result.choice.tier else "",
            f"{tier.manifest.name}\n{tier.engine}",
            f"{tier.speed.cpu_ms:.1f}",
            f"{tier.speed.wall_ms:.1f}",
            f"{tier.speed.memory_mb:.0f}",
            _quality(tier.manifest),
            str(cameras(tier, cost, box, MOVING)),
            str(cameras(tier, cost, box, ALWAYS)),
            text(f"bench.objection.{against}", **_worst(tier, box)) if against else "",
        )
    out.print(table)
    for name, why in result.not_here.items():
        out.print(f"  {name}: {why}", markup=False)
    chosen = result.choice.tier
    facts: dict[str, object] = {"wanted": result.wanted}
    if chosen:
        facts |= {
            "name": chosen.manifest.name,
            "engine": chosen.engine,
            "fifth": cameras(chosen, cost, box, MOVING),
            "always": cameras(chosen, cost, box, ALWAYS),
        }
    say(f"bench.choice.{result.choice.reason}", **facts)


def _quality(manifest: Manifest) -> str:
    return f"{manifest.accuracy.map50:.3f}" if manifest.accuracy else "?"


def _worst(tier: Tier, box: Box) -> dict[str, object]:
    kind, loss = worst_loss(tier.manifest, is_exact=box.is_exact) or ("", 0.0)
    return {"kind": kind, "points": f"{100 * loss:.1f}"}


def _as_json(result: _Result) -> dict[str, Any]:
    box, cost, chosen = result.box, result.cost, result.choice.tier
    rows = [
        {
            "model": tier.manifest.name,
            "engine": tier.engine,
            "precision": tier.manifest.precision,
            "width": tier.manifest.width,
            "height": tier.manifest.height,
            **{name: round(value, 2) for name, value in dataclasses.asdict(tier.speed).items()},
            "accuracy": tier.manifest.accuracy and tier.manifest.accuracy.model_dump(mode="json"),
            "cameras_moving_a_fifth": cameras(tier, cost, box, MOVING),
            "cameras_moving_always": cameras(tier, cost, box, ALWAYS),
            "objection": objection(tier, box),
        }
        for tier in result.tiers
    ]
    return {
        "box": {**dataclasses.asdict(box), "free_mb": round(box.free_mb)},
        "camera": {name: round(value, 2) for name, value in dataclasses.asdict(cost).items()},
        "cameras_wanted": result.wanted,
        "tiers": rows,
        "not_measured": sorted(result.not_here),
        "choice": {
            "model": chosen.manifest.name if chosen else None,
            "engine": chosen.engine if chosen else None,
            "reason": result.choice.reason,
        },
    }


def _put_in_force(folder: Path, settings: AgentSettings, chosen: Tier | None, *, quiet: bool) -> None:
    if chosen is None:
        raise NothingOffered
    name = chosen.manifest.name
    put_in_force(folder, name, chosen.engine)
    if quiet:
        return
    if settings.model not in {"", name}:
        say("model.overruled", setting=settings.model, name=name)
    elif settings.engine not in {AUTO, chosen.engine}:
        say("bench.engine-overruled", setting=settings.engine, engine=chosen.engine)
    else:
        say("bench.in-force", name=name, engine=chosen.engine)
