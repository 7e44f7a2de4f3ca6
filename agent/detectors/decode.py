"""What do a model's numbers mean? Picture to input tensor, output tensors to detections; opens nothing.

Only the six kinds of `shared.messages.Kind` leave this file. Every other class a model knows has a
limit that no score reaches, so a dog, a face or a number plate cannot become a `Detection` further on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.detect import Detection
from agent.vision.frame import Image
from shared.geometry import Box
from shared.messages import Kind

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

MAX_DETECTIONS = 300  # Ultralytics' max_det; a street of 300 is a crowd, not 300 events
_MAX_CANDIDATES = 3000  # most boxes NMS looks at; 416 px has 3549 places in all, real pictures pass < 200
SAME_OBJECT = 0.5  # IoU of two boxes of one class above which one is dropped. Ultralytics' 0.7 suits mAP; at
# 0.5 as many persons are found with a tenth fewer false ones (yolo11n 416, COCO val128, limit 0.3)
_GREY = 114  # the padding every YOLO was trained with
_YOLOX_STRIDES = (8, 16, 32)  # Megvii's three heads
_NANODET_STRIDES, _NANODET_BINS = (8, 16, 32, 64), 8  # NanoDet-Plus' four heads, reg_max 7
_CENTERNET_STRIDE = 4  # 512 input, 128 heat map
_NEVER = np.float32(np.inf)


class Layout(Enum):
    """How a picture is laid into the model's input."""

    CENTRED = "centred"  # kept in shape, grey bars on both sides (Ultralytics)
    CORNER = "corner"  # kept in shape, top left, grey bar right or below (YOLOX)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the picture went: x_input = x_picture * scale + offset, in pixels."""

    width: int  # of the picture
    height: int
    scale_x: float
    scale_y: float
    left: int = 0
    top: int = 0

    def box(self, corners: Floats) -> Box:
        """Turn corners in input pixels (left, top, right, bottom) into fractions of the picture."""
        x0, y0, x1, y1 = (float(value) for value in corners)
        span_x, span_y = self.width * self.scale_x, self.height * self.scale_y
        return Box.from_corners(
            (x0 - self.left) / span_x,
            (y0 - self.top) / span_y,
            (x1 - self.left) / span_x,
            (y1 - self.top) / span_y,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Places whose score passed their class's limit: corners N x 4 in input pixels, score, class."""

    corners: Floats
    scores: Floats
    classes: Indices


Decode = Callable[[Sequence[Floats], tuple[int, int], Floats], Candidates]


@dataclass(frozen=True, slots=True)
class Family:
    """Models that want the same input and speak the same output."""

    layout: Layout
    rgb: bool  # False: BGR, as OpenCV has it
    divisor: float  # 255: input 0..1; 1: input 0..255
    decode: Decode
    mean: tuple[float, float, float] | None = None  # taken off first, per channel in the family's order
    deviation: tuple[float, float, float] = (1, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What one picture after the other is laid on and turned into numbers on; each undoes the one before.

    Two megabytes of new pages for every look would cost more than the laying itself.
    """

    canvas: Image  # height x width x 3
    planes: Floats  # 1 x 3 x height x width

    @classmethod
    def of(cls, size: tuple[int, int]) -> Sheet:
        width, height = size
        return cls(np.empty((height, width, 3), np.uint8), np.empty((1, 3, height, width), np.float32))


def place(image: Image, canvas: Image, layout: Layout) -> Placement:
    """Lay a picture of any size onto the canvas; return where it went."""
    height, width = image.shape[:2]
    size = canvas.shape[1], canvas.shape[0]
    scale = min(size[0] / width, size[1] / height)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    left = top = 0
    if layout is Layout.CENTRED:  # the odd pixel goes right and below, as in Ultralytics' LetterBox
        left, top = (size[0] - new_width) // 2, (size[1] - new_height) // 2
    canvas[:] = _GREY
    inner = canvas[top : top + new_height, left : left + new_width]
    cv2.resize(image, (new_width, new_height), dst=inner, interpolation=cv2.INTER_LINEAR)
    return Placement(width, height, new_width / width, new_height / height, left, top)


def tensor(sheet: Sheet, family: Family) -> Floats:
    """Turn the canvas into 1 x 3 x height x width, float32, in the family's colours and range."""
    planes = sheet.planes[0]
    planes[:] = (sheet.canvas[..., ::-1] if family.rgb else sheet.canvas).transpose(2, 0, 1)
    if family.divisor != 1:
        planes *= np.float32(1 / family.divisor)
    if family.mean is not None:
        planes -= np.array(family.mean, np.float32)[:, None, None]
        planes /= np.array(family.deviation, np.float32)[:, None, None]
    return sheet.planes


def limits(classes: Sequence[str], thresholds: Mapping[Kind, float]) -> Floats:
    """Return the lowest score per class of the model; infinity for all that is not one of the six."""
    known = {kind.value: limit for kind, limit in thresholds.items()}
    return np.array([known.get(name, _NEVER) for name in classes], np.float32)


def decode_yolo(outputs: Sequence[Floats], size: tuple[int, int], floor: Floats) -> Candidates:
    """YOLOv8 and 11: 1 x (4 + classes) x places; centre and size in input pixels, scores 0..1."""
    del size
    values = outputs[0][0]
    places, classes, scores = _best(values[4:], floor)
    cx, cy, w, h = values[:4, places]
    return Candidates(np.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), 1), scores, classes)


