"""A network as data: layers with shapes, from which weights, operations and the Keras model follow.

One description per architecture keeps three facts in step that would otherwise drift apart: which
tensors a package must hold (known before any framework is imported), how much one crop costs, and
the Keras graph itself. This module knows layer kinds only; architectures are in ``networks``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import keras

Kind: TypeAlias = Literal[
    "rescale", "conv", "depthwise", "dense", "norm", "relu", "relu6", "maxpool", "average", "flatten",
    "add",
]  # fmt: skip
Shape: TypeAlias = tuple[int, ...]
WeightSpec: TypeAlias = dict[str, tuple[Shape, str]]

_FROZEN = ("moving_mean", "moving_variance")


@dataclass(frozen=True)
class Layer:
    """One layer: what it does, what it reads, and its numbers.

    Attributes
    ----------
    kind, name : str
        Names are explicit: they become the tensor names of a package.
    inputs : tuple of str
        Names of the layers read; ``"input"`` is the crop.
    filters, kernel, stride : int
        Output channels, edge of the window, step. Convolutions pad to keep ``ceil(size / stride)``;
        ``maxpool`` does not pad.
    bias : bool
        For ``conv`` and ``dense``.
    scale, offset : tuple of float
        For ``rescale``: ``y = x * scale + offset`` per channel.
    """

    kind: Kind
    name: str
    inputs: tuple[str, ...]
    filters: int = 0
    kernel: int = 1
    stride: int = 1
    bias: bool = False
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()


@dataclass
class Plan:
    """Layers in the order of their making, with the output shape of each.

    Parameters
    ----------
    input_shape : tuple of int
        ``(Y, X, C)`` of one crop.
    """

    input_shape: Shape
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start at the crop."""
        self.shapes["input"] = self.input_shape

    def add(self, kind: Kind, name: str, *inputs: str, **numbers: Any) -> str:
        """Append a layer and return its name.

        Raises
        ------
        ValueError
            When the name is taken or two added inputs differ in shape (a mistake in a network).
        """
        if name in self.shapes:
            raise ValueError(f"Layer name {name!r} is used twice")
        layer = Layer(kind, name, inputs, **numbers)
        self.shapes[name] = _output_shape(layer, [self.shapes[i] for i in inputs])
        self.layers.append(layer)
        return name

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer without the batch axis."""
        return self.shapes[self.layers[-1].name]

    def weight_spec(self) -> WeightSpec:
        """Return ``{"0007:<layer>/<variable>": (shape, "float32")}`` in plan order."""
        paths = [
            (f"{layer.name}/{variable}", shape)
            for layer in self.layers
            for variable, shape in self._weights(layer)
        ]
        return {f"{i:04d}:{path}": (shape, "float32") for i, (path, shape) in enumerate(paths)}

    def operations(self) -> int:
        """Return the multiply-adds of one crop (convolutions and dense layers)."""
        return sum(self._operations(layer) for layer in self.layers)

    def parameters(self) -> tuple[int, int]:
        """Return ``(all, trainable)`` parameter counts."""
        sizes = [(name, math.prod(shape)) for name, (shape, _) in self.weight_spec().items()]
        return (
            sum(n for _, n in sizes),
            sum(n for name, n in sizes if not name.endswith(_FROZEN)),
        )

    def to_keras(self, name: str) -> keras.Model:
        """Build the Keras model, input ``(N, Y, X, C)`` float32 to the last layer."""
        import keras

        made: dict[str, Any] = {"input": keras.Input(self.input_shape, name="crops")}
        for layer in self.layers:
            values = [made[i] for i in layer.inputs]
            keras_layer = _KERAS[layer.kind](keras.layers, layer)
            made[layer.name] = keras_layer(values if layer.kind == "add" else values[0])
        return keras.Model(made["input"], made[self.layers[-1].name], name=name)

    def _weights(self, layer: Layer) -> list[tuple[str, Shape]]:
        channels = self.shapes[layer.inputs[0]][-1]
        bias: list[tuple[str, Shape]] = [("bias", (layer.filters,))] if layer.bias else []
        if layer.kind == "conv":
            return [("kernel", (layer.kernel, layer.kernel, channels, layer.filters)), *bias]
        if layer.kind == "depthwise":
            return [("kernel", (layer.kernel, layer.kernel, channels, 1))]
        if layer.kind == "dense":
            return [("kernel", (channels, layer.filters)), *bias]
        if layer.kind == "norm":
            return [(v, (channels,)) for v in ("gamma", "beta", *_FROZEN)]
        return []

    def _operations(self, layer: Layer) -> int:
        channels = self.shapes[layer.inputs[0]][-1]
        outputs = math.prod(self.shapes[layer.name])
        window = layer.kernel * layer.kernel
        per_output = {"conv": window * channels, "depthwise": window, "dense": channels}
        return outputs * per_output.get(layer.kind, 0)


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Put package tensors (``0007:<path>``) into a Keras model made by :meth:`Plan.to_keras`."""
    variables = {v.path: v for v in model.weights}
    if set(variables) != {name.partition(":")[2] for name in weights}:
        raise ValueError("The tensors are not those of this network")
    for name, value in weights.items():
        variables[name.partition(":")[2]].assign(value)


