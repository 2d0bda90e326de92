"""ImageNet weights for the networks that have them, read from Keras' cache; nothing is downloaded.

Numbers only are read from the file, array by array, and every shape is checked: no layer, no
configuration and no code of the file is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.models import networks, places
from napari_cellcls.models.plan import WeightSpec, assign
from napari_cellcls.vocabulary import ModelError

if TYPE_CHECKING:
    import keras

_BUNDLED = "efficientnet_lite0"
_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")


def cache() -> Path:
    """Return the folder where Keras keeps its weights (may not exist)."""
    base = os.environ.get("KERAS_HOME")
    return (Path(base) if base else Path.home() / ".keras") / "models"


def start(model: keras.Model, arch_id: str, params: Mapping[str, Any], *, wanted: bool) -> str:
    """Put ImageNet weights into a fresh network when they are wanted and there.

    Parameters
    ----------
    model : keras.Model
        Made by :func:`networks.build`, with its random weights.
    arch_id, params
        As in a recipe.
    wanted : bool
        Whether the recipe asks for them (``pretrained: imagenet``).

    Returns
    -------
    str
        One sentence that says what the training starts from.

    Raises
    ------
    ModelError
        ``MODEL-IMAGENET`` when the file is there but damaged or of another network.
    """
    if not wanted:
        return "Starts from random weights, as the recipe says."
    if arch_id == _BUNDLED:
        assign(model, _bundled(), part=True)
        return "Starts from the ImageNet weights of EfficientNet-Lite0 that come with this program."
    source = networks.architecture(arch_id).imagenet
    if source is None:
        return f"Starts from random weights: there are no ImageNet weights for {arch_id!r}."
    path = cache() / source.file
    if not path.is_file():
        return (
            f"Starts from random weights: the ImageNet weights of {source.title} are not on this "
            f"computer ({path}), and nothing is downloaded."
        )
    assign(model, read(path, arch_id, params), part=True)
    return f"Starts from the ImageNet weights of {source.title} ({path})."


def read(path: Path, arch_id: str, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read a weights file of Keras for the trunk of an architecture.

    Parameters
    ----------
    path : Path
        HDF5 file as Keras distributes it, without top.
    arch_id, params
        As in a recipe.

    Returns
    -------
    dict of str to numpy.ndarray
        Tensors of the trunk, named as in :func:`networks.weight_spec`. Kernels of the first layer
        are put in the order red, green, blue; further planes get the mean of the three.

    Raises
    ------
    ModelError
        ``MODEL-IMAGENET`` when the file is damaged or does not fit.
    """
    source = networks.architecture(arch_id).imagenet
    if source is None:
        raise _unusable(path, f"{arch_id!r} has no ImageNet network inside")
    plan = networks.plan(arch_id, params)
    trunk = set(plan.trunk)
    wanted: dict[str, WeightSpec] = {}
    for name, entry in plan.weight_spec().items():
        layer = name.partition(":")[2].rpartition("/")[0]
        if layer in trunk:
            wanted.setdefault(layer, {})[name] = entry
    try:
        found = _read_layers(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise _unusable(path, reason(error)) from None
    if set(found) != set(wanted):
        # Older files name the layers otherwise; chains of layers are in the same order anyway.
        found = dict(zip(wanted, found.values())) if len(found) == len(wanted) else {}
    result: dict[str, np.ndarray] = {}
    for layer, spec in wanted.items():
        arrays = found.get(layer, [])
        if len(arrays) != len(spec):
            raise _unusable(path, f"layer {layer!r} is missing or has other weights")
        for (name, (shape, _)), array in zip(spec.items(), arrays, strict=True):
            if name.endswith(f"{source.first}/kernel"):
                array = _for_planes(array, shape[2], source.bgr)
            if array.shape != shape:
                raise _unusable(path, f"{name[5:]} is {array.shape}, the network needs {shape}")
            if not np.isfinite(array).all():
                raise _unusable(path, f"{name[5:]} holds numbers that are not finite")
            result[name] = array
    return result


def _for_planes(kernel: np.ndarray, planes: int, bgr: bool) -> np.ndarray:
    """Return the first kernel ``(Y, X, planes, filters)`` for images with more planes than three."""
    if kernel.ndim != 4 or kernel.shape[2] != 3:
        return kernel
    rgb = kernel[:, :, ::-1] if bgr else kernel
    more = np.repeat(rgb.mean(axis=2, keepdims=True), planes - 3, axis=2)
    return np.ascontiguousarray(np.concatenate([rgb, more], axis=2))


def _read_layers(path: Path) -> dict[str, list[np.ndarray]]:
    """Return the arrays of every layer with weights, automatic numbers counted from 1."""
    import h5py

    layers: dict[str, list[np.ndarray]] = {}
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        for layer in _texts(group.attrs, "layer_names"):
            names = _texts(group[layer].attrs, "weight_names")
            if names:
                layers[layer] = [np.asarray(group[layer][name], np.float32) for name in names]
    return _renumbered(layers)


def _texts(attributes: Any, key: str) -> list[str]:
    """Return a list of names; Keras splits a long one into ``key0``, ``key1`` ..."""
    parts = [key] if key in attributes else [k for k in _counted(key) if k in attributes]
    values = [value for part in parts for value in attributes[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _counted(key: str) -> list[str]:
    return [f"{key}{i}" for i in range(100)]


def _renumbered(layers: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    numbers: dict[str, list[tuple[int, str]]] = {}
    for layer in layers:
        if match := _NUMBERED.fullmatch(layer):
            numbers.setdefault(match[1], []).append((int(match[2] or 0), layer))
    names = {
        old: f"{kind}_{rank}"
        for kind, entries in numbers.items()
        for rank, (_, old) in enumerate(sorted(entries), start=1)
    }
    return {names.get(layer, layer): arrays for layer, arrays in layers.items()}


def _bundled() -> dict[str, np.ndarray]:
    from napari_cellcls.models.package import read_package

    return read_package(places.BUNDLED / "blank.cellpkg").weights


def _unusable(path: Path, why: str) -> ModelError:
    return ModelError(
        "The ImageNet weights are not usable",
        code="MODEL-IMAGENET",
        path=path,
        why=f"{why}.",
        remedy="Remove the file to start from random weights, or get it again with Keras.",
    )
