"""How is an ONNX file run? With ONNX Runtime on the processor: 0.1 s to start, about 90 MB, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.detectors import decode
from agent.detectors.manifest import Manifest
from agent.vision.detect import Detection
from agent.vision.frame import Image
from shared.errors import ExtraMissing, NeedsFixing
from shared.messages import Kind

_FATAL_ONLY = 4  # ONNX Runtime's own lines on stderr would fall between ours in the journal
_CHANNELS = {"yolo": (1, 4), "yolox": (2, 5), "centernet": (1, 0)}  # axis of the classes, numbers before them


class ModelUnfit(NeedsFixing):
    """The file does not speak as its manifest says, or is no model at all."""

    key = "model-unfit"


class OnnxDetector:
    """One model in memory. Owned by the vision thread; not shared."""

    def __init__(
        self, manifest: Manifest, model: bytes, threads: int, thresholds: Mapping[Kind, float]
    ) -> None:
        self._manifest = manifest
        self._family = decode.FAMILIES[manifest.family]
        self._limits = decode.limits(manifest.classes, thresholds)
        self._session = open_session(model, threads, name=manifest.name)
        self._input = self._session.get_inputs()[0].name
        self._check()

    @property
    def name(self) -> str:
        return f"{self._manifest.name} (onnxruntime)"

    def detect(self, image: Image) -> list[Detection]:
        if image.size == 0:
            return []
        manifest, family = self._manifest, self._family
        canvas, placement = decode.place(image, manifest.size, family.layout)
        outputs = self._session.run(None, {self._input: decode.tensor(canvas, family)})
        found = family.decode(outputs, manifest.size, self._limits)
        return decode.detections(found, placement, manifest.classes)

    def _check(self) -> None:
        """Refuse now what would give wrong boxes later: another input size, another number of classes."""
        manifest = self._manifest
        takes = self._session.get_inputs()[0].shape
        axis, before = _CHANNELS[manifest.family]
        gives = self._session.get_outputs()[0].shape
        if takes != [1, 3, manifest.height, manifest.width] or gives[axis] != before + len(manifest.classes):
            raise ModelUnfit(name=manifest.name, reason=f"{takes} → {gives}, family {manifest.family}")


def open_session(model: bytes, threads: int, *, name: str) -> Any:
    """Open an ONNX model on the processor. Raises ModelUnfit with ONNX Runtime's reason."""
    try:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    except ImportError as error:
        raise ExtraMissing(extra="agent", module="onnxruntime") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena keeps its largest moment for ever; costs < 1 ms
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # a waiting thread may not burn a core
    refused = (
        states.InvalidProtobuf,
        states.InvalidGraph,
        states.InvalidArgument,
        states.Fail,
        states.NotImplemented,
    )
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except refused as error:
        reason = str(error).splitlines()[0].rpartition(" : ")[2].strip(" .")[:200]
        raise ModelUnfit(name=name, reason=reason) from error


def open_detector(
    manifest: Manifest, folder: Path, threads: int, thresholds: Mapping[Kind, float]
) -> OnnxDetector:
    """Load the model of this folder, after its bytes were compared with the manifest."""
    detector = OnnxDetector(manifest, manifest.checked_bytes(folder), threads, thresholds)
    detector.detect(
        np.zeros((8, 8, 3), np.uint8)
    )  # the first run allocates; better now than at the first person
    return detector
