"""How is an ONNX file run? With ONNX Runtime on the processor: 0.1 s to start, about 90 MB, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.detectors.decode import Floats
from agent.detectors.manifest import Manifest
from agent.detectors.tensor_detector import ModelUnfit, TensorDetector
from shared.errors import ExtraMissing
from shared.messages import Kind

LIBRARY, EXTRA = "onnxruntime", "agent"
_FATAL_ONLY = 4  # ONNX Runtime's own lines on stderr would fall between ours in the journal


def runs(manifest: Manifest) -> bool:
    return manifest.file.endswith(".onnx")


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
    options.enable_cpu_mem_arena = True  # all looks need the same; without it each has 4,000 page faults
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
) -> TensorDetector:
    """Load the model of this folder, after its bytes were compared with the manifest."""
    session = open_session(manifest.checked_bytes(folder), threads, name=manifest.name)
    takes = session.get_inputs()[0]
    if takes.shape != [1, 3, manifest.height, manifest.width]:
        raise ModelUnfit(name=manifest.name, reason=f"input {takes.shape}, manifest {manifest.size}")

    def infer(tensor: Floats) -> Sequence[Floats]:
        found: Sequence[Floats] = session.run(None, {takes.name: tensor})
        return found

    return TensorDetector(manifest, "onnxruntime", infer, thresholds)
