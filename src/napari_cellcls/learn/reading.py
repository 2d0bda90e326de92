"""From a recipe to its data and their sides: what is read, who is trained on, who judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.datasets.cut import read_cut
from napari_cellcls.learn.protocols import (
    SplitPlan,
    make_split,
    refuse_leaks,
    with_training_only,
)
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.learn.splits import Split, fold_split
from napari_cellcls.vocabulary import DataError, Task

_FOLDED = ("grouped", "kfold")


def open_cells(recipe: Recipe, path: Path) -> Task[CellSet]:
    """Read labelled images as a recipe wants them.

    Raises
    ------
    DataError
        As :func:`napari_cellcls.learn.datasets.open_dataset`, and ``DATA-LABEL`` when the data
        have several labels per image and the recipe takes one.
    """
    channels, size = recipe.input.channels, recipe.input.size
    if channels == "joint" or channels == "each":
        data = read_cut(path, (size, size, len(recipe.inputs)), recipe.classes)
    else:
        data = yield from open_dataset(
            path,
            size=size,
            # The first layer of the network merges the planes of rgb_merge, so that the model does it too.
            channels="rgby" if channels == "rgb_merge" else channels,
            classes=recipe.classes,
            normalization=recipe.normalization,
            frame="square" if recipe.crop.frame == "square" else "box",
            margin=recipe.crop.margin,
        )
    if recipe.protocol.by is not None:
        data = data.grouped(recipe.protocol.by)
    if data.multi_label == recipe.several_labels:
        return data
    if recipe.several_labels:
        return replace(data, labels=data.matrix.astype(np.uint8))
    raise DataError(
        "The images have several labels each, but the recipe takes one.",
        code="DATA-LABEL",
        path=path,
        why=f"loss: {recipe.loss}; layout: {data.layout}",
        remedy="Use a recipe with loss: binary_crossentropy, such as hpa_cnn.",
    )


def for_a_model(opened: Task[CellSet], label: str) -> Task[CellSet]:
    """Read labelled images for a finished model, whose classes no recipe can change.

    Raises
    ------
    DataError
        As the reader; the remedy of ``DATA-LABEL`` is about the model.
    """
    try:
        return (yield from opened)
    except DataError as error:
        if error.code != "DATA-LABEL":
            raise
        raise DataError(
            "The labels of the data are not the classes of the model.",
            code=error.code,
            path=error.path,
            why=f"{label}: {error.why}",
            remedy="Name the folders (or labels) as the model names its classes and leave other cells out, "
            "or evaluate a model of these classes.",
        ) from None


def split_of(recipe: Recipe, data: CellSet, fold: int | None) -> Task[Split]:
    """Return the checked split of a recipe.

    A protocol with folds holds fold ``fold`` out, or nothing when it is None: then the model is
    trained on all data but a validation side of whole groups, when the recipe asks for one.

    Raises
    ------
    DataError
        As :func:`napari_cellcls.learn.protocols.make_split`; ``RECIPE-VALUE`` for a fold that the
        protocol does not make.
    """
    plan = recipe.protocol.plan()
    if plan.kind not in _FOLDED or fold is not None:
        _check_fold(plan, fold)
        return (yield from make_split(data, plan, fold or 0))
    rows = np.arange(len(data))
    if not plan.val:
        return Split(train=rows, val=rows[:0], test=rows[:0])
    judged = np.flatnonzero(~data.training_only)
    of = data.take(judged, pixels=False)
    none_held = np.zeros(len(judged), np.int64)
    split = fold_split(none_held, -1, of.groups, of.labels, val=plan.val, seed=plan.seed)
    split = with_training_only(data, split, judged)
    return replace(split, notes=(yield from _judged(data, split, plan)))


def _judged(data: CellSet, split: Split, plan: SplitPlan) -> Task[tuple[str, ...]]:
    from napari_cellcls.learn.duplicates import near_duplicates

    near = yield from near_duplicates(data)
    return refuse_leaks(data, split, near, replace(plan, kind="grouped"))


def _check_fold(plan: SplitPlan, fold: int | None) -> None:
    folds = plan.folds if plan.kind in _FOLDED else 1
    if fold is not None and not 0 <= fold < folds:
        raise DataError(
            "There is no such fold.",
            code="RECIPE-VALUE",
            why=f"--fold {fold}; the protocol ({plan.kind}) makes {folds}: 0 to {folds - 1}",
            remedy="Choose one of them, or change protocol.folds.",
        )
