"""How does a TensorFlow.js graph model become ONNX? Node by node, in NCHW from the start.

TensorFlow.js lays pictures out as N x height x width x channels, ONNX as N x channels x height x
width. Nothing is transposed at run time: the input is declared NCHW, the filters are turned once,
and the few axis numbers in the graph are renumbered. Only what convolutional detectors need is
known here; any other operation is refused by name rather than guessed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ExtraMissing, NeedsFixing

_OPSET = 18  # the first whose Resize takes sizes for height and width alone
_IR_VERSION = 8  # read by every ONNX Runtime since 1.14; fixed so that the same graph gives the same bytes
_NCHW_AXIS = {0: 0, 1: 2, 2: 3, 3: 1, -1: 1}  # where an axis of N x H x W x C went

Array = NDArray[Any]


class GraphUnknown(NeedsFixing):
    """The graph is not one this converter understands."""

    key = "graph-unknown"


@dataclass(frozen=True, slots=True)
class _Node:
    """One operation of the TensorFlow graph, its control inputs left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]

    def text(self, name: str) -> str:
        return base64.b64decode(self.attributes[name]["s"]).decode()

    def integers(self, name: str) -> list[int]:
        return [int(value) for value in self.attributes[name]["list"].get("i", [])]

    def flag(self, name: str) -> bool:
        return bool(self.attributes.get(name, {}).get("b", False))


