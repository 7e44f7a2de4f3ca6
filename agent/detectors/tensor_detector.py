"""How does an engine that only multiplies become a `Detector`? Everything before and after `infer`.

An engine file brings a function from the input tensor to the output tensors; laying the picture in,
reading the numbers, limits and names are the same for all of them, and so are their boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from agent.detectors import decode
from agent.detectors.decode import Floats
from agent.detectors.manifest import Manifest
from agent.vision.detect import Detection
from agent.vision.frame import Image
from shared.errors import NeedsFixing
from shared.messages import Kind

Infer = Callable[[Floats], Sequence[Floats]]

_CHANNELS = {  # output with the classes: its rank, the axis of the classes, other numbers on that axis
    "yolo": (3, 1, 4),
    "yolox": (3, 2, 5),
    "centernet": (4, 1, 0),
    "nanodet": (3, 2, 32),
}


class ModelUnfit(NeedsFixing):
    """The file does not speak as its manifest says, or is no model at all."""

    key = "model-unfit"


class TensorDetector:
    """One model in memory. Owned by the vision thread; not shared."""

    def __init__(
        self, manifest: Manifest, engine: str, infer: Infer, thresholds: Mapping[Kind, float]
    ) -> None:
        """Run once: the first run allocates, and wrong outputs are refused now rather than drawn later."""
        self._manifest = manifest
        self._engine = engine
        self._family = decode.FAMILIES[manifest.family]
        self._limits = decode.limits(manifest.classes, thresholds)
        self._infer = infer
        self._sheet = decode.Sheet.of(manifest.size)
        self._check(infer(np.zeros_like(self._sheet.planes)))

    @property
    def name(self) -> str:
        return f"{self._manifest.name} ({self._engine})"

    def detect(self, image: Image) -> list[Detection]:
        if image.size == 0:
            return []
        manifest, family = self._manifest, self._family
        placement = decode.place(image, self._sheet.canvas, family.layout)
        numbers = self._infer(decode.tensor(self._sheet, family))
        found = family.decode(numbers, manifest.size, self._limits)
        return decode.detections(found, placement, manifest.classes)

    def _check(self, outputs: Sequence[Floats]) -> None:
        manifest = self._manifest
        rank, axis, others = _CHANNELS[manifest.family]
        shape = outputs[0].shape
        if len(shape) != rank or shape[axis] != others + len(manifest.classes):
            raise ModelUnfit(
                name=manifest.name,
                reason=f"{manifest.size} → {list(shape)}, family {manifest.family}",
            )