def decode_yolox(outputs: Sequence[Floats], size: tuple[int, int], floor: Floats) -> Candidates:
    """YOLOX: 1 x places x (5 + classes); offsets from each place of three grids, then objectness."""
    values = outputs[0][0].T
    places, classes, scores = _best(values[5:] * values[4], floor)
    grid_x, grid_y, stride = _grid(size, _YOLOX_STRIDES)[:, places]
    x, y, w, h = values[:4, places]
    cx, cy = (x + grid_x) * stride, (y + grid_y) * stride
    half_w, half_h = np.exp(w) * stride / 2, np.exp(h) * stride / 2
    return Candidates(np.stack((cx - half_w, cy - half_h, cx + half_w, cy + half_h), 1), scores, classes)


def _grid(size: tuple[int, int], strides: Sequence[int]) -> Floats:
    """Return column, row and stride of every place, 3 x places; a broken cell at the edge counts."""
    parts = []
    for stride in strides:
        rows, columns = np.mgrid[0 : math.ceil(size[1] / stride), 0 : math.ceil(size[0] / stride)]
        parts.append(np.stack((columns.ravel(), rows.ravel(), np.full(rows.size, stride))))
    return np.concatenate(parts, axis=1).astype(np.float32)


def decode_centernet(outputs: Sequence[Floats], size: tuple[int, int], floor: Floats) -> Candidates:
    """CenterNet: a heat map 1 x classes x rows x columns, and 1 x 4 x rows x columns distances.

    An object is where its class's map is highest among its eight neighbours; the distances from
    there to the left, top, right and bottom side are in input pixels (nodes `mul`, `sub`, `add_1` of
    the original graph).
    """
    del size
    heat, distances = outputs[0][0], outputs[1][0]
    wanted = np.flatnonzero(np.isfinite(floor))
    maps = heat[wanted]
    peak = np.stack([cv2.dilate(plane, np.ones((3, 3), np.uint8)) for plane in maps])
    which, rows, columns = np.nonzero((maps == peak) & (maps >= floor[wanted, None, None]))
    left, top, right, bottom = distances[:, rows, columns]
    x, y = columns * np.float32(_CENTERNET_STRIDE), rows * np.float32(_CENTERNET_STRIDE)
    corners = np.stack((x - left, y - top, x + right, y + bottom), 1)
    return Candidates(corners, maps[which, rows, columns], wanted[which])


def decode_nanodet(outputs: Sequence[Floats], size: tuple[int, int], floor: Floats) -> Candidates:
    """NanoDet-Plus: 1 x places x (classes + 4 x 8); per side the odds of being 0 to 7 strides away."""
    values = outputs[0][0]
    places, classes, scores = _best(values[:, : len(floor)].T, floor)
    odds = values[places, len(floor) :].reshape(-1, 4, _NANODET_BINS)
    odds = np.exp(odds - odds.max(axis=2, keepdims=True))
    mean = (odds * np.arange(_NANODET_BINS, dtype=np.float32)).sum(axis=2) / odds.sum(axis=2)
    column, row, stride = _grid(size, _NANODET_STRIDES)[:, places]
    left, top, right, bottom = mean.T * stride
    x, y = column * stride, row * stride
    return Candidates(np.stack((x - left, y - top, x + right, y + bottom), 1), scores, classes)


FAMILIES: dict[str, Family] = {
    "yolo": Family(Layout.CENTRED, rgb=True, divisor=255, decode=decode_yolo),
    "yolox": Family(Layout.CORNER, rgb=False, divisor=1, decode=decode_yolox),
    "nanodet": Family(
        Layout.CENTRED,
        rgb=False,
        divisor=1,
        decode=decode_nanodet,
        mean=(103.53, 116.28, 123.675),  # ImageNet's, blue first, as its authors trained it
        deviation=(57.375, 57.12, 58.395),
    ),
    # The npm package stretches pictures to 512 x 512; kept in shape, person AP50 is 0.05 higher (measured)
    "centernet": Family(Layout.CORNER, rgb=True, divisor=1, decode=decode_centernet),
}


def _best(scores: Floats, floor: Floats) -> tuple[Indices, Indices, Floats]:
    """Take each place's best class, and keep the places where it reaches that class's limit.

    The best of all classes, not of our six: what the model holds for a dog is not a doubtful person.
    """
    highest = scores.max(axis=0)
    hopeful = np.flatnonzero(highest >= floor.min())
    classes = scores[:, hopeful].argmax(axis=0)
    kept = highest[hopeful] >= floor[classes]
    return hopeful[kept], classes[kept], highest[hopeful][kept]


def suppress(found: Candidates, above: float = SAME_OBJECT) -> Indices:
    """Return which candidates to keep, best first: per class, none that overlaps a better one.

    A few lines of numpy rather than cv2.dnn.NMSBoxes: after the limits there are tens of boxes, the
    order of equals is ours (the first place wins), and OpenCV 5 is free to move its dnn module.
    """
    order = np.argsort(-found.scores, kind="stable")[:_MAX_CANDIDATES]
    corners, classes = found.corners, found.classes
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept: list[int] = []
    while order.size and len(kept) < MAX_DETECTIONS:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        overlap = common / np.maximum(areas[best] + areas[rest] - common, np.float32(1e-9))
        order = rest[(overlap <= above) | (classes[rest] != classes[best])]
    return np.array(kept, np.intp)


def detections(found: Candidates, placement: Placement, classes: Sequence[str]) -> list[Detection]:
    """Turn what passed the limits into detections in fractions of the picture, most confident first."""
    result = []
    for index in suppress(found):
        box = placement.box(found.corners[index])
        if box.area > 0:  # a box wholly in the padding has no place in the picture
            kind = Kind(classes[int(found.classes[index])])
            result.append(Detection(kind, min(float(found.scores[index]), 1.0), box))
    return result
