"""Every architecture by registry id, with bounded parameters: the only way a network is made.

A package names an architecture and gives numbers within its bounds; it can bring no code and no
layer graph of its own. Network inputs are float32 ``(N, Y, X, C)`` in 0..1; any further scaling
is a layer. The output is the embedding ``(N, E)``; the head is not part of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_cellcls.models.networks import inception, mobile, resnet, small, vgg
from napari_cellcls.models.networks.base import Architecture
from napari_cellcls.models.plan import Plan, WeightSpec
from napari_cellcls.vocabulary import ModelError

if TYPE_CHECKING:
    import keras

MAX_PARAMETERS = 64_000_000

ARCHITECTURES: Mapping[str, Architecture] = {
    entry.id: entry
    for family in (small, resnet, mobile, vgg, inception)
    for entry in family.ENTRIES
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
        a plane that shrinks to nothing, more than 64 million weights).
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
    except ValueError as error:
        raise _bad_params(arch_id, str(error)) from None
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


def build_each(arch_id: str, params: Mapping[str, Any], channels: int) -> keras.Model:
    """Build a model that passes each channel through the network as gray and joins the embeddings.

    Parameters
    ----------
    arch_id, params
        A network of three planes.
    channels : int
        Channels of the crops; any number.

    Returns
    -------
    keras.Model
        Crops ``(N, size, size, channels)`` in 0..1 to ``(N, channels * E)``, channel after channel:
        the same numbers as the channel policy "each" of a package. The network is the layer named
        ``arch_id``.

    Raises
    ------
    ModelError
        As :func:`plan`, and ``MODEL-PARAMS`` for a network that does not take three planes.
    """
    size, _, planes = input_shape(arch_id, params)
    if planes != 3 or channels < 1:
        raise _bad_params(
            arch_id, f"{channels} channels, one by one, for a network of {planes} planes, not 3"
        )
    import keras
    from keras import ops

    network = build(arch_id, params)
    crops = keras.Input((size, size, channels), name="crops")
    gray = ops.reshape(ops.transpose(crops, (0, 3, 1, 2)), (-1, size, size, 1))
    embeddings = network(ops.repeat(gray, 3, axis=-1))
    joined = ops.reshape(embeddings, (-1, channels * embeddings.shape[-1]))
    return keras.Model(crops, joined, name=f"{arch_id}_each")


def freeze(model: keras.Model, arch_id: str, params: Mapping[str, Any], frozen: bool) -> None:
    """Keep the ImageNet network of an architecture fixed while training, or let it go again.

    Layers around it stay trainable. An architecture without such a network is kept fixed as a
    whole, so that only the head learns. Compile the model again afterwards.

    Parameters
    ----------
    model : keras.Model
        The network, or any model built on it.
    arch_id, params
        As in a recipe.
    frozen : bool
    """
    made = plan(arch_id, params)
    names = set(made.trunk) or {layer.name for layer in made.layers}
    for layer in model.layers:
        if layer.name in names:
            layer.trainable = not frozen
        elif hasattr(layer, "layers"):
            freeze(layer, arch_id, params, frozen)


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


def frozen_count(arch_id: str, params: Mapping[str, Any]) -> int:
    """Return how many parameters :func:`freeze` keeps fixed (normalization statistics included)."""
    made = plan(arch_id, params)
    return made.trunk_parameters() if made.trunk else made.parameters()[0]


def _bad_params(arch_id: str, why: str) -> ModelError:
    return ModelError(
        f"The parameters of architecture {arch_id!r} are not usable",
        code="MODEL-PARAMS",
        why=f"{why}.",
        remedy="Ask the author of the model for a corrected package.",
    )
