"""Every architecture by registry id, with bounded parameters: the only way a network is made.

A package names an architecture and gives numbers within the bounds below; it can bring no code and
no layer graph of its own. Network inputs are float32 ``(N, Y, X, C)`` in 0..1; any further scaling
is a layer. The output is the embedding ``(N, E)``; the head is not part of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_cellcls.models.plan import Plan, WeightSpec
from napari_cellcls.vocabulary import ModelError

if TYPE_CHECKING:
    import keras

MAX_PARAMETERS = 60_000_000

_Channels = Annotated[int, Field(ge=1, le=16)]


class Params(BaseModel):
    """Numbers of one architecture; every subclass bounds each of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    size: int
    channels: int


class MalariaCnnParams(Params):
    """Numbers of ``malaria_cnn``; the defaults are the published network."""

    size: Annotated[int, Field(ge=16, le=128)] = 50
    channels: _Channels = 3
    embedding: Annotated[int, Field(ge=8, le=512)] = 110


class EfficientNetLite0Params(Params):
    """Numbers of ``efficientnet_lite0``; channels are always red, green, blue."""

    size: Annotated[int, Field(ge=32, le=512)] = 96
    channels: Annotated[int, Field(ge=3, le=3)] = 3


class CellResnetParams(Params):
    """Numbers of ``cell_resnet``.

    ``width`` is the channels of the first of three stages (then twice, then four times as many);
    ``blocks`` the residual blocks of each stage; ``embedding`` the length of the output.
    """

    size: Annotated[int, Field(ge=16, le=256)] = 50
    channels: _Channels = 3
    width: Annotated[int, Field(ge=8, le=96, multiple_of=2)] = 32
    blocks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=6)], ...],
        Field(min_length=3, max_length=3, strict=False),
    ] = (1, 2, 2)
    embedding: Annotated[int, Field(ge=16, le=1024)] = 128


@dataclass(frozen=True)
class Architecture:
    """An entry of the registry: id, title for people, parameter model and the plan it makes."""

    id: str
    title: str
    params: type[Params]
    make_plan: Callable[[Any], Plan]


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
    plan.add("average", "embedding", x)
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


ARCHITECTURES: Mapping[str, Architecture] = {
    a.id: a
    for a in (
        Architecture(
            "malaria_cnn", "Malaria CNN (three convolutions)", MalariaCnnParams, _malaria_cnn
        ),
        Architecture(
            "efficientnet_lite0", "EfficientNet-Lite0", EfficientNetLite0Params, _efficientnet_lite0
        ),
        Architecture("cell_resnet", "Cell ResNet", CellResnetParams, _cell_resnet),
    )
}


def architecture(arch_id: str) -> Architecture:
    """Return a registered architecture.

    Raises
    ------
    ModelError
        ``MODEL-NEWER`` when the id is unknown: a newer version of the plugin may know it.
    """
    found = ARCHITECTURES.get(arch_id)
    if found is None:
        raise ModelError(
            "This model needs a newer version of napari-cellcls",
            code="MODEL-NEWER",
            why=f"its architecture is {arch_id!r}; this version knows {', '.join(ARCHITECTURES)}.",
            remedy="Update with: pip install --upgrade napari-cellcls",
        )
    return found


def plan(arch_id: str, params: Mapping[str, Any]) -> Plan:
    """Return the layers of an architecture with these parameters.

    Raises
    ------
    ModelError
        ``MODEL-NEWER`` (unknown id), ``MODEL-PARAMS`` (a parameter unknown or out of bounds, or
        more than 60 million weights).
    """
    entry = architecture(arch_id)
    try:
        made = entry.make_plan(entry.params.model_validate(dict(params)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=True)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _bad_params(
            arch_id, f"{where}: {first['msg']}; received {first['input']!r:.80}"
        ) from None
    total = made.parameters()[0]
    if total > MAX_PARAMETERS:
        raise _bad_params(arch_id, f"{total:,} weights; at most {MAX_PARAMETERS:,} are allowed")
    return made


def full_params(arch_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` checked and completed with defaults, ready for JSON."""
    plan(arch_id, params)
    return architecture(arch_id).params.model_validate(dict(params)).model_dump(mode="json")


def build(arch_id: str, params: Mapping[str, Any]) -> keras.Model:
    """Build the Keras model, crops ``(N, size, size, channels)`` to embeddings ``(N, E)``."""
    return plan(arch_id, params).to_keras(arch_id)


def weight_spec(arch_id: str, params: Mapping[str, Any]) -> WeightSpec:
    """Return name to ``(shape, dtype)`` of every tensor, without importing Keras."""
    return plan(arch_id, params).weight_spec()


def operations(arch_id: str, params: Mapping[str, Any]) -> int:
    """Return the multiply-adds of the network for one crop."""
    return plan(arch_id, params).operations()


def input_shape(arch_id: str, params: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return ``(Y, X, C)`` of one crop."""
    y, x, channels = plan(arch_id, params).input_shape
    return y, x, channels


def embedding_size(arch_id: str, params: Mapping[str, Any]) -> int:
    """Return the length E of the embedding of one crop."""
    return plan(arch_id, params).output_shape[0]


def parameter_count(arch_id: str, params: Mapping[str, Any], classes: int = 0) -> tuple[int, int]:
    """Return ``(all, trainable)`` parameters, with a dense head when ``classes`` is given."""
    made = plan(arch_id, params)
    head = classes * (made.output_shape[0] + 1)
    total, trainable = made.parameters()
    return total + head, trainable + head


def _bad_params(arch_id: str, why: str) -> ModelError:
    return ModelError(
        f"The parameters of architecture {arch_id!r} are not usable",
        code="MODEL-PARAMS",
        why=f"{why}.",
        remedy="Ask the author of the model for a corrected package.",
    )