def collect(model: keras.Model, spec: WeightSpec) -> dict[str, np.ndarray]:
    """Return the tensors of a Keras model as float32, named and ordered as in ``spec``."""
    import keras

    variables = {v.path: v for v in model.weights}
    return {
        name: np.array(
            keras.ops.convert_to_numpy(variables[name.partition(":")[2]].value), dtype=np.float32
        )
        for name in spec
    }


def _output_shape(layer: Layer, inputs: list[Shape]) -> Shape:
    first = inputs[0]
    if layer.kind in ("conv", "depthwise"):
        y, x, channels = first
        out = layer.filters if layer.kind == "conv" else channels
        return (-(-y // layer.stride), -(-x // layer.stride), out)
    if layer.kind == "maxpool":
        y, x, channels = first
        return (y // layer.kernel, x // layer.kernel, channels)
    if layer.kind == "average":
        return (first[-1],)
    if layer.kind == "flatten":
        return (math.prod(first),)
    if layer.kind == "dense":
        return (layer.filters,)
    if any(shape != first for shape in inputs):
        raise ValueError(f"Layer {layer.name!r} adds different shapes: {inputs}")
    return first


# The data format is given everywhere: a user's keras.json may ask for channels first.
_LAST = {"data_format": "channels_last"}
_KERAS: dict[str, Callable[[Any, Layer], Any]] = {
    "rescale": lambda k, s: k.Rescaling(list(s.scale), list(s.offset), name=s.name),
    "conv": lambda k, s: k.Conv2D(
        s.filters, s.kernel, s.stride, padding="same", use_bias=s.bias, name=s.name, **_LAST
    ),
    "depthwise": lambda k, s: k.DepthwiseConv2D(
        s.kernel, s.stride, padding="same", use_bias=False, name=s.name, **_LAST
    ),
    "dense": lambda k, s: k.Dense(s.filters, use_bias=s.bias, name=s.name),
    "norm": lambda k, s: k.BatchNormalization(epsilon=1e-3, momentum=0.99, name=s.name),
    "relu": lambda k, s: k.ReLU(name=s.name),
    "relu6": lambda k, s: k.ReLU(max_value=6.0, name=s.name),
    "maxpool": lambda k, s: k.MaxPooling2D(s.kernel, padding="valid", name=s.name, **_LAST),
    "average": lambda k, s: k.GlobalAveragePooling2D(name=s.name, **_LAST),
    "flatten": lambda k, s: k.Flatten(name=s.name, **_LAST),
    "add": lambda k, s: k.Add(name=s.name),
}
