"""Which model files have we met before? By SHA-256: what they are, whose, and what was measured.

Measured with `python -m tests.bench.detectors.accuracy FILE` on the first 128 pictures of COCO
val2017: 350 persons, and 55 vehicles, so that what is said of vehicles may be off by 0.1. Thresholds
are the lowest at which four of five detections were right, one for persons and one for vehicles.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from agent.detectors.manifest import Accuracy, Manifest, Weights
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
    family: Literal["yolo", "yolox", "centernet", "nanodet"]
    precision: Literal["fp32", "int8"]
    side: int  # input width and height in pixels
    licence: str
    source: str
    thresholds: dict[Kind, float]
    accuracy: Accuracy | None
    engine: str = "onnxruntime"
    weights: str = ""  # SHA-256 of the .bin beside a model of two files

    def manifest(self, file: str, sha256: str) -> Manifest:
        return Manifest(
            name=self.name,
            file=file,
            sha256=sha256,
            licence=self.licence,
            source=self.source,
            weights=Weights(file=weights_name(file), sha256=self.weights) if self.weights else None,
            family=self.family,
            engine=self.engine,
            precision=self.precision,
            width=self.side,
            height=self.side,
            classes=COCO_CLASSES,
            thresholds=self.thresholds,
            accuracy=self.accuracy,
        )


def manifest_of(path: Path) -> Manifest:
    """Return the manifest of a bare model file from the table. Raises ModelNotKnown."""
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FileUnreadable(path=path, reason=error.strerror) from error
    if sha256 not in KNOWN:
        raise ModelNotKnown(path=path)
    return KNOWN[sha256].manifest(path.name, sha256)


def weights_name(file: str) -> str:
    """Return the name of the second file: model.xml or model.param has model.bin beside it."""
    return f"{file.rpartition('.')[0]}.bin"


def limits(person: float, vehicles: float) -> dict[Kind, float]:
    return {kind: person if kind is Kind.PERSON else vehicles for kind in Kind}


_Lost = tuple[float, float, float]  # AP50 of persons, of cars, of all vehicles as one


def _held(measured: Accuracy, parent: str, exact: _Lost, inexact: _Lost) -> Accuracy:
    """Add what INT8 lost against its floats (tests.bench.detectors.int8, 256 pictures, half of them
    calibrated with), on processors that multiply bytes exactly and on those that do not (`processor`).

    Of the other kinds 11 to 21 are labelled: too few to judge.
    """
    lost = (dict(zip(("person", "car", "vehicles"), one, strict=True)) for one in (exact, inexact))
    return measured.model_copy(
        update={"int8_of": parent, "int8_loss": next(lost), "int8_loss_inexact": next(lost)}
    )


def _measured(person_ap50: float, map50: float, recall: float, precision: float) -> Accuracy:
    """Person AP50, mAP50 of the six kinds, then recall and precision of persons at the threshold."""
    return Accuracy(
        data_set="COCO val2017, first 128 pictures",
        person_ap50=person_ap50,
        map50=map50,
        person_recall=recall,
        person_precision=precision,
        measured_on=date(2026, 11, 23),
    )


_AGPL = "AGPL-3.0"
_YOLO11N = "YOLO11n by Ultralytics, exported to ONNX"

KNOWN: dict[str, KnownModel] = {
    "f2b53efb434a62bbcf8b43e76e9d0659ab33c4b54d3a2bd3dc09cbbe002e12ad": KnownModel(
        "yolo11n-320-int8",
        "yolo",
        "int8",
        320,
        _AGPL,
        _YOLO11N,
        limits(0.25, 0.45),
        _held(
            _measured(0.631, 0.513, 0.46, 0.83),
            "yolo11n-320",
            (0.015, 0.012, 0.004),
            (0.0302, 0.0397, 0.0150),
        ),
    ),
    "c62623dc6a0cd2fd6eee7d3c039f689f81fe132a2fc9df7a2869aa813484f621": KnownModel(
        "yolo11n-416-int8",
        "yolo",
        "int8",
        416,
        _AGPL,
        _YOLO11N,
        limits(0.20, 0.35),
        _held(
            _measured(0.684, 0.593, 0.60, 0.80),
            "yolo11n-416",
            (0.0124, 0.0152, 0.0196),
            (0.0281, 0.0301, 0.0216),
        ),
    ),
    "1565c36b89505af8663a25a867c9aacf39b08ae899cc141ef7376918d966195e": KnownModel(
        "yolo11n-640-int8",
        "yolo",
        "int8",
        640,
        _AGPL,
        _YOLO11N,
        limits(0.25, 0.45),
        _measured(0.759, 0.668, 0.65, 0.81),
    ),
    "6227b9ba9e15841635049f82ba56cacf8accf001e3af98adad167b1f1648df83": KnownModel(
        "yolo11n-416",
        "yolo",
        "fp32",
        416,
        _AGPL,
        _YOLO11N,
        limits(0.25, 0.35),
        _measured(0.699, 0.593, 0.59, 0.82),
    ),
    "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14": KnownModel(
        "yolox-nano-416",
        "yolox",
        "fp32",
        416,
        "Apache-2.0",
        "YOLOX-nano by Megvii",
        limits(0.40, 0.45),
        _measured(0.637, 0.547, 0.53, 0.80),
    ),
    "8e97e84bf40be85fcc731df6233ab2b5b046f5110cca323b0682705dd8eebd62": KnownModel(
        "centernet-512",
        "centernet",
        "fp32",
        512,
        "MIT",
        "CenterNet MobileNetV3 of npm @vladmandic/human 3.3.6",
        limits(0.30, 0.40),
        _measured(0.659, 0.589, 0.55, 0.81),
    ),
    "434216b43b74a15164686e0622ade492a5802f0b8c26954942e378d3424ea27d": KnownModel(
        "yolo11n-320-int8-openvino",
        "yolo",
        "int8",
        320,
        _AGPL,
        "YOLO11n by Ultralytics, exported to OpenVINO",
        limits(0.20, 0.40),
        _held(
            _measured(0.644, 0.529, 0.50, 0.80),
            "yolo11n-320",
            (0.002, 0.002, -0.009),
            (0.0093, 0.0053, -0.0185),
        ),
        engine="openvino",
        weights="92a6e678c7be0aca8234b2ae12c328b35c0d19df60c05fb3c6905e90dc670b7b",
    ),
    "e83f26649529905bf3dbeeae0d742a0b7e7471645738a4b5be89cf3db8b6f396": KnownModel(
        "yolo11n-416-int8-openvino",
        "yolo",
        "int8",
        416,
        _AGPL,
        "YOLO11n by Ultralytics, exported to OpenVINO",
        limits(0.25, 0.30),
        _held(
            _measured(0.696, 0.580, 0.57, 0.83),
            "yolo11n-416",
            (0.000, 0.007, 0.018),
            (-0.0038, 0.0080, 0.0059),
        ),
        engine="openvino",
        weights="673c4e1313387b9527eab99cc6e53b9228925db7c7119d877f467536272f082e",
    ),
    "42386a410ea037724959e530b89c3163647120a923fa3cf41224a2a6572f46fb": KnownModel(
        "yolo11n-640-int8-openvino",
        "yolo",
        "int8",
        640,
        _AGPL,
        "YOLO11n by Ultralytics, exported to OpenVINO",
        limits(0.25, 0.45),
        _held(
            _measured(0.767, 0.683, 0.67, 0.80),
            "yolo11n-640",
            (0.003, 0.0095, 0.009),  # measured without VNNI; its weights leave room for the sums of bytes,
            (0.003, 0.0095, 0.009),  # and on 128 pictures both kinds of processor lose alike
        ),
        engine="openvino",
        weights="e0eaec574f8222c4b212512c248d810225137a5f935c1741319292d5097fcab0",
    ),
    "707150b766998312656d20b4e56270e0beabfdffc4b32bfe520c74333e068876": KnownModel(
        "yolo11n-320-ncnn",
        "yolo",
        "fp32",
        320,
        _AGPL,
        "YOLO11n by Ultralytics, exported to NCNN",
        limits(0.20, 0.35),
        _measured(0.651, 0.518, 0.52, 0.82),
        engine="ncnn",
        weights="6f0e2d8f78defd8df16ac94dee5e65f97ee750ed79a0cd933e02fb59cc750494",
    ),
    "c495231206e18dcb7703bb2865d2d0e8e82ea1cd6477c61e0da88c80bf6dbcb1": KnownModel(
        "yolo11n-416-ncnn",
        "yolo",
        "fp32",
        416,
        _AGPL,
        "YOLO11n by Ultralytics, converted to NCNN by pnnx 20261020",
        limits(0.25, 0.35),
        _measured(0.699, 0.593, 0.59, 0.82),
        engine="ncnn",
        weights="2647f62fff9501a63e312cee18b21490a61a4890c81c5c76d65f3c81b2d48327",
    ),
    "d79e18ecd8595081bb29fdf0c790a47fcea96fbf58598350569a92e71e915b72": KnownModel(
        "nanodet-plus-416-ncnn",
        "nanodet",
        "fp32",
        416,
        "Apache-2.0",
        "NanoDet-Plus-m by RangiLyu, for NCNN",
        limits(0.40, 0.40),  # vehicles at 0.50: one object in 29 fewer, no false one less (vision.events)
        _measured(0.647, 0.525, 0.57, 0.80),
        engine="ncnn",
        weights="f7555ca6cb9650ee41e2f0a53fdf46b6e187a2a09792208d8c3eec033b6ac615",
    ),
}
