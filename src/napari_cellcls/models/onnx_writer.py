"""The network of a package as an ONNX graph, written straight from its plan and its tensors.

Derived for fast engines and never read from a stranger. Writing it ourselves needs no TensorFlow,
takes milliseconds and gives the same bytes every time; Keras stays the reference, because the test
output of a package is made by Keras and every engine must reproduce it when it opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.models import networks
from napari_cellcls.models.plan import Layer, Plan

if TYPE_CHECKING:
    import onnx

OPSET = 17
_IR_VERSION = 8
_NCHW, _NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def to_onnx(arch_id: str, params: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> bytes:
    """Return the ONNX file of a network, any batch size.

    Parameters
    ----------
    arch_id, params
        As in the manifest.
    weights : mapping of str to numpy.ndarray
        Tensors ``0007:<layer>/<variable>``.

    Returns
    -------
    bytes
        Input ``crops`` float32 ``(N, Y, X, C)``, output ``embeddings`` float32 ``(N, E)``.
    """
    from onnx import TensorProto, helper

    plan = networks.plan(arch_id, params)
    graph = _Graph(plan, weights)
    graph.node("Transpose", ["crops"], "input", perm=_NCHW)
    for layer in plan.layers:
        _WRITERS[layer.kind](graph, layer)
    graph.node("Identity", [plan.layers[-1].name], "embeddings")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            arch_id,
            [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["N", *plan.input_shape])],
            [
                helper.make_tensor_value_info(
                    "embeddings", TensorProto.FLOAT, ["N", *plan.output_shape]
                )
            ],
            graph.tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="napari-cellcls",
        ir_version=_IR_VERSION,
    )
    return bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants collected while the layers are written, channels first inside."""

    def __init__(self, plan: Plan, weights: Mapping[str, np.ndarray]) -> None:
        self.plan = plan
        self._weights = {name.partition(":")[2]: array for name, array in weights.items()}
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}:{output}", **attributes)
        )
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def weight(self, layer: Layer, variable: str, order: tuple[int, ...] | None = None) -> str:
        path = f"{layer.name}/{variable}"
        array = self._weights[path]
        return self.constant(path, array if order is None else array.transpose(order))

    def whole(self, name: str, values: list[int]) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def window(self, layer: Layer) -> dict[str, list[int]]:
        """Return the attributes of a layer that looks through a window."""
        (top, bottom), (left, right) = self.plan.paddings(layer)
        return {
            "kernel_shape": list(layer.window),
            "strides": [layer.step] * 2,
            "pads": [top, left, bottom, right],
        }


def _convolution(graph: _Graph, layer: Layer) -> None:
    depthwise = layer.kind == "depthwise"
    inputs = [
        layer.inputs[0],
        graph.weight(layer, "kernel", (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)),
    ]
    if layer.bias:
        inputs.append(graph.weight(layer, "bias"))
    graph.node(
        "Conv",
        inputs,
        layer.name,
        **graph.window(layer),
        group=graph.plan.shapes[layer.name][-1] if depthwise else 1,
    )


def _norm(graph: _Graph, layer: Layer) -> None:
    if layer.gamma:
        gamma = graph.weight(layer, "gamma")
    else:
        gamma = graph.constant(f"{layer.name}/one", np.ones(graph.plan.shapes[layer.name][-1]))
    names = [gamma, *(graph.weight(layer, v) for v in ("beta", "moving_mean", "moving_variance"))]
    graph.node("BatchNormalization", [layer.inputs[0], *names], layer.name, epsilon=layer.epsilon)


def _dense(graph: _Graph, layer: Layer) -> None:
    inputs = [layer.inputs[0], graph.weight(layer, "kernel")]
    graph.node("Gemm", [*inputs, graph.weight(layer, "bias")] if layer.bias else inputs, layer.name)


def _rescale(graph: _Graph, layer: Layer) -> None:
    scale = graph.constant(f"{layer.name}/scale", np.reshape(layer.scale, (1, -1, 1, 1)))
    offset = graph.constant(f"{layer.name}/offset", np.reshape(layer.offset, (1, -1, 1, 1)))
    scaled = graph.node("Mul", [layer.inputs[0], scale], f"{layer.name}/scaled")
    graph.node("Add", [scaled, offset], layer.name)


def _relu6(graph: _Graph, layer: Layer) -> None:
    low = graph.constant(f"{layer.name}/low", np.array(0.0))
    high = graph.constant(f"{layer.name}/high", np.array(6.0))
    graph.node("Clip", [layer.inputs[0], low, high], layer.name)


def _average(graph: _Graph, layer: Layer) -> None:
    pooled = graph.node("GlobalAveragePool", [layer.inputs[0]], f"{layer.name}/pooled")
    graph.node("Flatten", [pooled], layer.name)


def _flatten(graph: _Graph, layer: Layer) -> None:
    last = graph.node("Transpose", [layer.inputs[0]], f"{layer.name}/last", perm=_NHWC)
    graph.node("Flatten", [last], layer.name)


def _max_pool(graph: _Graph, layer: Layer) -> None:
    window = {"kernel_shape": list(layer.window), "strides": [layer.step] * 2}
    graph.node("MaxPool", [layer.inputs[0]], layer.name, **window)


def _average_pool(graph: _Graph, layer: Layer) -> None:
    graph.node(
        "AveragePool", [layer.inputs[0]], layer.name, **graph.window(layer), count_include_pad=0
    )


def _pad(graph: _Graph, layer: Layer) -> None:
    margins = graph.whole(f"{layer.name}/margins", [0, 0, *[layer.margin] * 2] * 2)
    graph.node("Pad", [layer.inputs[0], margins], layer.name, mode="constant")


def _mix(graph: _Graph, layer: Layer) -> None:
    matrix = np.array(layer.matrix).T[:, :, None, None]
    kernel = graph.constant(f"{layer.name}/matrix", matrix)
    graph.node("Conv", [layer.inputs[0], kernel], layer.name, kernel_shape=[1, 1])


_WRITERS: dict[str, Callable[[_Graph, Layer], object]] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "norm": _norm,
    "dense": _dense,
    "rescale": _rescale,
    "mix": _mix,
    "pad": _pad,
    "relu": lambda graph, layer: graph.node("Relu", [layer.inputs[0]], layer.name),
    "relu6": _relu6,
    "maxpool": _max_pool,
    "avgpool": _average_pool,
    "average": _average,
    "flatten": _flatten,
    "add": lambda graph, layer: graph.node("Add", list(layer.inputs), layer.name),
    "concat": lambda graph, layer: graph.node("Concat", list(layer.inputs), layer.name, axis=1),
    # Dropout works while training only.
    "dropout": lambda graph, layer: graph.node("Identity", [layer.inputs[0]], layer.name),
}