@dataclass(slots=True)
class _Graph:
    """The ONNX graph as it grows."""

    onnx: Any
    constants: dict[str, Array]
    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, Any] = field(default_factory=dict)

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        self.initializers[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def value(self, name: str) -> Array:
        """Return a constant of the source graph. Raises GraphUnknown when it is computed there."""
        if name not in self.constants:
            raise GraphUnknown(reason=f"{name} is not a constant")
        return self.constants[name]

    def operand(self, name: str) -> str:
        """Return the name of a tensor for arithmetic; a constant becomes an initializer that broadcasts."""
        if name not in self.constants:
            return name
        value = self.constants[name]
        if value.ndim > 1:
            raise GraphUnknown(reason=f"{name} has shape {value.shape}")
        return self.constant(name, value.reshape(-1, 1, 1) if value.ndim else value)


def convert(topology: bytes, weights: bytes, outputs: Sequence[str]) -> bytes:
    """Return the ONNX model that computes these nodes of a graph model, as bytes that do not vary.

    Raises GraphUnknown naming the operation it does not know, ExtraMissing without the onnx package.
    """
    onnx = _onnx()
    model = json.loads(topology)
    source = {node.name: node for node in map(_node, model["modelTopology"]["node"])}
    graph = _Graph(onnx, _constants(model["weightsManifest"], weights))
    placeholders = []
    for node in _in_order(source, outputs):
        if node.op == "Placeholder":
            placeholders.append(_tensor_info(onnx, node))
        elif node.op != "Const":
            if node.op not in _OPERATIONS:
                raise GraphUnknown(reason=f"{node.op} ({node.name})")
            _OPERATIONS[node.op](graph, node)
    results = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    made = onnx.helper.make_graph(
        graph.nodes, "converted", placeholders, results, list(graph.initializers.values())
    )
    proto = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    del proto.graph.value_info[:]  # the shapes of the outputs are wanted, not those of every step
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _onnx() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise ExtraMissing(extra="convert", module="onnx") from error
    return onnx


def _node(entry: dict[str, Any]) -> _Node:
    inputs = tuple(name.removesuffix(":0") for name in entry.get("input", ()) if not name.startswith("^"))
    return _Node(entry["name"], entry["op"], inputs, entry.get("attr", {}))


def _constants(groups: list[dict[str, Any]], weights: bytes) -> dict[str, Array]:
    """Cut the weights' bytes into named arrays; halves and bytes become floats again."""
    constants: dict[str, Array] = {}
    offset = 0
    for entry in (entry for group in groups for entry in group["weights"]):
        packing = entry.get("quantization", {})
        stored = np.dtype(packing.get("dtype", entry["dtype"])).newbyteorder("<")
        count = int(np.prod(entry["shape"], dtype=np.int64))
        values = np.frombuffer(weights, stored, count, offset).reshape(entry["shape"])
        offset += count * stored.itemsize
        if "scale" in packing:
            values = values.astype(np.float32) * np.float32(packing["scale"]) + np.float32(packing["min"])
        constants[entry["name"]] = values.astype(entry["dtype"])
    if offset != len(weights):
        raise GraphUnknown(reason=f"{len(weights)} bytes of weights where {offset} are described")
    return constants


def _in_order(source: dict[str, _Node], outputs: Sequence[str]) -> list[_Node]:
    """Return the nodes the outputs need, each after its inputs."""
    ordered: dict[str, _Node] = {}
    waiting = list(reversed(outputs))
    while waiting:
        name = waiting[-1]
        if name not in source:
            raise GraphUnknown(reason=f"no node {name}")
        missing = [need for need in source[name].inputs if need not in ordered]
        if missing:
            waiting.extend(missing)
        else:
            ordered[waiting.pop()] = source[name]
    return list(ordered.values())


def _tensor_info(onnx: Any, node: _Node) -> Any:
    dims = [int(dim["size"]) for dim in node.attributes["shape"]["shape"]["dim"]]
    n, height, width, channels = dims
    shape = (n, channels, height, width)
    return onnx.helper.make_tensor_value_info(node.name, onnx.TensorProto.FLOAT, shape)


def _convolution(graph: _Graph, node: _Node) -> None:
    """All four kinds: plain or depth-wise, alone or fused with bias and activation."""
    filters = graph.value(node.inputs[1])
    depthwise = "Depthwise" in node.op
    if depthwise:  # height x width x channels x multiplier
        height, width, channels, multiplier = filters.shape
        turned = filters.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    else:  # height x width x in x out
        turned = filters.transpose(3, 2, 0, 1)
    fused = [base64.b64decode(name).decode() for name in _fused(node)]
    inputs = [node.inputs[0], graph.constant(node.inputs[1], turned)]
    if fused[:1] == ["BiasAdd"]:
        inputs.append(graph.constant(node.inputs[2], graph.value(node.inputs[2])))
        fused = fused[1:]
    graph.add(
        "Conv",
        inputs,
        f"{node.name}/linear" if fused else node.name,
        auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[node.text("padding")],
        dilations=node.integers("dilations")[1:3],
        group=filters.shape[2] if depthwise else 1,
        kernel_shape=filters.shape[:2],
        strides=node.integers("strides")[1:3],
    )
    if fused:
        if len(fused) > 1 or fused[0] not in _ACTIVATIONS:
            raise GraphUnknown(reason=f"{'+'.join(fused)} ({node.name})")
        _ACTIVATIONS[fused[0]](graph, f"{node.name}/linear", node.name)


def _fused(node: _Node) -> list[str]:
    found: list[str] = node.attributes.get("fused_ops", {}).get("list", {}).get("s", [])
    return found


def _relu6(graph: _Graph, value: str, output: str) -> None:
    low = graph.constant("relu6/low", np.zeros((), np.float32))
    high = graph.constant("relu6/high", np.full((), 6, np.float32))
    graph.add("Clip", [value, low, high], output)


def _relu(graph: _Graph, value: str, output: str) -> None:
    graph.add("Relu", [value], output)


def _arithmetic(op: str) -> Callable[[_Graph, _Node], None]:
    def emit(graph: _Graph, node: _Node) -> None:
        graph.add(op, [graph.operand(name) for name in node.inputs], node.name)

    return emit


def _activation(of: str) -> Callable[[_Graph, _Node], None]:
    return lambda graph, node: _ACTIVATIONS[of](graph, node.inputs[0], node.name)


def _mean(graph: _Graph, node: _Node) -> None:
    axes = [_NCHW_AXIS[int(axis)] for axis in graph.value(node.inputs[1]).ravel()]
    if not node.flag("keep_dims"):
        raise GraphUnknown(reason=f"Mean without keep_dims ({node.name})")
    where = graph.constant(node.inputs[1], np.array(axes, np.int64))
    graph.add("ReduceMean", [node.inputs[0], where], node.name, keepdims=1)


def _concat(graph: _Graph, node: _Node) -> None:
    *values, axis = node.inputs
    graph.add("Concat", values, node.name, axis=_NCHW_AXIS[int(graph.value(axis))])


def _resize(graph: _Graph, node: _Node) -> None:
    if node.flag("align_corners"):
        raise GraphUnknown(reason=f"ResizeBilinear with align_corners ({node.name})")
    size = graph.constant(node.inputs[1], graph.value(node.inputs[1]).astype(np.int64))
    mode = "half_pixel" if node.flag("half_pixel_centers") else "asymmetric"
    graph.add(
        "Resize",
        [node.inputs[0], "", "", size],
        node.name,
        axes=[2, 3],
        mode="linear",
        coordinate_transformation_mode=mode,
    )


_ACTIVATIONS: dict[str, Callable[[_Graph, str, str], None]] = {"Relu": _relu, "Relu6": _relu6}
_OPERATIONS: dict[str, Callable[[_Graph, _Node], None]] = {
    "Add": _arithmetic("Add"),
    "AddV2": _arithmetic("Add"),
    "ConcatV2": _concat,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "Identity": _arithmetic("Identity"),
    "Mean": _mean,
    "Mul": _arithmetic("Mul"),
    "Relu": _activation("Relu"),
    "Relu6": _activation("Relu6"),
    "ResizeBilinear": _resize,
    "Sigmoid": _arithmetic("Sigmoid"),
    "_FusedConv2D": _convolution,
}
