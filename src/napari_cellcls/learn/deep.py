"""Deep fine-tune: the whole network learns the labels of a project, in a process of its own.

The training starts from a released model, never from the last fine-tune, and lives in a folder of the project
(``runs/<time>``) that holds everything it needs: recipe, base, cells. It can outlive the window, be taken up
again, and be copied to another computer, where ``cellcls train recipe.yaml --data data --out run`` does the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_cellcls import files
from napari_cellcls.learn import deep_recipe, detached
from napari_cellcls.learn.datasets.cellset import CellSet
from napari_cellcls.learn.datasets.cut import write_cut
from napari_cellcls.learn.labels import Labels, labeled_cells, shares
from napari_cellcls.learn.lesson import Lesson, make_lesson
from napari_cellcls.learn.process import TrainingRequest, training
from napari_cellcls.learn.runs import PACKAGE, RUN
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import DataError, Task

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project

RECIPE, DATA, OUT, ABOUT = "recipe.yaml", "data", "run", "tune.json"
_SALT = "validation|"


@dataclass(frozen=True)
class Point:
    """One epoch of a training, for a picture.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    loss, macro_f1 : float
        On the training side.
    val_loss, val_macro_f1 : float or None
        On the validation side, where there is one.
    seconds : float
    """

    epoch: int
    loss: float
    macro_f1: float
    val_loss: float | None
    val_macro_f1: float | None
    seconds: float


def runs_folder(project: Project) -> Path:
    """Return where the trainings of a project are (may not exist)."""
    return project.folder / "runs"


def unfinished(project: Project) -> Path | None:
    """Return the newest training that has not come to its end: at work, stopped, or not judged yet."""
    found = sorted(runs_folder(project).glob(f"*/{ABOUT}"), reverse=True)
    return found[0].parent if found else None


def is_finished(folder: Path) -> bool:
    """Return whether the network of a training is ready to be judged."""
    return (folder / OUT / RUN).is_file() and (folder / OUT / PACKAGE).is_file()


def curve(folder: Path) -> tuple[Point, ...]:
    """Return what a training has noted of its epochs so far; empty before the first one ends."""
    try:
        lines = (folder / OUT / "history.jsonl").read_text("utf-8").splitlines()
        return tuple(_point(json.loads(line)) for line in lines)
    except (OSError, ValueError, KeyError):
        return ()


def begin(
    project: Project,
    base: ModelPackage,
    held: Callable[[Labels], Sequence[str]],
    *,
    seed: int = 42,
    changes: Mapping[str, Any] | None = None,
) -> Task[Path]:
    """Write the folder of a new training; return it.

    Parameters
    ----------
    project : Project
    base : ModelPackage
        A released model.
    held : callable
        Labels -> groups that judge the result and are never learned from.
    seed : int
    changes : mapping, optional
        Other values for keys of the recipe.

    Raises
    ------
    DataError
        ``LEARN-FEW``.
    ModelError
        ``DEEP-CHANNELS``.
    TaskError
        ``RUN-WRITE``.
    """
    labels = used_classes(
        labeled_cells(project.journal.state, multi_label=project.description.multi_label), base
    )
    known = deep_recipe.knows(
        base.manifest, [c.id for c in labels.classes], [c.name for c in labels.classes]
    )
    deep_recipe.channels_of(base.manifest)
    several = project.description.multi_label
    lesson = yield from make_lesson(project, labels, base, known, multi_label=several, seed=seed)
    groups = np.unique(lesson.data.groups).tolist()
    test = [g for g in held(labels) if g in groups]
    data = replace(lesson.data, sides=_sides(lesson.data, test))
    folder = _new_folder(project)
    named = {
        one.name: base.manifest.classes[k].name
        for one, k in zip(labels.classes, known)
        if k is not None and base.manifest.classes[k].name != one.name
    }
    learned = np.array([data.sides[g] == "training" for g in data.groups])
    content = deep_recipe.deep_recipe(
        base, data.classes, named,
        title=f"{project.description.name}: {base.manifest.title}", multi_label=several,
        cells=int(learned.sum()), validated="validation" in data.sides.values(), seed=seed,
    )  # fmt: skip
    content |= changes or {}
    _write(folder, data, lesson, labels, base, content)
    return folder


def train(
    folder: Path,
    *,
    on_note: Callable[[str], None] | None = None,
    keeps_going: Callable[[], bool] = lambda: False,
    command: Sequence[str] | None = None,
) -> Task[dict[str, Any]]:
    """Train in a process of its own, or follow the one that is at work in this folder already.

    Closing the task stops the training within a second, unless ``keeps_going`` says then that it shall go on
    without anybody. What was trained until the last epoch is kept.

    Raises
    ------
    DataError, TaskError
        As :func:`napari_cellcls.learn.process.training`.
    """
    if is_finished(folder) and not detached.is_alive(folder):
        return {}
    out = folder / OUT
    more = {} if command is None else {"command": command}
    # Whatever happened before: there may be a checkpoint to go on from, or none.
    request = TrainingRequest(str(folder / RECIPE), folder / DATA, out, resume=True)
    follow = detached.follow_in(folder, keeps_going)
    return (yield from training(request, on_note, follow=follow, **more))


def discard(folder: Path) -> None:
    """Remove a training that is not wanted any more; one that is at work is stopped first."""
    if detached.is_alive(folder):
        detached.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def used_classes(labels: Labels, base: ModelPackage) -> Labels:
    """Return labels without the classes that nobody labeled and the base does not know.

    Raises
    ------
    DataError
        ``LEARN-FEW`` when fewer than two classes are left.
    """
    known = deep_recipe.knows(
        base.manifest, [c.id for c in labels.classes], [c.name for c in labels.classes]
    )
    labeled = (labels.targets == 1).any(axis=0)
    keep = [k for k in range(len(labels.classes)) if labeled[k] or known[k] is not None]
    if len(keep) < 2 or not len(labels):
        raise DataError(
            "There is nothing to tell apart yet.",
            code="LEARN-FEW",
            why="labeled cells per class: "
            + (", ".join(f"{n} {c}" for c, n in labels.counts().items()) or "none"),
            remedy="Label at least one cell of each of two classes.",
        )
    classes = tuple(labels.classes[k] for k in keep)
    return replace(labels, classes=classes, targets=labels.targets[:, keep])


def _sides(data: CellSet, test: Sequence[str]) -> dict[str, str]:
    """Return the side of every group; validation must not take the last cells of a class."""
    groups = np.unique(data.groups).tolist()
    rest = [g for g in groups if g not in test]
    order = dict(zip(rest, shares(_SALT + g for g in rest).values()))
    sides = {g: "test" if g in test else "training" for g in groups}
    own = data.matrix & ~data.training_only[:, None]
    for group in deep_recipe.share_of_validation(rest, order):
        left = np.isin(data.groups, [g for g in rest if sides[g] == "training" and g != group])
        if own[left].any(axis=0).sum() == own[np.isin(data.groups, rest)].any(axis=0).sum():
            sides[group] = "validation"
    return sides


def _new_folder(project: Project) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]
    return runs_folder(project) / stamp


def _write(
    folder: Path,
    data: CellSet,
    lesson: Lesson,
    labels: Labels,
    base: ModelPackage,
    content: dict[str, Any],
) -> None:
    write_cut(folder / DATA, data, multi_label=bool(content["multi_label"]))
    if base.path is None:
        raise ValueError("the base must be a package on disk: the training reads it there")
    shutil.copyfile(base.path, folder / deep_recipe.START)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    files.write_bytes(folder / RECIPE, text.encode())
    about = {
        "base": base.manifest.label,
        "base_sha256": base.sha256,
        "trial": labels.sha256,
        "cells": [labels.ids[row] for row in lesson.rows],
        "notes": list(lesson.notes),
        "replayed": lesson.replayed,
    }
    # Last: a folder without it is no training.
    files.write_bytes(folder / ABOUT, json.dumps(about, indent=1).encode())


def _point(entry: dict[str, Any]) -> Point:
    return Point(
        int(entry["epoch"]), float(entry["loss"]), float(entry["macro_f1"]),
        entry.get("val_loss"), entry.get("val_macro_f1"), float(entry["seconds"]),
    )  # fmt: skip
