"""A small graph, computed by hand in numpy as TensorFlow lays it out, against what the converter made."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from agent.detectors.engine_onnxruntime import open_session  # noqa: E402 -- after the skip
from agent.detectors.tfjs import GraphUnknown, convert  # noqa: E402


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


class Graph:
    """Writes a graph-model file as tensorflowjs_converter does, halves for floats."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[dict[str, Any]] = []
        self.bytes = b""

    def picture(self, *shape: int) -> str:
        dims = {"dim": [{"size": str(side)} for side in shape]}
        return self.node("Placeholder", "picture", [], shape={"shape": dims})

    def const(self, name: str, value: np.ndarray) -> str:
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if value.dtype == np.float32:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            value = value.astype(np.float16)
        self.weights.append(entry)
        self.bytes += value.tobytes()
        return self.node("Const", name, [])

    def node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self.nodes.append({"op": op, "name": name, "input": inputs, "attr": attributes})
        return name

    def conv(self, op: str, name: str, inputs: list[str], stride: int, *fused: str) -> str:
        return self.node(
            op,
            name,
            inputs,
            strides=numbers(1, stride, stride, 1),
            dilations=numbers(1, 1, 1, 1),
            padding=text("SAME"),
            fused_ops={"list": {"s": [base64.b64encode(f.encode()).decode() for f in fused]}},
        )

    def run(self, picture: np.ndarray, output: str) -> np.ndarray:
        """Convert, run on a picture given height x width x channels, return the same way round."""
        model = convert(self.topology(), self.bytes, [output])
        session = open_session(model, 1, name="test")
        (result,) = session.run(None, {"picture": picture.transpose(2, 0, 1)[np.newaxis]})
        return result[0].transpose(1, 2, 0)

    def topology(self) -> bytes:
        manifest = [{"paths": ["w.bin"], "weights": self.weights}]
        return json.dumps({"modelTopology": {"node": self.nodes}, "weightsManifest": manifest}).encode()


def random(*shape: int) -> np.ndarray:
    values = np.random.default_rng(7).normal(size=shape)
    return values.astype(np.float16).astype(np.float32)  # exact in halves


def convolved(picture: np.ndarray, filters: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's SAME convolution, height x width x in x out, written out."""
    side, steps = filters.shape[0], -(-picture.shape[0] // stride)
    pad = max((steps - 1) * stride + side - picture.shape[0], 0)
    padded = np.pad(picture, ((pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2), (0, 0)))
    result = np.zeros((steps, steps, filters.shape[3]), np.float32)
    for row in range(steps):
        for column in range(steps):
            window = padded[row * stride : row * stride + side, column * stride : column * stride + side]
            result[row, column] = np.einsum("hwi,hwio->o", window, filters)
    return result


@pytest.mark.parametrize("stride", [1, 2])
def test_a_fused_convolution_pads_as_tensorflow_does(stride: int) -> None:
    graph, picture, filters, bias = Graph(), random(8, 8, 3), random(3, 3, 3, 5), random(5)
    names = [graph.picture(1, 8, 8, 3), graph.const("f", filters), graph.const("b", bias)]
    graph.conv("_FusedConv2D", "out", names, stride, "BiasAdd", "Relu")
    expected = np.maximum(convolved(picture, filters, stride) + bias, 0)
    assert graph.run(picture, "out") == pytest.approx(expected, abs=1e-4)


def test_a_depthwise_convolution_keeps_its_channels_apart() -> None:
    graph, picture, filters = Graph(), random(8, 8, 3), random(3, 3, 3, 1)
    graph.conv("DepthwiseConv2dNative", "out", [graph.picture(1, 8, 8, 3), graph.const("f", filters)], 2)
    apart = [convolved(picture[..., [c]], filters[:, :, [c]], 2) for c in range(3)]
    assert graph.run(picture, "out") == pytest.approx(np.concatenate(apart, axis=2), abs=1e-4)


def test_axes_are_those_of_height_width_and_channels() -> None:
    graph, picture = Graph(), random(4, 4, 3)
    source = graph.picture(1, 4, 4, 3)
    mean = graph.node(
        "Mean", "mean", [source, graph.const("axes", np.array([1, 2], np.int32))], keep_dims={"b": True}
    )
    scaled = graph.node("Mul", "scaled", [source, mean])
    shifted = graph.node("Add", "shifted", [scaled, graph.const("shift", random(3))])
    graph.node("ConcatV2", "out", [source, shifted, graph.const("axis", np.array(3, np.int32))])
    expected = np.concatenate((picture, picture * picture.mean(axis=(0, 1)) + random(3)), axis=2)
    assert graph.run(picture, "out") == pytest.approx(expected, abs=1e-5)


def test_growing_twofold_puts_every_second_pixel_where_it_was() -> None:
    graph, picture = Graph(), random(4, 4, 2)
    size = graph.const("size", np.array([8, 8], np.int32))
    graph.node("ResizeBilinear", "out", [graph.picture(1, 4, 4, 2), size], half_pixel_centers={"b": False})
    result = graph.run(picture, "out")
    assert result[::2, ::2] == pytest.approx(picture, abs=1e-6)
    assert result[1, 0] == pytest.approx((picture[0, 0] + picture[1, 0]) / 2, abs=1e-6)


def test_an_operation_it_does_not_know_is_named_not_guessed() -> None:
    graph = Graph()
    graph.node("FFT2D", "out", [graph.picture(1, 4, 4, 2)])
    with pytest.raises(GraphUnknown, match="FFT2D"):
        convert(graph.topology(), graph.bytes, ["out"])


def test_weights_that_are_cut_short_are_refused() -> None:
    graph = Graph()
    graph.node("Mul", "out", [graph.picture(1, 4, 4, 2), graph.const("s", random(2))])
    with pytest.raises(GraphUnknown):
        convert(graph.topology(), graph.bytes + b"\0\0", ["out"])
