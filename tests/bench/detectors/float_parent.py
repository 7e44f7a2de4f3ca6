"""Where INT8 has no floats of its own size beside it: the same floats, told another input size.

    python -m tests.bench.detectors.float_parent FLOATS.onnx SIDE FOLDER

A YOLO export is all convolutions, which do not care how large a picture is. What does care is written into
the graph as constants: the shape of the input and the output, the map the attention is reshaped to, and the
centre and stride of every place that may speak. Only those are written anew; no weight is touched. To its
own size the graph comes back as it was, to another it is what Ultralytics would have exported
(`tests/integration/detectors/test_float_parent.py` holds both). FOLDER becomes a model folder.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import numpy_helper

from agent.detectors import known
from agent.detectors.tensor_detector import ModelUnfit
from shared.disk import write_atomically

STRIDES: Final = (8, 16, 32)  # of YOLO's three maps, in pixels of the input
_ATTENTION: Final = 32  # the stride of the map that looks at itself: the coarsest
_EXPECTED: Final = 7  # two shapes of the attention, two of the distances, two centres and the strides


def unfit(reason: str) -> ModelUnfit:
    return ModelUnfit(name="floats", reason=reason)


def resized(floats: bytes, side: int) -> bytes:
    """Return the graph for pictures of this side, a multiple of 32. Raises ModelUnfit."""
    model = onnx.load_from_string(floats)
    before = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    if before % STRIDES[-1] or side % STRIDES[-1] or not before:
        raise unfit(f"{before} or {side} pixels are not whole cells of {STRIDES[-1]}")
    changed = sum(_write_anew(constant, before, side) for constant in model.graph.initializer)
    if changed != _EXPECTED:
        raise unfit(f"{changed} constants of the input's size, {_EXPECTED} expected")
    for ends, shape in (
        (model.graph.input, [1, 3, side, side]),
        (model.graph.output, [1, None, _places(side)]),
    ):
        for size, wanted in zip(ends[0].type.tensor_type.shape.dim, shape, strict=True):
            size.dim_value = wanted or size.dim_value
    if side != before:
        del model.graph.value_info[:]  # shapes between the layers: inferred anew below
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for entry in model.metadata_props:
        if entry.key == "imgsz":
            entry.value = f"[{side}, {side}]"
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _places(side: int) -> int:
    """How many places may speak, over all three maps."""
    return sum((side // stride) ** 2 for stride in STRIDES)


def _write_anew(constant: onnx.TensorProto, before: int, side: int) -> bool:
    """Put the new size into a constant that holds the old one; leave every other."""
    old = numpy_helper.to_array(constant)
    new = _shape(old, before, side) if old.dtype == np.int64 else _numbers(old, before, side)
    if new is None:
        return False
    constant.CopyFrom(numpy_helper.from_array(new, constant.name))
    return True


def _shape(old: np.ndarray, before: int, side: int) -> np.ndarray | None:
    """Return a reshape's target: [.., places] or [1, channels, rows, columns] or [.., rows x columns]."""
    row, new_row = before // _ATTENTION, side // _ATTENTION
    shape = old.tolist()
    if shape[-1] == _places(before):
        return np.array([*shape[:-1], _places(side)], np.int64)
    if len(shape) == 4 and shape[2:] == [row, row]:  # N, C, H, W
        return np.array([*shape[:2], new_row, new_row], np.int64)
    if len(shape) == 4 and shape[-1] == row * row:  # N, heads, C, places
        return np.array([*shape[:3], new_row * new_row], np.int64)
    return None


def _numbers(old: np.ndarray, before: int, side: int) -> np.ndarray | None:
    """Return the centres (1, 2, places) in cells or the strides (1, places) in pixels."""
    for table, new in ((_centres(before), _centres(side)), (_strides(before), _strides(side))):
        if old.shape == table.shape:
            if not np.array_equal(old, table):
                raise unfit("a table of all places holds something unknown")
            return new
    return None


def _centres(side: int) -> np.ndarray:
    maps = []
    for stride in STRIDES:
        middle = np.arange(side // stride, dtype=np.float32) + 0.5
        maps.append(np.stack(np.meshgrid(middle, middle)).reshape(2, -1))
    return np.concatenate(maps, axis=1)[None]


def _strides(side: int) -> np.ndarray:
    cells = [(side // stride) ** 2 for stride in STRIDES]
    return np.repeat(np.array(STRIDES, np.float32), cells)[None]


def write_folder(floats: Path, side: int, folder: Path) -> None:
    """Make a model folder of it, with the manifest of the floats for the new size."""
    parent: Any = known.manifest_of(floats)
    model, name = resized(floats.read_bytes(), side), f"yolo11n-{side}"
    manifest = parent.model_copy(
        update={
            "name": name,
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(model).hexdigest(),
            "width": side,
            "height": side,
            "accuracy": None,  # nobody measured this very file before
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / manifest.file, model)
    manifest.save(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("floats", type=Path)
    parser.add_argument("side", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    write_folder(given.floats, given.side, given.folder)
    print(f"{given.folder}: {given.floats.name} for {given.side}x{given.side} pixels")


if __name__ == "__main__":
    main()
