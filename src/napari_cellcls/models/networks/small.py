"""The small published networks: malaria, 2D HeLa and Human Protein Atlas, trained from random weights.

Where a publication leaves something open, the choice is written beside it; ``docs/networks.md``
gives the table.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from napari_cellcls.models.networks.base import (
    Architecture,
    Channels,
    ColorChannels,
    Params,
    three_planes,
)
from napari_cellcls.models.plan import Plan


class MalariaCnnParams(Params):
    """Numbers of ``malaria_cnn``; the defaults are the published network."""

    size: Annotated[int, Field(ge=16, le=128)] = 50
    channels: Channels = 3
    embedding: Annotated[int, Field(ge=8, le=512)] = 110


class HelaAllconvParams(Params):
    """Numbers of ``hela_allconv``, with 1, 3 or 4 channels (see :func:`three_planes`)."""

    size: Annotated[int, Field(ge=8, le=512)] = 32
    channels: ColorChannels = 3


class HelaCnnL2Params(Params):
    """Numbers of ``hela_cnn_l2``."""

    size: Annotated[int, Field(ge=20, le=128)] = 28
    channels: Channels = 1


class HelaCnnParams(Params):
    """Numbers of ``hela_cnn``; ``padding`` is not published.

    ``valid`` is the default: with 28 pixels every pooling then halves an even plane (24, 8, 2)
    and nothing is cut off, while ``same`` drops the last row and column of a plane of 7.
    """

    size: Annotated[int, Field(ge=28, le=256)] = 28
    channels: Channels = 1
    padding: Literal["valid", "same"] = "valid"


class HpaCnnParams(Params):
    """Numbers of ``hpa_cnn``."""

    size: Annotated[int, Field(ge=36, le=256)] = 128
    channels: Channels = 4


class HpaCnnBnParams(Params):
    """Numbers of ``hpa_cnn_bn``; ``hidden`` are the first two of its three dense layers."""

    size: Annotated[int, Field(ge=32, le=256)] = 128
    channels: Channels = 4
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=8, le=1024)], ...],
        Field(min_length=2, max_length=2, strict=False),
    ] = (256, 128)


def _malaria_cnn(p: MalariaCnnParams) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    x = "input"
    for i, filters in enumerate((32, 64, 64), start=1):
        x = plan.add("conv", f"conv{i}", x, filters=filters, kernel=3, bias=True)
        x = plan.add("relu", f"relu{i}", x)
        x = plan.add("maxpool", f"pool{i}", x, kernel=2)
        x = plan.add("norm", f"norm{i}", x)
    x = plan.add("flatten", "flatten", x)
    x = plan.add("dense", "embedding", x, filters=p.embedding, bias=True)
    plan.add("relu", "embedding_relu", x)
    return plan


def _hela_allconv(p: HelaAllconvParams) -> Plan:
    """Make the all-convolutional net (Springenberg et al. 2015, arXiv 1412.6806) without its last layer.

    A ReLU follows every convolution but the last, as in that paper. The last one, ten 1x1 kernels
    without activation, is the head: the mean over the plane and a 1x1 convolution are both linear
    and can be swapped, so mean first and dense head second give the same logits.
    """
    plan = Plan((p.size, p.size, p.channels))
    x = three_planes(plan)
    steps = ((96, 1, 0.2), (96, 1, 0.0), (96, 2, 0.5), (192, 1, 0.0), (192, 1, 0.0), (192, 2, 0.5))
    for i, (filters, stride, drop) in enumerate(steps, start=1):
        x = _conv_relu(plan, str(i), x, filters=filters, kernel=3, stride=stride)
        if drop:
            x = plan.add("dropout", f"drop{i}", x, rate=drop)
    x = _conv_relu(plan, "7", x, filters=192, kernel=3)
    x = _conv_relu(plan, "8", x, filters=192, kernel=1)
    plan.add("average", "embedding", x)
    return plan


def _hela_cnn_l2(p: HelaCnnL2Params) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    rule: dict[str, Any] = {"padding": "valid", "init": "he_uniform", "l2": 5e-4}
    x = "input"
    for i, (filters, kernel, drop) in enumerate(((32, 5, 0.2), (64, 3, 0.3)), start=1):
        x = _conv_relu(plan, f"{i}a", x, filters=filters, kernel=kernel, **rule)
        x = _conv_relu(plan, f"{i}b", x, filters=filters, kernel=kernel, **rule)
        x = plan.add("maxpool", f"pool{i}", x, kernel=2)
        x = plan.add("dropout", f"drop{i}", x, rate=drop)
    x = plan.add("flatten", "flatten", x)
    x = plan.add("dense", "embedding", x, filters=128, bias=True, init="he_uniform")
    x = plan.add("relu", "embedding_relu", x)
    plan.add("dropout", "drop3", x, rate=0.4)
    return plan


def _hela_cnn(p: HelaCnnParams) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    x = "input"
    for i, (filters, kernel) in enumerate(((64, 5), (64, 5), (128, 3)), start=1):
        x = _conv_relu(plan, str(i), x, filters=filters, kernel=kernel, padding=p.padding)
        x = plan.add("maxpool", f"pool{i}", x, kernel=2)
    x = plan.add("flatten", "flatten", x)
    x = plan.add("dense", "embedding", x, filters=128, bias=True)
    plan.add("relu", "embedding_relu", x)
    return plan


def _hpa_cnn(p: HpaCnnParams) -> Plan:
    plan = Plan((p.size, p.size, p.channels))
    x = "input"
    for i in (1, 2, 3):
        x = _conv_relu(plan, f"{i}a", x, filters=32, kernel=3, padding="valid")
        x = _conv_relu(plan, f"{i}b", x, filters=64, kernel=3, padding="valid")
        if i < 3:
            x = plan.add("maxpool", f"pool{i}", x, kernel=2)
    x = plan.add("dropout", "drop1", x, rate=0.25)
    x = plan.add("flatten", "flatten", x)
    x = plan.add("dense", "embedding", x, filters=128, bias=True)
    x = plan.add("relu", "embedding_relu", x)
    plan.add("dropout", "drop2", x, rate=0.5)
    return plan


def _hpa_cnn_bn(p: HpaCnnBnParams) -> Plan:
    """Make four convolutions and two of the three dense layers; the third is the head.

    Published are the filters, "BatchNorm and Dropout" and the number of dense layers. Chosen here:
    3x3 same, pooling by 2 after each, dropout .25 (convolutions) and .5 (dense), 256 and 128 units.
    """
    plan = Plan((p.size, p.size, p.channels))
    x = "input"
    for i, filters in enumerate((16, 32, 64, 128), start=1):
        x = plan.add("conv", f"conv{i}", x, filters=filters, kernel=3, bias=True)
        x = plan.add("norm", f"norm{i}", x)
        x = plan.add("relu", f"relu{i}", x)
        x = plan.add("maxpool", f"pool{i}", x, kernel=2)
        x = plan.add("dropout", f"drop{i}", x, rate=0.25)
    x = plan.add("flatten", "flatten", x)
    for i, units in enumerate(p.hidden, start=1):
        x = plan.add("dense", f"dense{i}", x, filters=units, bias=True)
        x = plan.add("relu", f"dense{i}_relu", x)
        x = plan.add("dropout", f"dense{i}_drop", x, rate=0.5)
    return plan


def _conv_relu(plan: Plan, name: str, x: str, **numbers: Any) -> str:
    x = plan.add("conv", f"conv{name}", x, bias=True, **numbers)
    return plan.add("relu", f"relu{name}", x)


ENTRIES = (
    Architecture("malaria_cnn", "Malaria CNN (three convolutions)", MalariaCnnParams, _malaria_cnn),
    Architecture("hela_allconv", "HeLa all-convolutional net", HelaAllconvParams, _hela_allconv),
    Architecture("hela_cnn_l2", "HeLa CNN with L2", HelaCnnL2Params, _hela_cnn_l2),
    Architecture("hela_cnn", "HeLa CNN", HelaCnnParams, _hela_cnn),
    Architecture("hpa_cnn", "HPA CNN", HpaCnnParams, _hpa_cnn),
    Architecture("hpa_cnn_bn", "HPA CNN with batch normalization", HpaCnnBnParams, _hpa_cnn_bn),
)
