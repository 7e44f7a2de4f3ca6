"""What is a detection, and what is a detector? Engines stand behind this door, in `agent.detectors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.vision.frame import Image
from shared.geometry import Box
from shared.messages import Kind


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in one picture: what, how sure (0..1), where (fractions of that picture)."""

    kind: Kind
    confidence: float
    box: Box


class Detector(Protocol):
    """An engine with a model loaded. Owned by the vision thread; not shared between threads."""

    @property
    def name(self) -> str:
        """Model and engine, for `agent doctor` and the heartbeat: `yolo11n-416-int8 (onnxruntime)`."""
        ...

    def detect(self, image: Image) -> list[Detection]:
        """Find people and vehicles in a picture of any size, most confident first.

        Boxes are fractions of the picture given; a region's boxes must be mapped back by the caller.
        """
        ...
