"""The floats of another size, which INT8 at that size is held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from agent.detectors import open_model  # noqa: E402 -- onnx is an extra
from agent.detectors.tensor_detector import ModelUnfit  # noqa: E402
from shared.messages import Kind  # noqa: E402
from tests.bench.detectors.accuracy import curve, labelled_pictures, look  # noqa: E402
from tests.bench.detectors.float_parent import resized, write_folder  # noqa: E402

pytestmark = pytest.mark.shared_data
_ANYTHING = dict.fromkeys(Kind, 0.001)


@pytest.fixture
def yolo11n(shared_data: Path) -> Path:
    return shared_data / "models/yolo11n"


def constants(model: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(model).graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


def test_to_its_own_size_the_graph_comes_back_byte_for_byte(yolo11n: Path) -> None:
    floats = (yolo11n / "yolo11n_416.onnx").read_bytes()
    assert resized(floats, 416) == floats


@pytest.mark.parametrize("side", [320, 640])
def test_to_another_size_it_has_the_constants_ultralytics_exports_there(yolo11n: Path, side: int) -> None:
    ours = constants(resized((yolo11n / "yolo11n_416.onnx").read_bytes(), side))
    exported = constants((yolo11n / f"yolo11n_{side}_ortint8.onnx").read_bytes())
    shared = ours.keys() & exported.keys()
    assert sum(ours[name].shape[-1:] == ((side // 8) ** 2 * 21 // 16,) for name in shared) == 3  # the tables
    assert all(np.array_equal(ours[name], exported[name]) for name in shared)


@pytest.mark.parametrize("side", [320, 640])
def test_the_int8_of_a_size_holds_these_very_weights_rounded(yolo11n: Path, side: int) -> None:
    floats = constants(resized((yolo11n / "yolo11n_416.onnx").read_bytes(), side))
    rounded = constants((yolo11n / f"yolo11n_{side}_ortint8.onnx").read_bytes())
    kernels = [name for name, one in floats.items() if f"{name}_quantized" in rounded and one.ndim == 4]
    assert len(kernels) == 87  # every convolution; the 88th holds the numbers 0 to 15, in floats
    for name in kernels:
        step = rounded[f"{name}_scale"].reshape(-1, 1, 1, 1)
        assert np.abs(rounded[f"{name}_quantized"] * step - floats[name]).max() <= step.max() * 0.501


def test_a_larger_size_finds_more_of_the_same_pictures(
    yolo11n: Path, shared_data: Path, tmp_path: Path
) -> None:
    write_folder(yolo11n / "yolo11n_416.onnx", 640, tmp_path)
    pictures = labelled_pictures(shared_data / "coco_val128", 32)
    small, large = (
        curve(pictures, look(open_model(path, thresholds=_ANYTHING), pictures), [Kind.PERSON])
        for path in (yolo11n / "yolo11n_416.onnx", tmp_path)
    )
    assert large.average_precision > small.average_precision


def test_a_graph_of_another_kind_is_refused(shared_data: Path, yolo11n: Path) -> None:
    with pytest.raises(ModelUnfit):
        resized((shared_data / "models/yolox_nano_416x416.onnx").read_bytes(), 640)
    with pytest.raises(ModelUnfit):
        resized((yolo11n / "yolo11n_416.onnx").read_bytes(), 650)
