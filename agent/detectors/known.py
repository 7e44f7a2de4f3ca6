"""Which model files have we met before? By SHA-256: what they are, whose, and what was measured.

Measured with `python -m tests.bench.detectors.accuracy FILE`: COCO val2017, first 128 pictures (350
persons, 55 vehicles: the vehicle thresholds are rough). The thresholds are where F1 is best, not
under 0.2, so that the tracker that confirms over several frames sees the object early.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.detectors.manifest import Accuracy, Manifest
from shared.errors import FileUnreadable, NeedsFixing
from shared.messages import Kind

COCO_CLASSES: tuple[str, ...] = tuple(
    """person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,
parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,
suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,
tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,
hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,
cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,
toothbrush""".replace("\n", "").split(",")
)


class ModelNotKnown(NeedsFixing):
    """A bare file that nobody described."""

    key = "model-not-known"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One file we measured."""

    name: str
    family: Literal["yolo", "yolox", "centernet"]
    precision: Literal["fp32", "int8"]
    side: int  # input width and height in pixels
    licence: str
    source: str
    thresholds: dict[Kind, float]
    accuracy: Accuracy | None = None

    def manifest(self, file: str, sha256: str) -> Manifest:
        return Manifest(
            name=self.name,
            file=file,
            sha256=sha256,
            licence=self.licence,
            source=self.source,
            family=self.family,
            precision=self.precision,
            width=self.side,
            height=self.side,
            classes=COCO_CLASSES,
            thresholds=self.thresholds,
            accuracy=self.accuracy,
        )


_AGPL = "AGPL-3.0"
_YOLO11N = "YOLO11n by Ultralytics, exported to ONNX"
DEFAULT_THRESHOLDS: dict[str, float] = {"yolo": 0.3, "yolox": 0.4, "centernet": 0.25}


def manifest_of(path: Path) -> Manifest:
    """Return the manifest of a bare model file from the table. Raises ModelNotKnown."""
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error
    if sha256 not in KNOWN:
        raise ModelNotKnown(path=path)
    return KNOWN[sha256].manifest(path.name, sha256)


def _flat(limit: float) -> dict[Kind, float]:
    return dict.fromkeys(Kind, limit)


KNOWN: dict[str, KnownModel] = {
    "f2b53efb434a62bbcf8b43e76e9d0659ab33c4b54d3a2bd3dc09cbbe002e12ad": KnownModel(
        "yolo11n-320-int8", "yolo", "int8", 320, _AGPL, _YOLO11N, _flat(0.3)
    ),
    "c62623dc6a0cd2fd6eee7d3c039f689f81fe132a2fc9df7a2869aa813484f621": KnownModel(
        "yolo11n-416-int8", "yolo", "int8", 416, _AGPL, _YOLO11N, _flat(0.3)
    ),
    "1565c36b89505af8663a25a867c9aacf39b08ae899cc141ef7376918d966195e": KnownModel(
        "yolo11n-640-int8", "yolo", "int8", 640, _AGPL, _YOLO11N, _flat(0.3)
    ),
    "6227b9ba9e15841635049f82ba56cacf8accf001e3af98adad167b1f1648df83": KnownModel(
        "yolo11n-416", "yolo", "fp32", 416, _AGPL, _YOLO11N, _flat(0.3)
    ),
    "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14": KnownModel(
        "yolox-nano-416", "yolox", "fp32", 416, "Apache-2.0", "YOLOX-nano by Megvii", _flat(0.4)
    ),
}
