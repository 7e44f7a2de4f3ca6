"""How does OpenVINO run a model? ONNX or its own IR, on the processor; half of ONNX Runtime's time on Intel.

From the extra [openvino]; imported only when opened. It reads our INT8 ONNX files as well as the IR
that Ultralytics exports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.detectors.decode import Floats
from agent.detectors.manifest import Manifest
from agent.detectors.tensor_detector import ModelUnfit, TensorDetector
from shared.errors import ExtraMissing
from shared.messages import Kind

LIBRARY, EXTRA = "openvino", "openvino"


def library() -> Any:
    """Import OpenVINO without its reporting: it would tell an analytics service of every import.

    It asks no consent, and has no setting but a file in the user's home; where the reporting module
    cannot be imported, it takes a stub of its own. Raises ExtraMissing where it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python's way to forbid an import
    try:
        import openvino
    except ImportError as error:
        raise ExtraMissing(extra=EXTRA, module=LIBRARY) from error
    return openvino


def runs(manifest: Manifest) -> bool:
    return manifest.file.endswith((".onnx", ".xml"))


def open_detector(
    manifest: Manifest, folder: Path, threads: int, thresholds: Mapping[Kind, float]
) -> TensorDetector:
    """Compile the model of this folder, after its bytes were compared with the manifest."""
    model, weights = manifest.checked_bytes(folder), manifest.checked_weights(folder)
    openvino = library()
    options = {
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # not bfloat16 where the chip has it: what was measured holds
        "ENABLE_CPU_PINNING": "NO",  # decoding wants that core as well
    }
    try:
        core = openvino.Core()
        read = core.read_model(model=model, weights=weights) if weights else core.read_model(model=model)
        compiled = core.compile_model(read, "CPU", options)
        takes = list(compiled.input(0).shape)
    except RuntimeError as error:
        raise ModelUnfit(name=manifest.name, reason=_reason(error)) from error
    if takes != [1, 3, manifest.height, manifest.width]:
        raise ModelUnfit(name=manifest.name, reason=f"input {takes}, manifest {manifest.size}")
    return TensorDetector(manifest, "openvino", _Request(compiled.create_infer_request()), thresholds)


class _Request:
    """One request, used again and again: its output tensors are overwritten by the next run."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def __call__(self, tensor: Floats) -> Sequence[Floats]:
        self._request.infer([tensor], share_inputs=True)
        return [np.asarray(one.data, np.float32) for one in self._request.output_tensors]


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip(" .")[:200] if lines else type(error).__name__
