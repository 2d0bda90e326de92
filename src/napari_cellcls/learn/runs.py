"""What the training process does from beginning to end, and the files of a run.

A run is a folder: ``recipe.yaml`` (as it was followed), ``split.json`` (names of each side),
``history.jsonl``, ``checkpoints/``, ``weights.safetensors``, ``scores.npz`` (logits of the sides
held out), ``model.cellpkg`` and ``run.json``. With a fold it is the folder ``fold<k>`` of that folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from napari_cellcls.files import reason, sha256, write_bytes
from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend
from napari_cellcls.learn.datasets import store
from napari_cellcls.learn.detached import alive
from napari_cellcls.learn.features import Seen
from napari_cellcls.learn.job import Fitted, job_from, read_weights, write_weights
from napari_cellcls.learn.reading import open_cells, split_of
from napari_cellcls.learn.recipe import Recipe, parse_recipe
from napari_cellcls.learn.recipe_files import find_recipe, read_content
from napari_cellcls.learn.splits import Split
from napari_cellcls.learn.start import open_start
from napari_cellcls.learn.steps import MemoryShort
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import CellClsError, DataError, Progress, Task, TaskError, finish

_SAY_EVERY_S = 0.1
WEIGHTS, SCORES, RUN, PACKAGE = "weights.safetensors", "scores.npz", "run.json", "model.cellpkg"
Say = Callable[..., None]


class _StoppedError(Exception):
    """The user stopped while the data were read."""


def train_command(
    options: argparse.Namespace, stream: TextIO, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Train as told; one JSON line per event goes to ``stream``.

    Events are ``data``, ``start``, ``progress``, and at the end ``done``, ``stopped`` (a checkpoint
    was kept), ``memory`` (the batch was too large) or ``error``.

    Parameters
    ----------
    options : argparse.Namespace
        ``recipe, data, out, fold, resume, set, micro_batch``; see :func:`main`.
    stream : text file
    stopped : callable
        Asked after each step whether to stop.

    Returns
    -------
    int
        Exit code: 0 done, 4 refused, 5 out of memory, 130 stopped.
    """

    def say(**event: Any) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    try:
        return _train(options, say, stopped)
    except _StoppedError:
        say(event="stopped", folder=str(options.out))
        return 130
    except MemoryShort as error:
        say(event="memory", micro_batch=error.micro_batch, why=error.why)
        return 5
    except OSError as error:
        refused: CellClsError = TaskError(
            "A file of the run cannot be written.",
            code="RUN-WRITE",
            path=error.filename or options.out,
            why=reason(error),
            remedy="Make room or choose another folder with --out, then go on with --resume.",
        )
    except CellClsError as error:
        refused = error
    said = {name: getattr(refused, name) for name in ("code", "what", "path", "why", "remedy")}
    say(event="error", **said)
    return 4


