"""`agent model`: which model looks for people and vehicles, where it comes from, how good it is."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agent.detectors import ModelMissing, folder_in_force, installed, models_folder, put_in_force
from agent.detectors.manifest import Manifest
from agent.settings import AgentSettings, home
from shared.errors import NeedsFixing
from shared.terminal import out, say
from shared.texts import both, text

app = typer.Typer(help=both("help.agent.model"), no_args_is_help=True)


class ModelFileMissing(NeedsFixing):
    """`--from file` without the file."""

    key = "model-file-missing"


class Source(StrEnum):
    """Where `prepare` gets a model."""

    AUTO = "auto"
    ULTRALYTICS = "ultralytics"
    NPM = "npm"
    FILE = "file"


@app.command(help=both("help.agent.model-prepare"))
def prepare(  # noqa: PLR0913 -- one per option a person may give
    *,
    model: Annotated[Path | None, typer.Option(help=both("help.agent.model-file"))] = None,
    size: Annotated[int, typer.Option(min=160, max=1280, help=both("help.agent.model-size"))] = 416,
    source: Annotated[Source, typer.Option("--from", help=both("help.agent.model-from"))] = Source.AUTO,
    calibrate: Annotated[Path | None, typer.Option(help=both("help.agent.model-calibrate"))] = None,
    licence: Annotated[str, typer.Option(help=both("help.agent.model-licence"))] = "",
    threshold: Annotated[
        float | None, typer.Option(min=0.05, max=0.95, help=both("help.agent.model-threshold"))
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=both("help.agent.model-force"))] = False,
) -> None:
    from agent.detectors import prepare as work

    if source is Source.FILE and model is None:
        raise ModelFileMissing
    workshop = work.Workshop(home(), say, force)
    if model is not None:
        manifest = work.from_file(workshop, model, work.Described(licence, threshold), calibrate)
    elif source is Source.ULTRALYTICS:
        manifest = work.from_ultralytics(workshop, size, calibrate)
    elif source is Source.NPM:
        manifest = work.from_npm(workshop)
    else:
        manifest = work.automatic(workshop, size, calibrate)
    _put_in_force(manifest)


@app.command(name="list", help=both("help.agent.model-list"))
def list_models(
    *, as_json: Annotated[bool, typer.Option("--json", help=both("help.agent.model-json"))] = False
) -> None:
    manifests = installed(home())
    in_force = _name_in_force()
    if as_json:
        rows = [{**one.model_dump(mode="json"), "in_force": one.name == in_force} for one in manifests]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not manifests:
        say("model.none", folder=models_folder(home()))
        return
    table = Table("", "model", "px", "", "AP50", "mAP50", "licence", box=None)
    for one in manifests:
        good = (
            (f"{one.accuracy.person_ap50:.3f}", f"{one.accuracy.map50:.3f}") if one.accuracy else ("?", "?")
        )
        mark = "→" if one.name == in_force else ""
        table.add_row(mark, one.name, str(one.width), one.precision, *good, one.licence)
    out.print(table)


@app.command(help=both("help.agent.model-use"))
def use(name: Annotated[str, typer.Argument(help=both("help.agent.model-name"))]) -> None:
    _put_in_force(put_in_force(home(), name))


@app.command(help=both("help.agent.model-ncnn"))
def ncnn(name: Annotated[str, typer.Argument(help=both("help.agent.model-name"))]) -> None:
    from agent.detectors import prepare as work

    made = work.to_ncnn(work.Workshop(home(), say), name)
    say("model.made-ncnn", name=made.name)


def _put_in_force(manifest: Manifest) -> None:
    put_in_force(home(), manifest.name)
    setting = AgentSettings.load(home() / "agent.toml").model
    if setting and setting != manifest.name:
        say("model.overruled", setting=setting, name=manifest.name)
        return
    say("model.ready", name=manifest.name, licence=manifest.licence, quality=quality(manifest))


def quality(manifest: Manifest) -> str:
    """Return in one sentence how good a model is, for `model prepare` and `doctor`."""
    measured = manifest.accuracy
    if measured is None:
        return text("model.not-measured")
    return text(
        "model.quality",
        recall=round(100 * measured.person_recall),
        precision=round(100 * measured.person_precision),
        ap50=f"{measured.person_ap50:.2f}",
        data_set=measured.data_set,
    )


def _name_in_force() -> str:
    try:
        return folder_in_force(home(), AgentSettings.load(home() / "agent.toml")).name
    except ModelMissing:
        return ""
