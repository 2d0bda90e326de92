"""A network as data: layers with shapes, from which weights, operations and the Keras model follow.

One description per architecture keeps three facts in step that would otherwise drift apart: which
tensors a package must hold (known before any framework is imported), how much one crop costs, and
the Keras graph itself. This module knows layer kinds only; architectures are in ``networks``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import keras

Kind: TypeAlias = Literal[
    "rescale", "mix", "pad", "conv", "depthwise", "dense", "norm", "relu", "relu6", "maxpool",
    "avgpool", "average", "flatten", "add", "concat", "dropout",
]  # fmt: skip
Shape: TypeAlias = tuple[int, ...]
WeightSpec: TypeAlias = dict[str, tuple[Shape, str]]

JOINING = ("add", "concat")
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
    filters : int
        Output channels.
    kernel : int or tuple of int
        Edge of the window, or its ``(height, width)``.
    stride : int
        Step; 0 for pooling means the edge of the window, for all others 1.
    padding : {"same", "valid"}
        For ``conv`` and ``depthwise``: ``same`` keeps ``ceil(size / stride)``. ``maxpool`` never
        pads; ``avgpool`` always does, and leaves the padding out of the mean.
    bias : bool
        For ``conv`` and ``dense``.
    scale, offset : tuple of float
        For ``rescale``: ``y = x * scale + offset`` per channel, or one number for all.
    matrix : tuple of tuple of float
        For ``mix``: fixed weights ``(channels in, channels out)`` of each pixel.
    margin : int
        For ``pad``: zeros on each of the four sides.
    epsilon, gamma
        For ``norm``: added to the variance; whether it has a scale of its own.
    rate : float
        For ``dropout``: share set to zero while training; nothing happens in use.
    init, l2
        While training, for ``conv`` and ``dense``: how the kernel starts, and the weight of its
        squared sum in the loss.
    """

    kind: Kind
    name: str
    inputs: tuple[str, ...]
    filters: int = 0
    kernel: int | tuple[int, int] = 1
    stride: int = 0
    padding: Literal["same", "valid"] = "same"
    bias: bool = False
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    margin: int = 0
    epsilon: float = 1e-3
    gamma: bool = True
    rate: float = 0.0
    init: Literal["glorot_uniform", "he_uniform"] = "glorot_uniform"
    l2: float = 0.0

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the window."""
        return (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel

    @property
    def step(self) -> int:
        """Step from one window to the next."""
        return self.stride or (self.window[0] if self.kind == "maxpool" else 1)

    @property
    def pads(self) -> bool:
        """Whether the window may reach over the edge."""
        return self.kind == "avgpool" or (self.kind != "maxpool" and self.padding == "same")


@dataclass
class Plan:
    """Layers in the order of their making, with the output shape of each.

    Parameters
    ----------
    input_shape : tuple of int
        ``(Y, X, C)`` of one crop.

    Attributes
    ----------
    trunk : tuple of str
        Layers of the ImageNet network inside, when there is one; see :meth:`mark_trunk`.
    """

    input_shape: Shape
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    trunk: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Start at the crop."""
        self.shapes["input"] = self.input_shape

    def add(self, kind: Kind, name: str, *inputs: str, **numbers: Any) -> str:
        """Append a layer and return its name.

        Raises
        ------
        ValueError
            When the name is taken, joined inputs do not fit, or the plane has become smaller
            than the window (a mistake in a network, or parameters that do not go together).
        """
        if name in self.shapes:
            raise ValueError(f"Layer name {name!r} is used twice")
        layer = Layer(kind, name, inputs, **numbers)
        shape = _output_shape(layer, [self.shapes[i] for i in inputs])
        if min(shape) < 1:
            raise ValueError(f"nothing is left of the plane at layer {name!r}: {shape}")
        self.shapes[name] = shape
        self.layers.append(layer)
        return name

    def mark_trunk(self, start: int) -> None:
        """Call the layers from number ``start`` on the trunk, which a frozen phase keeps fixed."""
        self.trunk = tuple(layer.name for layer in self.layers[start:])

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

    def trunk_parameters(self) -> int:
        """Return how many parameters the trunk has, all counted."""
        trunk = set(self.trunk)
        return sum(
            math.prod(shape)
            for layer in self.layers
            if layer.name in trunk
            for _, shape in self._weights(layer)
        )

    def to_keras(self, name: str) -> keras.Model:
        """Build the Keras model, input ``(N, Y, X, C)`` float32 to the last layer."""
        import keras

        from napari_cellcls.models.keras_layers import keras_layer

        made: dict[str, Any] = {"input": keras.Input(self.input_shape, name="crops")}
        for layer in self.layers:
            values = [made[i] for i in layer.inputs]
            made[layer.name] = keras_layer(layer)(values if layer.kind in JOINING else values[0])
        return keras.Model(made["input"], made[self.layers[-1].name], name=name)

    def paddings(self, layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return zeros ``(before, after)`` that a windowed layer adds along Y and along X.

        An odd total has one more after than before, as in Keras.
        """
        if not layer.pads:
            return (0, 0), (0, 0)
        sizes, outs = self.shapes[layer.inputs[0]], self.shapes[layer.name]
        totals = [
            max((outs[axis] - 1) * layer.step + layer.window[axis] - sizes[axis], 0)
            for axis in (0, 1)
        ]
        y, x = ((total // 2, total - total // 2) for total in totals)
        return y, x

    def _weights(self, layer: Layer) -> list[tuple[str, Shape]]:
        channels = self.shapes[layer.inputs[0]][-1]
        bias: list[tuple[str, Shape]] = [("bias", (layer.filters,))] if layer.bias else []
        if layer.kind == "conv":
            return [("kernel", (*layer.window, channels, layer.filters)), *bias]
        if layer.kind == "depthwise":
            return [("kernel", (*layer.window, channels, 1))]
        if layer.kind == "dense":
            return [("kernel", (channels, layer.filters)), *bias]
        if layer.kind == "norm":
            names = ("gamma", "beta", *_FROZEN) if layer.gamma else ("beta", *_FROZEN)
            return [(v, (channels,)) for v in names]
        return []

    def _operations(self, layer: Layer) -> int:
        channels = self.shapes[layer.inputs[0]][-1]
        outputs = math.prod(self.shapes[layer.name])
        window = math.prod(layer.window)
        per_output = {"conv": window * channels, "depthwise": window, "dense": channels}
        return outputs * per_output.get(layer.kind, 0)


def assign(model: keras.Model, weights: Mapping[str, np.ndarray], *, part: bool = False) -> None:
    """Put package tensors (``0007:<path>``) into a Keras model made by :meth:`Plan.to_keras`.

    With ``part`` the tensors may be some of those of the model; the others stay as they are.
    """
    variables = {v.path: v for v in model.weights}
    given = {name.partition(":")[2] for name in weights}
    if not given <= set(variables) or (not part and given != set(variables)):
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
    if layer.kind in ("conv", "depthwise", "maxpool", "avgpool"):
        plane = [
            -(-size // layer.step) if layer.pads else (size - edge) // layer.step + 1
            for size, edge in zip(first[:2], layer.window, strict=True)
        ]
        return (*plane, layer.filters if layer.kind == "conv" else first[2])
    if layer.kind == "pad":
        return (first[0] + 2 * layer.margin, first[1] + 2 * layer.margin, first[2])
    if layer.kind == "mix":
        return (*first[:2], len(layer.matrix[0]))
    if layer.kind == "average":
        return (first[-1],)
    if layer.kind == "flatten":
        return (math.prod(first),)
    if layer.kind == "dense":
        return (layer.filters,)
    return _joined_shape(layer, inputs) if layer.kind in JOINING else first


def _joined_shape(layer: Layer, inputs: list[Shape]) -> Shape:
    planes = {shape[:-1] if layer.kind == "concat" else shape for shape in inputs}
    if len(planes) > 1:
        verb = "adds" if layer.kind == "add" else "joins"
        raise ValueError(f"Layer {layer.name!r} {verb} different shapes: {inputs}")
    if layer.kind == "add":
        return inputs[0]
    return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))
