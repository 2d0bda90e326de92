"""The Keras layer of each kind of plan layer; nothing here runs before a backend is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_cellcls.models.plan import Layer

# The data format is given everywhere: a user's keras.json may ask for channels first.
_LAST = {"data_format": "channels_last"}


def keras_layer(layer: Layer) -> Any:
    """Return the Keras layer that does what a plan layer says, under the same name."""
    from keras import layers

    return _MAKERS[layer.kind](layers, layer)


def _kernel(layer: Layer) -> dict[str, Any]:
    from keras import regularizers

    return {
        "kernel_initializer": layer.init,
        "kernel_regularizer": regularizers.L2(layer.l2) if layer.l2 else None,
    }


def _conv(k: Any, s: Layer) -> Any:
    return k.Conv2D(
        s.filters, s.window, s.step, padding=s.padding, use_bias=s.bias, name=s.name,
        **_kernel(s), **_LAST,
    )  # fmt: skip


def _depthwise(k: Any, s: Layer) -> Any:
    return k.DepthwiseConv2D(
        s.window, s.step, padding=s.padding, use_bias=False, name=s.name, **_LAST
    )


def _rescale(k: Any, s: Layer) -> Any:
    return k.Rescaling(list(s.scale), list(s.offset), name=s.name)


def _mix(k: Any, s: Layer) -> Any:
    from keras import ops

    class Mix(k.Layer):  # type: ignore[misc]
        """Fixed weighted sums of the channels of each pixel."""

        def call(self, inputs: Any) -> Any:
            return ops.matmul(inputs, ops.convert_to_tensor(s.matrix, dtype=inputs.dtype))

    return Mix(name=s.name)


_MAKERS: dict[str, Callable[[Any, Layer], Any]] = {
    "rescale": _rescale,
    "mix": _mix,
    "pad": lambda k, s: k.ZeroPadding2D(s.margin, name=s.name, **_LAST),
    "conv": _conv,
    "depthwise": _depthwise,
    "dense": lambda k, s: k.Dense(s.filters, use_bias=s.bias, name=s.name, **_kernel(s)),
    "norm": lambda k, s: k.BatchNormalization(
        epsilon=s.epsilon, momentum=0.99, scale=s.gamma, name=s.name
    ),
    "relu": lambda k, s: k.ReLU(name=s.name),
    "relu6": lambda k, s: k.ReLU(max_value=6.0, name=s.name),
    "maxpool": lambda k, s: k.MaxPooling2D(s.window, s.step, padding="valid", name=s.name, **_LAST),
    "avgpool": lambda k, s: k.AveragePooling2D(
        s.window, s.step, padding="same", name=s.name, **_LAST
    ),
    "average": lambda k, s: k.GlobalAveragePooling2D(name=s.name, **_LAST),
    "flatten": lambda k, s: k.Flatten(name=s.name, **_LAST),
    "add": lambda k, s: k.Add(name=s.name),
    "concat": lambda k, s: k.Concatenate(axis=-1, name=s.name),
    "dropout": lambda k, s: k.Dropout(s.rate, name=s.name),
}
