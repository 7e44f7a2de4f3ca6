"""Which engine runs which model? The door: a home folder and settings in, a `Detector` out.

An engine is one file, `engine_<name>.py`, with `open_detector(manifest, folder, threads, thresholds)`;
it is found by its name, and imports its library only when opened.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from agent.detectors import known
from agent.detectors.manifest import FILE_NAME, Manifest
from agent.settings import AgentSettings
from agent.vision.detect import Detector
from shared.disk import write_atomically
from shared.errors import NeedsFixing
from shared.messages import Kind

_PREFIX = "engine_"
_IN_FORCE = "in-force"  # a line of text with the model's name; survives being copied, unlike a link


class ModelMissing(NeedsFixing):
    """No model is in force."""

    key = "model-missing"


class ModelUnknown(NeedsFixing):
    """A model is named that is not there."""

    key = "model-unknown"


class EngineUnknown(NeedsFixing):
    """A manifest or setting names an engine we have no file for."""

    key = "engine-unknown"


def engines() -> list[str]:
    """Return the names of the engines there is a file for."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))


def models_folder(home: Path) -> Path:
    return home / "models"


def installed(home: Path) -> list[Manifest]:
    """Return the manifests of all models in the home, by name."""
    return [Manifest.load(path.parent) for path in sorted(models_folder(home).glob(f"*/{FILE_NAME}"))]


def folder_in_force(home: Path, settings: AgentSettings) -> Path:
    """Return the folder of the model to run: the setting's, else the one `agent model use` chose.

    Raises ModelMissing when nothing was chosen, ModelUnknown when what was chosen is not there.
    """
    chosen = settings.model
    mark = models_folder(home) / _IN_FORCE
    if not chosen and mark.is_file():
        chosen = mark.read_text(encoding="utf-8").strip()
    if not chosen:
        raise ModelMissing(home=home)
    folder = models_folder(home) / chosen
    if Path(chosen).name != chosen or not (folder / FILE_NAME).is_file():
        raise ModelUnknown(name=chosen, folder=models_folder(home))
    return folder


def put_in_force(home: Path, name: str) -> Manifest:
    """Make this the model to run. Raises ModelUnknown, ModelChanged."""
    folder = models_folder(home) / name
    if Path(name).name != name or not (folder / FILE_NAME).is_file():
        raise ModelUnknown(name=name, folder=models_folder(home))
    manifest = Manifest.load(folder)
    manifest.checked_bytes(folder)
    write_atomically(models_folder(home) / _IN_FORCE, f"{name}\n".encode())
    return manifest


def model_in_force(home: Path, settings: AgentSettings) -> Manifest:
    """Return the manifest of the model to run, without opening it."""
    return Manifest.load(folder_in_force(home, settings))


def open_detector(home: Path, settings: AgentSettings) -> Detector:
    """Open the model in force with the engine in force. Raises NeedsFixing with what to do."""
    folder = folder_in_force(home, settings)
    manifest = Manifest.load(folder)
    engine = manifest.engine if settings.engine == "auto" else settings.engine
    return _open(manifest, folder, engine=engine, threads=settings.detector_threads)


def open_model(
    path: Path, threads: int = 1, *, engine: str = "", thresholds: Mapping[Kind, float] | None = None
) -> Detector:
    """Open a model folder, or an ONNX file whose hash is in the table of known models.

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
    if engine not in engines():
        raise EngineUnknown(engine=engine, engines=", ".join(engines()))
    module = importlib.import_module(f"{__name__}.{_PREFIX}{engine}")
    detector: Detector = module.open_detector(manifest, folder, threads, thresholds or manifest.thresholds)
    return detector
