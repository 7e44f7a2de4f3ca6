"""How does Ultralytics run a model by itself? Its own predict, behind our door; torch comes with it.

For comparison and for boxes with memory to spare (three times the light engine's). Ultralytics is
imported only here and in `ultralytics_export`, and only when asked for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.detectors.decode import MAX_DETECTIONS, SAME_OBJECT
from agent.detectors.manifest import Manifest
from agent.detectors.tensor_detector import ModelUnfit
from agent.vision.detect import Detection
from agent.vision.frame import Image
from shared.errors import ExtraMissing
from shared.geometry import Box
from shared.messages import Kind

LIBRARY, EXTRA = "ultralytics", "yolo"
_scratch: list[tempfile.TemporaryDirectory[str]] = []  # Ultralytics' settings file, for this process only


def library() -> Any:
    """Import Ultralytics with its manners on: it reports nothing home, installs nothing, asks no network.

    Its reporting is decided once, while it is imported, by whether it believes to be online.
    Raises ExtraMissing where it is not installed.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # it would run pip on the box otherwise
    os.environ.setdefault("YOLO_VERBOSE", "false")
    if "YOLO_CONFIG_DIR" not in os.environ:
        _scratch.append(tempfile.TemporaryDirectory(prefix="anninh-ultralytics-"))
        os.environ["YOLO_CONFIG_DIR"] = _scratch[-1].name
    before = os.environ.get("YOLO_OFFLINE")
    os.environ["YOLO_OFFLINE"] = "true"
    try:
        import ultralytics
    except ImportError as error:
        raise ExtraMissing(extra="yolo", module=error.name or "ultralytics") from error
    finally:
        if before is None:
            del os.environ["YOLO_OFFLINE"]
        else:
            os.environ["YOLO_OFFLINE"] = before
    return ultralytics


def runs(manifest: Manifest) -> bool:
    return manifest.family == "yolo" and manifest.file.endswith((".onnx", ".pt"))


class UltralyticsDetector:
    """One Ultralytics model in memory. Owned by the vision thread; not shared."""

    def __init__(self, manifest: Manifest, model: Any, thresholds: Mapping[Kind, float]) -> None:
        self._manifest = manifest
        self._model = model
        self._thresholds = thresholds
        self._classes = [number for number, name in enumerate(manifest.classes) if name in set(Kind)]

    @property
    def name(self) -> str:
        return f"{self._manifest.name} (ultralytics)"

    def detect(self, image: Image) -> list[Detection]:
        if image.size == 0:
            return []
        manifest = self._manifest
        (result,) = self._model.predict(
            image,
            imgsz=(manifest.height, manifest.width),
            conf=min(self._thresholds.values()),
            iou=SAME_OBJECT,
            classes=self._classes,
            max_det=MAX_DETECTIONS,
            rect=False,  # the whole square, as the light engine and the exported file have it
            device="cpu",
            verbose=False,
        )
        found = []
        boxes = result.boxes.cpu().numpy()
        for number, confidence, corners in zip(boxes.cls, boxes.conf, boxes.xyxyn, strict=True):
            kind = Kind(manifest.classes[int(number)])
            if confidence >= self._thresholds[kind]:
                found.append(Detection(kind, float(confidence), Box.from_corners(*map(float, corners))))
        return sorted(found, key=lambda detection: -detection.confidence)


def open_detector(
    manifest: Manifest, folder: Path, threads: int, thresholds: Mapping[Kind, float]
) -> UltralyticsDetector:
    """Let Ultralytics load the model file of this folder, after its bytes were compared with the manifest."""
    if manifest.family != "yolo":
        raise ModelUnfit(name=manifest.name, reason=f"family {manifest.family} is not Ultralytics' own")
    manifest.checked_bytes(folder)
    ultralytics = library()
    import torch

    torch.set_num_threads(threads)
    model = ultralytics.YOLO(str(folder / manifest.file), task="detect")
    return UltralyticsDetector(manifest, model, thresholds)
