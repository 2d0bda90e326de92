"""Residual networks: our small one for cell crops, and ResNet50 and ResNet152 for any channels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_cellcls.models.networks.base import Architecture, Channels, ImageNet, Params
from napari_cellcls.models.plan import Plan

# Mean red, green and blue of ImageNet in 0..255, which its ResNet and VGG weights expect removed.
MEANS = (123.68, 116.779, 103.939)
_EPSILON = 1.001e-5


class CellResnetParams(Params):
    """Numbers of ``cell_resnet``.

    ``width`` is the channels of the first of three stages (then twice, then four times as many);
    ``blocks`` the residual blocks of each stage; ``embedding`` the length of the output.
    """

    size: Annotated[int, Field(ge=16, le=256)] = 50
    channels: Channels = 3
    width: Annotated[int, Field(ge=8, le=96, multiple_of=2)] = 32
    blocks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=6)], ...],
        Field(min_length=3, max_length=3, strict=False),
    ] = (1, 2, 2)
    embedding: Annotated[int, Field(ge=16, le=1024)] = 128


class ResNetParams(Params):
    """Numbers of ``resnet50`` and ``resnet152``; the first convolution takes any number of planes."""

    size: Annotated[int, Field(ge=32, le=512)] = 128
    channels: Annotated[int, Field(ge=3, le=16)] = 4


def _cell_resnet(p: CellResnetParams) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    # The first layer keeps every pixel: a ring-stage parasite is only some four pixels wide at 50 px.
    x = plan.add("conv", "stem_conv", "input", filters=p.width // 2, kernel=3)
    x = plan.add("norm", "stem_norm", x)
    x = plan.add("relu", "stem_relu", x)
    for stage, blocks in enumerate(p.blocks, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 else 1
            name = f"stage{stage}_block{block}"
            x = _residual_block(plan, name, x, p.width * 2 ** (stage - 1), stride)
    x = plan.add("average", "pool", x)
    x = plan.add("dense", "embedding", x, filters=p.embedding, bias=True)
    plan.add("relu", "embedding_relu", x)
    return plan


def _residual_block(plan: Plan, name: str, x: str, filters: int, stride: int) -> str:
    """Add two depthwise-separable convolutions and a shortcut."""
    y = plan.add("depthwise", f"{name}_depth1", x, kernel=3, stride=stride)
    y = plan.add("conv", f"{name}_point1", y, filters=filters)
    y = plan.add("norm", f"{name}_norm1", y)
    y = plan.add("relu", f"{name}_relu1", y)
    y = plan.add("depthwise", f"{name}_depth2", y, kernel=3)
    y = plan.add("conv", f"{name}_point2", y, filters=filters)
    y = plan.add("norm", f"{name}_norm2", y)
    if stride != 1 or plan.shapes[x][-1] != filters:
        x = plan.add("conv", f"{name}_short", x, filters=filters, stride=stride)
        x = plan.add("norm", f"{name}_short_norm", x)
    x = plan.add("add", f"{name}_add", x, y)
    return plan.add("relu", f"{name}_out", x)


def imagenet_scaling(plan: Plan, x: str) -> str:
    """Add the scaling of ResNet and VGG: 0..1 to 0..255 less the mean; more planes get its mean."""
    channels = plan.shapes[x][-1]
    means = (MEANS + (sum(MEANS) / 3,) * channels)[:channels]
    return plan.add(
        "rescale", "scaling", x, scale=(255.0,) * channels, offset=tuple(-mean for mean in means)
    )


def _resnet50(p: ResNetParams) -> Plan:
    return _resnet(p, (3, 4, 6, 3))


def _resnet152(p: ResNetParams) -> Plan:
    return _resnet(p, (3, 8, 36, 3))


def _resnet(p: ResNetParams, blocks: tuple[int, ...]) -> Plan:
    """Make a ResNet of version 1 (He et al. 2016, arXiv 1512.03385) up to the mean of the last plane."""
    plan = Plan((p.size, p.size, p.channels))
    x = imagenet_scaling(plan, "input")
    start = len(plan.layers)
    x = plan.add("pad", "conv1_pad", x, margin=3)
    x = plan.add(
        "conv", "conv1_conv", x, filters=64, kernel=7, stride=2, padding="valid", bias=True
    )
    x = plan.add("norm", "conv1_bn", x, epsilon=_EPSILON)
    x = plan.add("relu", "conv1_relu", x)
    x = plan.add("pad", "pool1_pad", x, margin=1)
    x = plan.add("maxpool", "pool1_pool", x, kernel=3, stride=2)
    for stage, count in enumerate(blocks, start=2):
        for block in range(1, count + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            x = _bottleneck(plan, f"conv{stage}_block{block}", x, 32 << (stage - 1), stride)
    plan.mark_trunk(start)
    plan.add("average", "embedding", x)
    return plan


def _bottleneck(plan: Plan, name: str, x: str, filters: int, stride: int) -> str:
    y = x
    if plan.shapes[x][-1] != 4 * filters:
        x = plan.add("conv", f"{name}_0_conv", x, filters=4 * filters, stride=stride, bias=True)
        x = plan.add("norm", f"{name}_0_bn", x, epsilon=_EPSILON)
    for i, (width, kernel) in enumerate(((filters, 1), (filters, 3), (4 * filters, 1)), start=1):
        step = stride if i == 1 else 1
        y = plan.add(
            "conv", f"{name}_{i}_conv", y, filters=width, kernel=kernel, stride=step, bias=True
        )
        y = plan.add("norm", f"{name}_{i}_bn", y, epsilon=_EPSILON)
        if i < 3:
            y = plan.add("relu", f"{name}_{i}_relu", y)
    x = plan.add("add", f"{name}_add", x, y)
    return plan.add("relu", f"{name}_out", x)


def _imagenet(layers: int) -> ImageNet:
    file = f"resnet{layers}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return ImageNet(f"ResNet{layers}", file, bgr=True, first="conv1_conv")


ENTRIES = (
    Architecture("cell_resnet", "Cell ResNet", CellResnetParams, _cell_resnet),
    Architecture("resnet50", "ResNet50", ResNetParams, _resnet50, _imagenet(50)),
    Architecture("resnet152", "ResNet152", ResNetParams, _resnet152, _imagenet(152)),
)
