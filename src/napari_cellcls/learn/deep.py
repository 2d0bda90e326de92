"""Deep fine-tune: the whole network learns the labels of a project, in a process of its own.

The training starts from a released model, never from the last fine-tune, and lives in a folder of the project
(``runs/<time>``) that holds everything it needs: recipe, base, cells. It can outlive the window, be taken up
again, and be copied to another computer, where ``cellcls train recipe.yaml --data data --out run`` does the same.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellcls import files
from napari_cellcls.learn import detached
from napari_cellcls.learn.deep_begin import ABOUT, DATA, RECIPE, begin, runs_folder
from napari_cellcls.learn.process import TrainingRequest, training
from napari_cellcls.learn.runs import PACKAGE, RUN
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project.errors import unwritable
from napari_cellcls.vocabulary import Task

if TYPE_CHECKING:
    from napari_cellcls.learn.finetune import Tuned
    from napari_cellcls.project.project import Project

OUT, TUNED = "run", "tuned.json"


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
    base: ModelPackage | str,
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
    base : ModelPackage or str
        A released model on disk, or its name or path.
    seed : int
    changes : mapping, optional
        What is wanted otherwise: keys of :class:`napari_cellcls.learn.tune_recipe.TuneRecipe`.
    on_folder : callable, optional
        Told where the training is, once it is there.
    on_note : callable, optional
        Told what the user should know, in words.
    keeps_going : callable
        Asked when the task is closed: whether the training shall go on without anybody. Else it is stopped within
        a second and its folder removed. A training that is over is kept in any case: the next start judges it.

    Raises
    ------
    DataError
        ``LEARN-FEW``, ``DEEP-FORGETS``, ``RECIPE-VALUE``, and what the training refuses.
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
        # Hours of work are not thrown away with the seconds that judge them.
        if not keeps_going() and not is_finished(folder):
            discard(folder)
        raise
    # The version is kept and counted already; without this it would be judged once more.
    with contextlib.suppress(OSError):
        files.write_bytes(folder / TUNED, json.dumps({"version": made.label}).encode())
    for part in ("checkpoints", "bank"):
        shutil.rmtree(folder / OUT / part, ignore_errors=True)
    return made


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


def _point(entry: dict[str, Any]) -> Point:
    return Point(
        int(entry["epoch"]), float(entry["loss"]), float(entry["macro_f1"]),
        entry.get("val_loss"), entry.get("val_macro_f1"), float(entry["seconds"]),
    )  # fmt: skip
