"""The beginning of a deep fine-tune: a folder with all that its training needs, here or elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_cellcls import files
from napari_cellcls.learn import deep_recipe
from napari_cellcls.learn.datasets.cellset import CellSet
from napari_cellcls.learn.datasets.cut import write_cut
from napari_cellcls.learn.holdout import held_out, past_sides
from napari_cellcls.learn.labels import Labels, labeled_cells, shares
from napari_cellcls.learn.lesson import make_lesson
from napari_cellcls.learn.recipe import parse_recipe
from napari_cellcls.learn.roster import Roster, roster, same_classes
from napari_cellcls.learn.tune_recipe import applied
from napari_cellcls.models import registry
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project import versions
from napari_cellcls.project.errors import unwritable
from napari_cellcls.vocabulary import DataError, Task

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.state import CellState

RECIPE, DATA = "recipe.yaml", "data"
ABOUT, ANSWERS = "tune.json", "answers.npy"
_SALT = "validation|"


@dataclass(frozen=True, eq=False)
class _Begun:
    data: CellSet
    recipe: dict[str, Any]
    answers: np.ndarray
    about: dict[str, Any]


def runs_folder(project: Project) -> Path:
    """Return where the trainings of a project are (may not exist)."""
    return project.folder / "runs"


def begin(
    project: Project,
    base: ModelPackage | str,
    *,
    seed: int = 42,
    changes: Mapping[str, Any] | None = None,
) -> Task[Path]:
    """Write the folder of a new training; return it.

    The groups that judge are those a quick fine-tune holds out too; they are never learned from.

    Parameters
    ----------
    project : Project
        Its journal is read once, at the call.
    base : ModelPackage or str
        A released model, or its name or path.
    seed : int
    changes : mapping, optional
        What is wanted otherwise: keys of :class:`napari_cellcls.learn.tune_recipe.TuneRecipe`.

    Raises
    ------
    DataError
        ``LEARN-FEW``, ``DEEP-FORGETS``, ``RECIPE-VALUE``.
    OSError
        When the folder cannot be written.
    """
    cells = tuple(project.journal.state.cells.values())

    def task() -> Task[Path]:
        package = registry.load(base) if isinstance(base, str) else base
        begun = yield from _begin(project, package, cells, seed, changes or {})
        folder = runs_folder(project) / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        try:
            write_training(folder, begun.data, package, begun.recipe)
            with files.atomic_path(folder / ANSWERS) as temporary:
                np.save(temporary, begun.answers, allow_pickle=False)
            # Last: a folder without it is no training.
            files.write_bytes(folder / ABOUT, json.dumps(begun.about, indent=1).encode())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    return task()


def export(
    project: Project,
    base: ModelPackage | str,
    folder: Path,
    *,
    seed: int = 42,
    changes: Mapping[str, Any] | None = None,
) -> Task[dict[str, int]]:
    """Write what a training needs into a folder of its own, to be trained elsewhere; return the cells of each side.

    ``cellcls train recipe.yaml --data data --out run`` does there what a deep fine-tune does here. Other parameters as in
    :func:`begin`.

    Parameters
    ----------
    folder : Path
        New, or empty.

    Raises
    ------
    DataError
        As :func:`begin`, and ``DEEP-EXISTS``.
    ProjectError
        ``PROJECT-WRITE``.
    """
    cells = tuple(project.journal.state.cells.values())
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            "There is something in this place already.",
            code="DEEP-EXISTS",
            path=folder,
            remedy="Name a folder that is not there yet.",
        )

    def task() -> Task[dict[str, int]]:
        package = registry.load(base) if isinstance(base, str) else base
        begun = yield from _begin(project, package, cells, seed, changes or {})
        try:
            write_training(folder, begun.data, package, begun.recipe)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise unwritable(folder, error) from error
        sides = [begun.data.sides[group] for group in begun.data.groups[~begun.data.training_only]]
        return {side: sides.count(side) for side in ("training", "validation", "test")}

    return task()


def _begin(
    project: Project,
    base: ModelPackage,
    cells: tuple[CellState, ...],
    seed: int,
    changes: Mapping[str, Any],
) -> Task[_Begun]:
    state, several = project.journal.state, project.description.multi_label
    labels = labeled_cells(state, multi_label=several, cells=cells)
    past = past_sides(versions.history(project).versions)
    held = held_out(labels, np.arange(len(labels)), past)
    judges = sorted(set(labels.groups[held].tolist()))
    known = same_classes(base, labels, state)
    who = roster(labels, np.flatnonzero(~held), known, base.manifest.title)
    _enough(labels, who)
    _can_keep(labels, ~held, who, set(known.values()), base.manifest.title)
    seed = int(changes.get("seed") or seed)
    back = {column: k for k, column in known.items()}
    lesson = yield from make_lesson(
        project, labels, base, who.names, labels.targets[:, list(who.columns)],
        [back.get(column) for column in who.columns], multi_label=several, held=judges, seed=seed,
    )  # fmt: skip
    data = replace(lesson.data, sides=side_of_each(lesson.data, judges))
    own = np.isin(data.groups, [g for g, side in data.sides.items() if side == "training"])
    names = {one: base.manifest.classes[back[column]].name
             for one, column in zip(who.names, who.columns) if column in back}  # fmt: skip
    content = deep_recipe.deep_recipe(
        base, who.names, {new: old for new, old in names.items() if new != old}, lesson.inputs,
        title=f"{base.manifest.title}, fine-tuned in {project.description.name}", multi_label=several,
        cells=int(own.sum()), validated="validation" in data.sides.values(), seed=seed,
    )  # fmt: skip
    content = applied(content, changes)
    parse_recipe(content)  # what contradicts itself is told now, not by the child
    about = {
        "base": base.manifest.label,
        "labels": labels.sha256,
        "cells": [labels.ids[row] for row in lesson.rows],
        "classes": [asdict(one) for one in who.classes],
        "columns": [labels.classes[k].id for k in who.columns],
        "held": [labels.ids[row] for row in np.flatnonzero(held)],
        "notes": [*lesson.notes, *who.notes],
        "changes": _digest(changes),
        "seed": seed,
    }
    return _Begun(data, content, lesson.known, about)


def _digest(changes: Mapping[str, Any]) -> str:
    """Return what tells trials with other recipes apart, "" without changes."""
    text = json.dumps(dict(changes), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest() if changes else ""


def side_of_each(data: CellSet, test: Sequence[str]) -> dict[str, str]:
    """Return the side of every group; validation must not take the last cells of a class.

    Parameters
    ----------
    data : CellSet
    test : sequence of str
        Groups that judge.
    """
    groups = np.unique(data.groups).tolist()
    rest = [g for g in groups if g not in test]
    order = dict(zip(rest, shares(_SALT + g for g in rest).values(), strict=True))
    sides = {g: "test" if g in test else "training" for g in groups}
    own = data.matrix & ~data.training_only[:, None]
    for group in deep_recipe.share_of_validation(order):
        left = np.isin(data.groups, [g for g in rest if sides[g] == "training" and g != group])
        if own[left].any(axis=0).sum() == own[np.isin(data.groups, rest)].any(axis=0).sum():
            sides[group] = "validation"
    return sides


def write_training(
    folder: Path, data: CellSet, base: ModelPackage, content: Mapping[str, Any]
) -> None:
    """Write cells, base and recipe of a training (``OSError`` when that fails).

    Parameters
    ----------
    folder : Path
    data : CellSet
        With the sides of its groups.
    base : ModelPackage
        Read from a file.
    content : mapping
        Of the recipe.
    """
    if base.path is None:
        raise ValueError("the base must be a package on disk: the training reads it there")
    write_cut(folder / DATA, data, multi_label=bool(content["multi_label"]))
    with files.atomic_path(folder / deep_recipe.START) as temporary:
        shutil.copyfile(base.path, temporary)
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    files.write_bytes(folder / RECIPE, text.encode())


def _enough(labels: Labels, who: Roster) -> None:
    if len(labels) and len(who.classes) >= 2:
        return
    counts = ", ".join(f"{n:,} {name}" for name, n in labels.counts().items())
    raise DataError(
        "There is nothing to tell apart yet.",
        code="LEARN-FEW",
        why=f"labeled cells per class: {counts or 'none'}. {' '.join(who.notes)}".strip(),
        remedy="Label some cells of each of two classes, in several images.",
    )


def _can_keep(labels: Labels, learned: np.ndarray, who: Roster, old: set[int], base: str) -> None:
    """Refuse what would surely forget: a class is new, so nothing is replayed, and old ones have no labels.

    ``blood-cells`` with a class of red cells added keeps a third of its macro F1 so (``benchmarks/learning.py``).
    """
    if old.issuperset(who.columns):
        return
    quiet = [
        name
        for name, column in zip(who.names, who.columns)
        if column in old and not (labels.targets[learned, column] == 1).any()
    ]
    if quiet:
        named = ", ".join(quiet)
        raise DataError(
            f"Training the whole network would forget {named}.",
            code="DEEP-FORGETS",
            why=f"The project has a class that {base} does not know, so that its answers for unlabeled cells cannot be "
            f"learned again, and among the labels to learn from there is none of {named}.",
            remedy="Label some 20 cells of each in several images, or fine-tune quickly, which keeps what is known.",
        )
