"""Which network describes the cells of a quick fine-tune: the released model's own, or a general one.

Its own, unless people labeled a class that it does not know, and it brings cells by which a general network that
is installed can learn its classes (:mod:`napari_cellcls.models.general`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.descriptor import size_of
from napari_cellcls.learn.labels import Labels
from napari_cellcls.models import registry
from napari_cellcls.models.general import general_of
from napari_cellcls.models.package import WEIGHTS

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage


def network_for(
    base: ModelPackage, labels: Labels, known: Mapping[int, int]
) -> tuple[ModelPackage, tuple[str, ...]]:
    """Return the network that is to describe the cells, and what a person should know of the choice.

    Parameters
    ----------
    base : ModelPackage
        Released model that the learning starts from.
    labels : Labels
    known : mapping of int to int
        Class of the base -> column of the labels.

    Returns
    -------
    tuple of (ModelPackage, tuple of str)
        The base itself, or a network without classes that sees cells of the base's kind.
    """
    labeled = np.flatnonzero((labels.targets == 1).any(axis=0)).tolist()
    new = [labels.classes[k].name for k in labeled if k not in known.values()]
    if not new or base.head is None or not known:
        return base, ()
    title, names = base.manifest.title, ", ".join(new)
    found = _general(base)
    if found is None:
        note = (
            f"{title} does not know {names}, and its network was made to tell its own classes apart: it may "
            "not see what is new. If the verdict disappoints, label some cells of every class and start "
            "from blank."
        )
        return base, (note,)
    manifest = base.manifest
    network = replace(
        found,
        manifest=found.manifest.model_copy(
            update={
                "title": title,
                "cells": manifest.cells,
                "data_terms": manifest.data_terms,
            }
        ),
    )
    note = (
        f"{title} does not know {names}, and its network was made to tell its own classes apart. So the "
        f"network of {found.manifest.name} described the cells, and {title} taught it its classes by cells "
        "of its own. Classifying takes longer with it."
    )
    return network, (note,)


def _general(base: ModelPackage) -> ModelPackage | None:
    """Return the installed network that the base's cells are described by."""
    cells = general_of(base)
    if cells is None:
        return None
    for entry in registry.entries():
        manifest = entry.manifest
        if manifest is None or manifest.classes or manifest.files[WEIGHTS].sha256 != cells.network:
            continue
        package = registry.load(entry.label)
        if cells.values.shape[1] == package.embedding_size + size_of(len(base.manifest.inputs)):
            return package
    return None
