"""Networks made for small devices: EfficientNet-Lite0 and MobileNetV2, both with inverted bottlenecks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_cellcls.models.networks.base import (
    Architecture,
    ColorChannels,
    ImageNet,
    Params,
    three_planes,
)
from napari_cellcls.models.plan import Plan


class EfficientNetLite0Params(Params):
    """Numbers of ``efficientnet_lite0``; channels are always red, green, blue.

    ``hidden`` is the width of a dense layer on the features, trained while they are frozen; 0 for
    none. The embedding is then that layer, else the 1280 features.
    """

    size: Annotated[int, Field(ge=32, le=512)] = 96
    channels: Annotated[int, Field(ge=3, le=3)] = 3
    hidden: Annotated[int, Field(ge=0, le=1024)] = 0


class MobileNetV2Params(Params):
    """Numbers of ``mobilenet_v2``, with 1, 3 or 4 channels (see :func:`three_planes`)."""

    size: Annotated[int, Field(ge=32, le=512)] = 224
    channels: ColorChannels = 3


# Stages of EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, and the "lite" variant of the same
# authors: no squeeze-and-excitation, ReLU6): repeats, window, stride, expansion, channels.
_LITE0_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip

# Measured with training/measure_scaling.py, see training/cards/blank.md: (x - 127) / 128.
_LITE0_SCALE = (255.0 / 128.0,) * 3
_LITE0_OFFSET = (-127.0 / 128.0,) * 3


def _efficientnet_lite0(p: EfficientNetLite0Params) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    x = plan.add("rescale", "scaling", "input", scale=_LITE0_SCALE, offset=_LITE0_OFFSET)
    start = len(plan.layers)
    x = plan.add("conv", "stem_conv", x, filters=32, kernel=3, stride=2)
    x = plan.add("norm", "stem_bn", x)
    x = plan.add("relu6", "stem_act", x)
    number = 0
    for repeats, kernel, first_stride, expansion, filters in _LITE0_STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = _mobile_block(plan, f"block{number}", x, kernel, stride, expansion, filters)
            number += 1
    x = plan.add("conv", "head_conv", x, filters=1280)
    x = plan.add("norm", "head_bn", x)
    x = plan.add("relu6", "head_act", x)
    plan.mark_trunk(start)
    x = plan.add("average", "features" if p.hidden else "embedding", x)
    if p.hidden:
        x = plan.add("dense", "embedding", x, filters=p.hidden, bias=True)
        plan.add("relu", "embedding_relu", x)
    return plan


def _mobile_block(
    plan: Plan, name: str, x: str, kernel: int, stride: int, expansion: int, filters: int
) -> str:
    channels = plan.shapes[x][-1]
    y = x
    if expansion != 1:
        y = plan.add("conv", f"{name}_expand", y, filters=channels * expansion)
        y = plan.add("norm", f"{name}_bn0", y)
        y = plan.add("relu6", f"{name}_act0", y)
    y = plan.add("depthwise", f"{name}_dw", y, kernel=kernel, stride=stride)
    y = plan.add("norm", f"{name}_bn1", y)
    y = plan.add("relu6", f"{name}_act1", y)
    y = plan.add("conv", f"{name}_project", y, filters=filters)
    y = plan.add("norm", f"{name}_bn2", y)
    return plan.add("add", f"{name}_add", x, y) if stride == 1 and channels == filters else y


# Stages of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381): repeats, stride, expansion, channels.
_MOBILENET_STAGES = (
    (1, 1, 1, 16), (2, 2, 6, 24), (3, 2, 6, 32), (4, 2, 6, 64), (3, 1, 6, 96), (3, 2, 6, 160),
    (1, 1, 6, 320),
)  # fmt: skip


def _mobilenet_v2(p: MobileNetV2Params) -> Plan:
    """Make MobileNetV2 to its feature vector; layer names are those of Keras, for its weights."""
    plan = Plan((p.size, p.size, p.channels))
    x = plan.add("rescale", "scaling", three_planes(plan), scale=(2.0,), offset=(-1.0,))
    start = len(plan.layers)
    x = plan.add("conv", "Conv1", x, filters=32, kernel=3, stride=2)
    x = plan.add("norm", "bn_Conv1", x)
    x = plan.add("relu6", "Conv1_relu", x)
    number = 0
    for repeats, first_stride, expansion, filters in _MOBILENET_STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            prefix = f"block_{number}" if number else "expanded_conv"
            x = _inverted_block(plan, prefix, x, stride, expansion, filters)
            number += 1
    x = plan.add("conv", "Conv_1", x, filters=1280)
    x = plan.add("norm", "Conv_1_bn", x)
    x = plan.add("relu6", "out_relu", x)
    plan.mark_trunk(start)
    plan.add("average", "embedding", x)
    return plan


def _inverted_block(
    plan: Plan, prefix: str, x: str, stride: int, expansion: int, filters: int
) -> str:
    channels = plan.shapes[x][-1]
    y = x
    if expansion != 1:
        y = plan.add("conv", f"{prefix}_expand", y, filters=channels * expansion)
        y = plan.add("norm", f"{prefix}_expand_BN", y)
        y = plan.add("relu6", f"{prefix}_expand_relu", y)
    # Keras pads by hand before a step of two; "same" pads exactly as much on the same sides.
    y = plan.add("depthwise", f"{prefix}_depthwise", y, kernel=3, stride=stride)
    y = plan.add("norm", f"{prefix}_depthwise_BN", y)
    y = plan.add("relu6", f"{prefix}_depthwise_relu", y)
    y = plan.add("conv", f"{prefix}_project", y, filters=filters)
    y = plan.add("norm", f"{prefix}_project_BN", y)
    return plan.add("add", f"{prefix}_add", x, y) if stride == 1 and channels == filters else y


_MOBILENET = ImageNet(
    "MobileNetV2",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    bgr=False,
    first="Conv1",
)

ENTRIES = (
    Architecture(
        "efficientnet_lite0", "EfficientNet-Lite0", EfficientNetLite0Params, _efficientnet_lite0
    ),
    Architecture("mobilenet_v2", "MobileNetV2", MobileNetV2Params, _mobilenet_v2, _MOBILENET),
)