def _train(options: argparse.Namespace, say: Say, stopped: Callable[[], bool]) -> int:
    def show(at: Progress) -> None:
        if stopped():
            raise _StoppedError
        say(event="progress", **asdict(at))

    started = time.time()
    path = find_recipe(options.recipe)
    content = read_content(path, options.set or ())
    recipe = parse_recipe(content, path)
    job = recipe.job()
    folder = options.out if options.fold is None else options.out / f"fold{options.fold}"
    _check_folder(folder, options.resume)
    start = open_start(recipe, path.parent, job) if recipe.start is not None else None
    data = finish(open_cells(recipe, options.data), show)
    if start is not None and recipe.start is not None and recipe.start.head == "fitted":
        start = replace(start, groups=data.groups)
    groups = len(np.unique(data.groups))
    say(event="data", counts=data.counts, groups=groups, notes=list(data.notes))
    split = finish(split_of(recipe, data, options.fold), show)
    say(event="notes", notes=list(split.notes))
    soft = finish(_taught(options, recipe, data, split), show)
    batch = min(job.training.batch_size, len(split.train))
    micro = min(options.micro_batch or batch, batch)
    say(event="start", micro_batch=micro, batch=batch)

    def begin(notes: list[str]) -> None:
        # Not before: a folder whose run cannot be continued stays as it is.
        _write_inputs(folder, content, job, data, split)
        say(event="notes", notes=notes)

    task = fit(
        data.images,
        data.labels,
        job,
        train=split.train,
        val=split.val,
        out=folder,
        resume=options.resume,
        bank_folder=options.out / "bank",
        feature_folder=store.folder(),
        micro_batch=micro,
        soft=soft,
        start=start,
        on_begin=begin,
    )
    fitted = _follow(task, say, stopped)
    if fitted is None:
        say(event="stopped", folder=str(folder))
        return 130
    about = {
        "recipe": recipe.name, "data": str(options.data), "fold": options.fold, "seed": recipe.seed,
        "counts": data.counts, "groups": groups, "sides": {k: len(v) for k, v in split.sides().items()},
        "micro_batch": micro, "batch": batch, "teachers": [str(t) for t in options.teacher or ()], "notes": [*data.notes, *split.notes, *fitted.notes],
        "software": _software(),
    }  # fmt: skip
    say(event="progress", done=1, total=1, message="scoring the sides held out")
    _conclude(folder, recipe, data, split, fitted, about)
    about["seconds"] = round(time.time() - started, 1)
    write_bytes(folder / RUN, (json.dumps(about, indent=1) + "\n").encode())
    say(
        event="done", folder=str(folder), weights=str(folder / WEIGHTS), model=str(folder / PACKAGE),
        sha256=about["weights_sha256"], metrics=about["metrics"],
    )  # fmt: skip
    return 0


def _taught(
    options: argparse.Namespace, recipe: Recipe, data: Any, split: Split
) -> Task[np.ndarray | None]:
    """Return what is learned in place of the labels: what the data say, or the teachers; None for the labels."""
    if not options.teacher:
        return data.soft  # type: ignore[no-any-return]
    from napari_cellcls.learn.teachers import soft_targets

    part = "" if options.fold is None else f"fold{options.fold}"
    folders = [folder / part for folder in options.teacher]
    return (yield from soft_targets(folders, recipe.teaching, data, split, recipe.job()))


def _conclude(
    folder: Path, recipe: Recipe, data: Any, split: Split, fitted: Fitted, about: dict[str, Any]
) -> None:
    """Write weights, scores and package of a finished training; add its numbers to ``about``."""
    import keras

    from napari_cellcls.learn.packaging import write_model

    # Numbers of a model must hold for every engine: in float32, also where a GPU trained in less.
    keras.config.set_dtype_policy("float32")
    write_weights(folder / WEIGHTS, fitted)
    about["weights_sha256"] = sha256(folder / WEIGHTS)
    about["metrics"], val_logits = _score(folder, recipe, data, split)
    write_model(folder / PACKAGE, recipe, recipe.job(), data, split, about, val_logits)


def _follow(task: Task[Fitted], say: Say, stopped: Callable[[], bool]) -> Fitted | None:
    """Run the training to its end; None when it was stopped, with its checkpoint kept."""
    last = 0.0
    while True:
        try:
            step: Progress = next(task)
        except StopIteration as end:
            fitted: Fitted = end.value
            return fitted
        now = time.monotonic()
        if now - last > _SAY_EVERY_S or "/" in step.message or step.done == step.total:
            say(event="progress", **asdict(step))
            last = now
        if stopped():
            task.close()
            return None


def _check_folder(folder: Path, resume: bool) -> None:
    used = [name for name in (RUN, WEIGHTS, "checkpoints") if (folder / name).exists()]
    if used and not resume:
        raise DataError(
            "There is a run in this folder already.",
            code="RUN-EXISTS",
            path=folder,
            why=f"it holds {', '.join(used)}",
            remedy="Go on with --resume, or choose another folder with --out.",
        )


def _write_inputs(folder: Path, content: dict[str, Any], job: Any, data: Any, split: Split) -> None:
    import yaml

    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_bytes(folder / "recipe.yaml", text.encode())
    write_bytes(folder / "job.json", json.dumps(asdict(job), indent=1).encode())
    names = {side: data.names[rows].tolist() for side, rows in split.sides().items()}
    write_bytes(folder / "split.json", json.dumps(names, indent=0).encode())


