"""How does an ONNX model become INT8? ONNX Runtime's static QDQ, calibrated on pictures of the place.

Half the processor time on chips that multiply bytes (VNNI, Arm dot product), for 0.01 to 0.02 of
average precision. The head, where box coordinates up to 416 meet scores up to 1, stays in floats:
one scale cannot serve both. Where the processor would cut sums of products off (`processor`), weights
have seven bits: what is made there is right everywhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.detectors import decode
from agent.detectors.processor import is_exact
from shared.errors import ExtraMissing, NeedsFixing

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_AT_MOST = 128  # pictures; more changed nothing in Ultralytics' and our runs
_AT_LEAST = 8  # fewer and the ranges are those of one scene at one hour


class TooFewPictures(NeedsFixing):
    """The folder for calibration holds too few pictures."""

    key = "too-few-pictures"


def quantized(model: bytes, family: str, size: tuple[int, int], pictures: Path) -> bytes:
    """Return the model in INT8, its ranges measured on the pictures of this folder."""
    try:
        from onnxruntime import quantization as q
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise ExtraMissing(extra="convert", module="onnx") from error
    paths = sorted(path for path in pictures.rglob("*") if path.suffix.lower() in _SUFFIXES)[:_AT_MOST]
    if len(paths) < _AT_LEAST:
        raise TooFewPictures(folder=pictures, found=len(paths), needed=_AT_LEAST)
    with tempfile.TemporaryDirectory(prefix="anninh-int8-") as folder:
        source, ready, result = (Path(folder) / name for name in ("fp32.onnx", "ready.onnx", "int8.onnx"))
        source.write_bytes(model)
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        q.quantize_static(
            str(ready),
            str(result),
            _Pictures(paths, decode.FAMILIES[family], size, _input_name(ready)),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=not is_exact(),
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            calibrate_method=q.CalibrationMethod.MinMax,
        )
        return result.read_bytes()


def _input_name(path: Path) -> str:
    import onnx

    return str(onnx.load(str(path)).graph.input[0].name)


class _Pictures:
    """What ONNX Runtime asks for as a CalibrationDataReader: one input at a time, then None."""

    def __init__(self, paths: list[Path], family: decode.Family, size: tuple[int, int], name: str) -> None:
        self._inputs = self._read(paths, family, size, name)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)

    @staticmethod
    def _read(
        paths: list[Path], family: decode.Family, size: tuple[int, int], name: str
    ) -> Iterator[dict[str, Any]]:
        for path in paths:
            image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                sheet = decode.Sheet.of(size)
                decode.place(np.asarray(image, np.uint8), sheet.canvas, family.layout)
                yield {name: decode.tensor(sheet, family)}
