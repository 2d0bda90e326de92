"""VGG16 as a feature extractor, and the published HPA classifier around it (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_cellcls.models.networks.base import (
    Architecture,
    ColorChannels,
    ImageNet,
    Params,
    three_planes,
)
from napari_cellcls.models.networks.resnet import imagenet_scaling
from napari_cellcls.models.plan import Plan


class Vgg16Params(Params):
    """Numbers of ``vgg16``, with 1, 3 or 4 channels (see :func:`three_planes`).

    ``hidden`` is the width of a dense layer on the features, trained while they are frozen; 0 for
    none. The embedding is then that layer, else the 512 features.
    """

    size: Annotated[int, Field(ge=32, le=512)] = 50
    channels: ColorChannels = 3
    hidden: Annotated[int, Field(ge=0, le=1024)] = 0


class HpaWrapParams(Params):
    """Numbers of the published HPA classifiers around an ImageNet network.

    Four channels (red, green, blue, yellow) are merged to three inside, as published. ``kernel``
    is the edge of the extra convolution: 1 in the published summary, 3 in its code.
    """

    size: Annotated[int, Field(ge=75, le=320)] = 299
    channels: ColorChannels = 4
    kernel: Literal[1, 3] = 1


def hpa_front(p: HpaWrapParams) -> tuple[Plan, str]:
    """Begin a published HPA classifier: the RGBY merge and the batch normalization."""
    plan = Plan((p.size, p.size, p.channels))
    return plan, plan.add("norm", "input_norm", three_planes(plan))


def hpa_back(plan: Plan, x: str, kernel: int) -> None:
    """End it: convolution, dropout, dense 512 and dropout; the 28 outputs are the head."""
    x = plan.add("conv", "extra_conv", x, filters=128, kernel=kernel, bias=True)
    x = plan.add("relu", "extra_relu", x)
    x = plan.add("flatten", "flatten", x)
    x = plan.add("dropout", "drop1", x, rate=0.5)
    x = plan.add("dense", "embedding", x, filters=512, bias=True)
    x = plan.add("relu", "embedding_relu", x)
    plan.add("dropout", "drop2", x, rate=0.5)


def _vgg16(p: Vgg16Params) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    x = _body(plan, imagenet_scaling(plan, three_planes(plan)))
    x = plan.add("average", "features", x)
    if p.hidden:
        x = plan.add("dense", "embedding", x, filters=p.hidden, bias=True)
        plan.add("relu", "embedding_relu", x)
    return plan


def _hpa_vgg16(p: HpaWrapParams) -> Plan:
    plan, x = hpa_front(p)
    hpa_back(plan, _body(plan, x), p.kernel)
    return plan


def _body(plan: Plan, x: str) -> str:
    """Add the convolutions of VGG16 under the layer names of Keras."""
    start = len(plan.layers)
    for block, (count, filters) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
    ):
        for i in range(1, count + 1):
            name = f"block{block}_conv{i}"
            x = plan.add("conv", name, x, filters=filters, kernel=3, bias=True)
            x = plan.add("relu", f"{name}_relu", x)
        x = plan.add("maxpool", f"block{block}_pool", x, kernel=2)
    plan.mark_trunk(start)
    return x


_IMAGENET = ImageNet(
    "VGG16",
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    bgr=True,
    first="block1_conv1",
)

ENTRIES = (
    Architecture("vgg16", "VGG16", Vgg16Params, _vgg16, _IMAGENET),
    Architecture("hpa_vgg16", "HPA VGG16", HpaWrapParams, _hpa_vgg16, _IMAGENET),
)