def _score(
    folder: Path, recipe: Recipe, data: Any, split: Split
) -> tuple[dict[str, float], np.ndarray]:
    """Write the logits of the validation and test sides; return the numbers of the test side.

    The second item is the logits of the validation side.
    """
    from napari_cellcls.learn import metrics
    from napari_cellcls.learn.balance import targets_of
    from napari_cellcls.learn.losses import scores_of

    job = recipe.job()
    model = load_classifier(job, read_weights(folder / WEIGHTS, job))
    seen = Seen(model, job, job.training.phases[-1], data.images, store.folder())
    seen.recall()

    def answers(rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.zeros((0, job.classes), np.float32)
        if recipe.turns > 1:
            return logits_of(model, data.images, rows, turns=recipe.turns)
        return seen.logits(rows)

    logits = {side: answers(rows) for side, rows in (("val", split.val), ("test", split.test))}
    np.savez(
        folder / SCORES, rows=split.test, logits=logits["test"],
        val_rows=split.val, val_logits=logits["val"],
    )  # fmt: skip
    if not len(split.test):
        return {}, logits["val"]
    if job.classes == 2 and not job.multi_label:
        found = metrics.softmax(logits["test"])
        labels = data.labels[split.test]
        return metrics.binary_metrics(found, labels, recipe.positive_index), logits["val"]
    targets = targets_of(data.labels, job)[split.test]
    return {**scores_of(logits["test"], targets, job), "n": len(targets)}, logits["val"]


def _software() -> dict[str, str]:
    import platform

    import keras

    from napari_cellcls import __version__

    return {
        "napari-cellcls": __version__,
        "keras": str(keras.__version__),
        "backend": str(keras.backend.backend()),
        "python": platform.python_version(),
    }


def score_folds(folder: Path, work: Path, stream: TextIO) -> int:
    """Write ``logits.npy`` in ``work``: each row of ``images.npy`` by its own fold model."""
    from napari_cellcls.learn.evaluate import read_folds

    about = read_folds(folder)
    images = np.load(work / "images.npy", mmap_mode="r", allow_pickle=False)
    fold = np.load(work / "fold.npy", allow_pickle=False)
    job = job_from(about["job"])
    logits = np.zeros((len(images), job.classes), np.float32)
    for entry in about["folds"]:
        model = load_classifier(job, read_weights(folder / Path(entry["file"]).name, job))
        rows = np.flatnonzero(fold == entry["fold"])
        if len(rows):
            logits[rows] = logits_of(model, images, rows, turns=about.get("turns", 1))
        stream.write(json.dumps({"fold": entry["fold"], "n": len(rows)}) + "\n")
        stream.flush()
    np.save(work / "logits.npy", logits, allow_pickle=False)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line of the process."""
    made = argparse.ArgumentParser(prog="python -m napari_cellcls.learn.runs")
    commands = made.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train by a recipe; JSON lines on stdout")
    train.add_argument("recipe")
    train.add_argument("--data", type=Path, required=True)
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--fold", type=int, help="hold this fold out; without it: all data")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--set", action="append", help="key=value in place of the recipe's")
    train.add_argument("--teacher", type=Path, action="append", help="a run to learn from too")
    train.add_argument("--micro-batch", type=int, help="cells computed at once")
    train.add_argument("--detached", type=Path, help="folder that says whether this lives")
    logits = commands.add_parser("logits", help="score images by fold models")
    logits.add_argument("folder", type=Path)
    logits.add_argument("work", type=Path)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve ``learn.process`` and ``learn.evaluate`` in a process of its own."""
    options = parser().parse_args(arguments)
    if options.command == "logits":
        prepare_backend()
        return score_folds(options.folder, options.work, sys.stdout)
    asked: list[int] = []
    events = sys.stdout
    for number in (signal.SIGINT, signal.SIGTERM):
        # The first signal ends the training after this step, with a checkpoint.
        signal.signal(number, lambda n, _: asked.append(n))
    # Events have stdout for themselves: what a library prints must not be taken for one.
    with contextlib.redirect_stdout(sys.stderr), alive(options.detached) as told_to_stop:
        prepare_backend("auto")
        return train_command(options, events, lambda: bool(asked) or told_to_stop())


if __name__ == "__main__":
    raise SystemExit(main())
