"""What the training processes do from beginning to end: one fold of a recipe, or scoring folds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from napari_cellcls.files import sha256, write_bytes
from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend
from napari_cellcls.learn.job import Job, Training, read_weights, write_weights
from napari_cellcls.learn.splits import Split, check_leaks, fold_split, grouped_folds, random_split
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import CellClsError


def train_command(options: argparse.Namespace, stream: TextIO) -> int:
    """Train as told on the command line of ``napari_cellcls.learn.trainer``; JSON lines go to ``stream``.

    Returns the exit code: 0 done, 4 refused with a coded error on the last line.
    """

    def say(**event: Any) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    try:
        _train(options, say)
    except CellClsError as error:
        say(
            event="error",
            code=error.code,
            what=error.what,
            path=error.path,
            why=error.why,
            remedy=error.remedy,
        )
        return 4
    return 0


def _train(options: argparse.Namespace, say: Any) -> None:
    from napari_cellcls.learn import metrics
    from napari_cellcls.learn.datasets import CellSet, open_dataset
    from napari_cellcls.learn.recipe import read_recipe
    from napari_cellcls.vocabulary import finish

    recipe = read_recipe(options.recipe)
    data: CellSet = finish(
        open_dataset(
            options.data, size=recipe.crop.size, classes=recipe.classes, cache=options.out / "cache"
        )
    )
    say(event="data", counts=data.counts, groups=len(np.unique(data.groups)), notes=data.notes)
    split = split_of(recipe, data, options.fold)
    name = "all" if options.fold is None else str(options.fold)
    folder = options.out / f"fold{name}"
    task = fit(
        data.images,
        data.labels,
        recipe.job(),
        train=split.train,
        val=split.val,
        out=folder,
        resume=options.resume,
        bank_folder=options.out / "bank",
    )
    fitted = finish(task, lambda p: say(event="progress", **asdict(p)))
    path = options.out / f"fold{name}.safetensors"
    write_weights(path, fitted)
    write_bytes(options.out / f"fold{name}.json", json.dumps(fitted.history).encode())
    write_bytes(options.out / "job.json", json.dumps(asdict(recipe.job()), indent=1).encode())
    result: dict[str, Any] = {}
    if len(split.test):
        model = load_classifier(recipe.job(), read_weights(path, recipe.job()))
        logits = logits_of(model, data.images, split.test)
        np.savez(options.out / f"fold{name}.npz", rows=split.test, logits=logits)
        if len(recipe.classes) == 2:
            labels = data.labels[split.test]
            result = metrics.binary_metrics(metrics.softmax(logits), labels, recipe.positive_index)
    say(event="done", weights=str(path), sha256=sha256(path), metrics=result)


def split_of(recipe: Any, data: Any, fold: int | None) -> Split:
    """Return the checked split of a recipe: fold ``fold`` held out, or all data when None."""
    rows = np.arange(len(data.labels))
    protocol = recipe.protocol
    if protocol.kind == "random":
        split = random_split(len(rows), test=protocol.test, val=protocol.val, seed=protocol.seed)
        check_leaks(split.sides(), hashes=data.hashes(), names=data.names)
        return split
    if fold is None:
        return Split(train=rows, val=rows[:0], test=rows[:0])
    folds = grouped_folds(data.groups, data.labels, folds=protocol.folds, seed=protocol.seed)
    split = fold_split(folds, fold, data.groups, data.labels, val=protocol.val, seed=protocol.seed)
    check_leaks(split.sides(), groups=data.groups, hashes=data.hashes(), names=data.names)
    return split


def job_from(content: dict[str, Any]) -> Job:
    """Return a job stored as JSON by ``dataclasses.asdict``."""
    training, augmentation = (
        Training(**content["training"]),
        Augmentation(**content["augmentation"]),
    )
    return Job(**{**content, "training": training, "augmentation": augmentation})


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
            logits[rows] = logits_of(model, images, rows)
        stream.write(json.dumps({"fold": entry["fold"], "n": len(rows)}) + "\n")
        stream.flush()
    np.save(work / "logits.npy", logits, allow_pickle=False)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve ``learn.evaluate`` in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m napari_cellcls.learn.runs")
    parser.add_argument("command", choices=["logits"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    options = parser.parse_args(arguments)
    prepare_backend()
    return score_folds(options.folder, options.work, sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
