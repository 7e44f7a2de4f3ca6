"""How does NCNN run a model? A .param and a .bin, made for Arm: on a Pi 5 half of ONNX Runtime's time.

From the extra [ncnn]; imported only when opened. (That ratio is published by Ultralytics and Arm; we
had no Pi. On x86 it is as fast as ONNX Runtime with floats.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.detectors.decode import Floats
from agent.detectors.manifest import Manifest
from agent.detectors.tensor_detector import ModelUnfit, TensorDetector
from shared.errors import ExtraMissing
from shared.messages import Kind

LIBRARY, EXTRA = "ncnn", "ncnn"


def runs(manifest: Manifest) -> bool:
    return manifest.file.endswith(".param")


def open_detector(
    manifest: Manifest, folder: Path, threads: int, thresholds: Mapping[Kind, float]
) -> TensorDetector:
    """Load the two files of this folder, after their bytes were compared with the manifest."""
    param, weights = manifest.checked_bytes(folder), manifest.checked_weights(folder)
    try:
        import ncnn
    except ImportError as error:
        raise ExtraMissing(extra=EXTRA, module=LIBRARY) from error
    if not param.startswith(b"7767517\n") or not weights:  # ncnn would read nonsense without a word
        raise ModelUnfit(name=manifest.name, reason="no NCNN model (.param) with its weights (.bin)")
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.lightmode = True  # lets go of each layer's picture when the next has it
    if net.load_param_mem(param.decode("ascii")) != 0:
        raise ModelUnfit(name=manifest.name, reason="NCNN cannot read it")
    net.load_model_mem(weights)  # says nothing; the first run, in TensorDetector, does
    return TensorDetector(manifest, "ncnn", _Net(ncnn, net, weights), thresholds)


class _Net:
    """A loaded network; the weights stay ours, NCNN only points into them."""

    def __init__(self, ncnn: Any, net: Any, weights: bytes) -> None:
        self._mat, self._net, self._weights = ncnn.Mat, net, weights
        self._input = net.input_names()[0]
        self._outputs = list(net.output_names())

    def __call__(self, tensor: Floats) -> Sequence[Floats]:
        with self._net.create_extractor() as extractor:
            extractor.input(self._input, self._mat(tensor[0]))
            found = [extractor.extract(name)[1] for name in self._outputs]
            return [np.array(one, np.float32)[np.newaxis] for one in found]
