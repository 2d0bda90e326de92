"""Deep fine-tune: the whole network learns the labels of a project, in a process of its own.

The training starts from a released model, never from the last fine-tune, and lives in a folder of the project
(``runs/<time>``) that holds everything it needs: recipe, base, cells. It can outlive the window, be taken up
again, and be copied to another computer, where ``cellcls train recipe.yaml --data data --out run`` does the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_cellcls import files
from napari_cellcls.learn import deep_recipe, detached
from napari_cellcls.learn.datasets.cellset import CellSet
from napari_cellcls.learn.datasets.cut import write_cut
from napari_cellcls.learn.holdout import held_out
from napari_cellcls.learn.labels import Labels, labeled_cells, shares
from napari_cellcls.learn.lesson import make_lesson
from napari_cellcls.learn.process import TrainingRequest, training
from napari_cellcls.learn.roster import Roster, roster, same_classes
from napari_cellcls.learn.runs import PACKAGE, RUN
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project.errors import unwritable
from napari_cellcls.vocabulary import DataError, Task

if TYPE_CHECKING:
    from napari_cellcls.learn.finetune import Tuned
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.state import CellState

RECIPE, DATA, OUT = "recipe.yaml", "data", "run"
ABOUT, TUNED = "tune.json", "tuned.json"
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
    """Return the newest training that has not come to its end: at work, cut off, or not judged yet."""
    found = sorted(runs_folder(project).glob(f"*/{ABOUT}"), reverse=True)
    return next((path.parent for path in found if not (path.parent / TUNED).is_file()), None)


def is_at_work(folder: Path) -> bool:
    """Return whether a training is running in a folder, whoever started it."""
    return detached.is_alive(folder)


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


def finetune_deep(
    project: Project,
    base: ModelPackage,
    *,
    seed: int = 42,
    changes: Mapping[str, Any] | None = None,
    on_folder: Callable[[Path], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    keeps_going: Callable[[], bool] = lambda: False,
) -> Task[Tuned]:
    """Train the whole network on the labels of a project, judge it, keep it, and use it when it may be used.

    Parameters
    ----------
    project : Project
        Its journal is read once, at the call.
    base : ModelPackage
        A released model on disk.
    seed : int
    changes : mapping, optional
        Other values for keys of the recipe.
    on_folder : callable, optional
        Told where the training is, once it is there.
    on_note : callable, optional
        Told what the user should know, in words.
    keeps_going : callable
        Asked when the task is closed: whether the training shall go on without anybody. Else it is stopped within
        a second and its folder removed.

    Raises
    ------
    DataError
        ``LEARN-FEW``, and what the training refuses.
    ModelError
        ``DEEP-CHANNELS``, at once.
    TaskError
        When the training fails or is killed; the model in use stays, and :func:`go_on` continues.
    ProjectError
        ``PROJECT-WRITE``.
    """
    beginning = begin(project, base, seed=seed, changes=changes)

    def task() -> Task[Tuned]:
        try:
            folder = yield from beginning
        except OSError as error:
            raise unwritable(runs_folder(project), error) from error
        if on_folder is not None:
            on_folder(folder)
        return (yield from go_on(project, folder, on_note=on_note, keeps_going=keeps_going))

    return task()


def go_on(
    project: Project,
    folder: Path,
    *,
    on_note: Callable[[str], None] | None = None,
    keeps_going: Callable[[], bool] = lambda: False,
) -> Task[Tuned]:
    """Take a training up where it is: follow it, continue it after its last checkpoint, or judge its result.

    Parameters and errors as in :func:`finetune_deep`.
    """
    from napari_cellcls.learn.deep_proof import prove

    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        yield from train(folder, on_note=on_note, keeps_going=keeps_going)
        seconds = sum(point.seconds for point in curve(folder))
        cells = tuple(project.journal.state.cells.values())
        made = yield from prove(project, folder, about, cells, seconds)
    except GeneratorExit:
        if not keeps_going():
            discard(folder)
        raise
    files.write_bytes(folder / TUNED, json.dumps({"version": made.label}).encode())
    for part in ("checkpoints", "bank"):
        shutil.rmtree(folder / OUT / part, ignore_errors=True)
    return made


def begin(
    project: Project,
    base: ModelPackage,
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
    base : ModelPackage
        A released model.
    seed : int
    changes : mapping, optional
        Other values for keys of the recipe.

    Raises
    ------
    DataError
        ``LEARN-FEW``.
    ModelError
        ``DEEP-CHANNELS``, at once.
    OSError
        When the folder cannot be written.
    """
    deep_recipe.channels_of(base.manifest)
    return _begin(project, base, tuple(project.journal.state.cells.values()), seed, changes or {})


def _begin(
    project: Project,
    base: ModelPackage,
    cells: tuple[CellState, ...],
    seed: int,
    changes: Mapping[str, Any],
) -> Task[Path]:
    state, several = project.journal.state, project.description.multi_label
    labels = labeled_cells(state, multi_label=several, cells=cells)
    held = held_out(labels, np.arange(len(labels)))
    known = same_classes(base, labels, state)
    who = roster(labels, np.flatnonzero(~held), known, base.manifest.title)
    _enough(labels, who)
    back = {column: k for k, column in known.items()}
    lesson = yield from make_lesson(
        project, labels, base, who.names, labels.targets[:, list(who.columns)],
        [back.get(column) for column in who.columns], multi_label=several, seed=seed,
    )  # fmt: skip
    data = replace(lesson.data, sides=_sides(lesson.data, np.unique(labels.groups[held]).tolist()))
    sides = list(data.sides.values())
    own = np.isin(data.groups, [g for g, side in data.sides.items() if side == "training"])
    names = {one: base.manifest.classes[back[column]].name
             for one, column in zip(who.names, who.columns) if column in back}  # fmt: skip
    content = deep_recipe.deep_recipe(
        base, who.names, {new: old for new, old in names.items() if new != old},
        title=f"{base.manifest.title}, fine-tuned in {project.description.name}", multi_label=several,
        cells=int(own.sum()), validated="validation" in sides, seed=seed,
    )  # fmt: skip
    folder = runs_folder(project) / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    _write(folder, data, base, content | dict(changes))
    about = {
        "base": base.manifest.label,
        "labels": labels.sha256,
        "cells": [labels.ids[row] for row in lesson.rows],
        "classes": [asdict(one) for one in who.classes],
        "columns": [labels.classes[k].id for k in who.columns],
        "held": sorted(set(labels.groups[held].tolist())),
        "notes": [*lesson.notes, *who.notes],
        "replayed": lesson.replayed,
        "seed": seed,
    }
    # Last: a folder without it is no training.
    files.write_bytes(folder / ABOUT, json.dumps(about, indent=1).encode())
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


def _sides(data: CellSet, test: Sequence[str]) -> dict[str, str]:
    """Return the side of every group; validation must not take the last cells of a class."""
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


def _write(folder: Path, data: CellSet, base: ModelPackage, content: dict[str, Any]) -> None:
    if base.path is None:
        raise ValueError("the base must be a package on disk: the training reads it there")
    write_cut(folder / DATA, data, multi_label=bool(content["multi_label"]))
    shutil.copyfile(base.path, folder / deep_recipe.START)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    files.write_bytes(folder / RECIPE, text.encode())


def _point(entry: dict[str, Any]) -> Point:
    return Point(
        int(entry["epoch"]), float(entry["loss"]), float(entry["macro_f1"]),
        entry.get("val_loss"), entry.get("val_macro_f1"), float(entry["seconds"]),
    )  # fmt: skip
