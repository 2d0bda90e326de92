"""Where a network starts: at random, at ImageNet, or at the weights of a model package. Keras only inside functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn.job import Job
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.vocabulary import DataError


@dataclass(frozen=True)
class Start:
    """Trained weights to go on from.

    Attributes
    ----------
    label : str
        ``name@version`` of their package.
    weights : dict of str to numpy.ndarray
        Backbone tensors named as in a package.
    head : tuple of numpy.ndarray or None
        Kernel ``(E, K)`` and bias ``(K,)`` for the classes of the job; None where the package has no head.
    groups : numpy.ndarray or None
        ``(N,)`` str, group of each cell of the data, where a head is to be fitted before the network learns.
    """

    label: str
    weights: dict[str, np.ndarray] = field(repr=False)
    head: tuple[np.ndarray, np.ndarray] | None = field(repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)


def start_of(package: ModelPackage, classes: Sequence[str]) -> Start:
    """Return the weights of a package for a network with other classes, or the same in another order.

    A class that the package does not know starts at 0: no direction, and no opinion. The head is divided by the
    temperature of the package, so that the network starts with its calibrated answers. Numbers that a head knows
    besides the embedding are left out.

    Parameters
    ----------
    package : ModelPackage
    classes : sequence of str
        Names as the package has them, in the order of the new head.
    """
    if package.head is None:
        return Start(package.manifest.label, package.weights, None)
    known = package.manifest.scheme.names
    kernel, bias = (np.asarray(w, np.float32) / package.manifest.temperature for w in package.head)
    size = package.described_size
    made = np.zeros((size, len(classes)), np.float32), np.zeros(len(classes), np.float32)
    for k, name in enumerate(classes):
        if name in known:
            made[0][:, k] = kernel[:size, known.index(name)]
            made[1][k] = bias[known.index(name)]
    return Start(package.manifest.label, package.weights, made)


def open_start(recipe: Recipe, folder: Path, job: Job) -> Start:
    """Read the package that a recipe starts from, beside it, and check that it is the one meant.

    Raises
    ------
    ModelError
        When it cannot be read.
    DataError
        ``RECIPE-START`` when it is another package, or of another network.
    """
    from napari_cellcls.models import networks

    assert recipe.start is not None
    path, wanted = folder / recipe.start.package, recipe.start.sha256
    package = read_package(path)
    ref, why = package.manifest.architecture, ""
    if package.sha256 != wanted:
        why = f"its SHA-256 is {package.sha256[:12]}, the recipe names {wanted[:12]}"
    elif (ref.id, networks.full_params(ref.id, ref.params)) != (job.architecture, job.params):
        why = f"its network is {ref.id}, that of the recipe {job.architecture} (or has other parameters)"
    if why:
        raise DataError(
            "The training cannot start from this model.",
            code="RECIPE-START",
            path=path,
            why=why,
            remedy="Put the package that the recipe names beside it, or write the other one into `start`.",
        )
    named = recipe.start.named
    return start_of(package, [named.get(name, name) for name in recipe.classes])


def begin(backbone: Any, model: Any, job: Job, start: Start | None = None) -> str:
    """Give a fresh network the weights a job asks for; return what it starts from, in words.

    Raises
    ------
    ValueError
        When the job names a package and none is given.
    """
    from napari_cellcls.models import plan
    from napari_cellcls.models.networks import imagenet

    if bool(job.start) is not (start is not None):
        raise ValueError("a job that starts from a package needs its weights, and only such a job")
    if start is None:
        wanted = job.pretrained == "imagenet"
        return imagenet.start(backbone, job.architecture, job.params, wanted=wanted)
    plan.assign(backbone, start.weights)
    if start.head is not None:
        model.layers[-1].set_weights(list(start.head))
    return f"Starts from {start.label}."
