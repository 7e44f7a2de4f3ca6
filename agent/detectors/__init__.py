"""Which engine runs which model? The door: a home folder and settings in, a `Detector` out.

An engine is one file, `engine_<name>.py`; it is found by its name, nothing else lists it, and it imports
its library only when opened. It has: `LIBRARY` (the module it needs), `EXTRA` (what to install for it),
`runs(manifest)` (can it read such a file?) and `open_detector(manifest, folder, threads, thresholds)`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from agent.detectors import known
from agent.detectors.manifest import FILE_NAME, Manifest
from agent.detectors.tensor_detector import ModelUnfit
from agent.engines import AUTO, PREFIX, engines
from agent.settings import AgentSettings, packaged_models
from agent.vision.detect import Detector
from shared.disk import write_atomically
from shared.errors import NeedsFixing
from shared.messages import Kind

# The model's name, and on a second line the engine where one was chosen. Text survives being copied
_IN_FORCE = "in-force"


class Engine(Protocol):
    """What an engine's file has."""

    LIBRARY: str
    EXTRA: str

    def runs(self, manifest: Manifest) -> bool: ...

    def open_detector(
        self, manifest: Manifest, folder: Path, threads: int, thresholds: Mapping[Kind, float]
    ) -> Detector: ...


class ModelMissing(NeedsFixing):
    """No model is in force."""

    key = "model-missing"


class ModelUnknown(NeedsFixing):
    """A model is named that is not there."""

    key = "model-unknown"


class EngineUnknown(NeedsFixing):
    """A manifest or setting names an engine we have no file for."""

    key = "engine-unknown"


def models_folder(home: Path) -> Path:
    return home / "models"


def installed(home: Path) -> list[Manifest]:
    """Return the manifests of all models of this box and of the package, by name."""
    found = {
        path.parent.name: path.parent for shelf in _shelves(home) for path in shelf.glob(f"*/{FILE_NAME}")
    }
    return [Manifest.load(found[name]) for name in sorted(found)]


def folder_in_force(home: Path, settings: AgentSettings) -> Path:
    """Return the folder of the model to run: the setting's, else the one `agent model use` chose.

    Raises ModelMissing when nothing was chosen, ModelUnknown when what was chosen is not there.
    """
    chosen = settings.model or _chosen(home)[0]
    if not chosen:
        raise ModelMissing(home=home)
    return folder_of(home, chosen)


def folder_of(home: Path, name: str) -> Path:
    """Return the folder of a model that is here: the box's own before the package's. Raises ModelUnknown."""
    found = _found(home, name)
    if found is None:
        raise ModelUnknown(name=name, folder=models_folder(home))
    return found


def _shelves(home: Path) -> tuple[Path, Path]:
    """Where models lie; what stands on the later one goes before: the box's own."""
    return packaged_models(), models_folder(home)


def _found(home: Path, name: str) -> Path | None:
    if Path(name).name != name:
        return None
    own_first = (shelf / name for shelf in reversed(_shelves(home)))
    return next((folder for folder in own_first if (folder / FILE_NAME).is_file()), None)


def _chosen(home: Path) -> tuple[str, str]:
    """Return the model and the engine that were put in force, "" where none was.

    The package's own choice holds where nobody chose here, or what was chosen is gone: another version
    of the package may bring another model, and a box must not stop looking for that.
    """
    packaged, own = (_mark(shelf) for shelf in _shelves(home))
    return own if own[0] and (not packaged[0] or _found(home, own[0])) else packaged


def _mark(shelf: Path) -> tuple[str, str]:
    mark = shelf / _IN_FORCE
    lines = mark.read_text(encoding="utf-8").split() if mark.is_file() else []
    return lines[0] if lines else "", lines[1] if len(lines) > 1 else ""


def put_in_force(home: Path, name: str, engine: str = "") -> Manifest:
    """Make this the model to run, with this engine or its manifest's. Raises ModelUnknown, ModelChanged."""
    folder = folder_of(home, name)
    manifest = Manifest.load(folder)
    manifest.checked_bytes(folder)
    manifest.checked_weights(folder)
    models_folder(home).mkdir(parents=True, exist_ok=True)  # the package's may be the only one
    write_atomically(models_folder(home) / _IN_FORCE, f"{name}\n{engine}".strip().encode() + b"\n")
    return manifest


def model_in_force(home: Path, settings: AgentSettings) -> Manifest:
    """Return the manifest of the model to run, its engine the one in force, without opening it."""
    manifest = Manifest.load(folder_in_force(home, settings))
    return manifest.model_copy(update={"engine": engine_in_force(home, settings, manifest)})


def open_detector(home: Path, settings: AgentSettings) -> Detector:
    """Open the model in force with the engine in force. Raises NeedsFixing with what to do."""
    folder, manifest = folder_in_force(home, settings), model_in_force(home, settings)
    return _open(manifest, folder, engine=manifest.engine, threads=settings.detector_threads)


def engine_in_force(home: Path, settings: AgentSettings, manifest: Manifest) -> str:
    """Return the setting's engine, else the one chosen together with this model, else the manifest's."""
    if settings.engine != AUTO:
        return settings.engine
    model, engine = _chosen(home)
    return engine if engine and model == manifest.name else manifest.engine


def open_model(
    path: Path, threads: int = 1, *, engine: str = "", thresholds: Mapping[Kind, float] | None = None
) -> Detector:
    """Open a model folder, or a file whose hash is in the table of known models.

    `thresholds` replaces the manifest's: a benchmark wants to see the doubtful ones as well.
    """
    if path.is_dir():
        manifest, folder = Manifest.load(path), path
    else:
        manifest, folder = known.manifest_of(path), path.parent
    return _open(manifest, folder, engine=engine or manifest.engine, threads=threads, thresholds=thresholds)


def _open(
    manifest: Manifest,
    folder: Path,
    *,
    engine: str,
    threads: int,
    thresholds: Mapping[Kind, float] | None = None,
) -> Detector:
    found = engine_file(engine)
    if not found.runs(manifest):
        raise ModelUnfit(name=manifest.name, reason=f"{engine} does not read {manifest.file}")
    return found.open_detector(manifest, folder, threads, thresholds or manifest.thresholds)


def engine_file(name: str) -> Engine:
    """Import an engine's file, not yet its library. Raises EngineUnknown with the names there are."""
    if name not in engines():
        raise EngineUnknown(engine=name, engines=", ".join(engines()))
    return cast(Engine, importlib.import_module(f"{__name__}.{PREFIX}{name}"))


def is_installed(engine: Engine) -> bool:
    """Is the library here that this engine needs? Looked up, not imported."""
    return importlib.util.find_spec(engine.LIBRARY) is not None
