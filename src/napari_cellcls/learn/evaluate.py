"""Judging held-out answers: numbers with intervals, trivial answers beside them, what went wrong.

A folder of fold models holds ``folds.json`` and one weights file per fold. Evaluation needs no
training: every cell is scored by the one model whose training side lacked its patient.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import reason, sha256, write_bytes
from napari_cellcls.learn.baselines import trivial
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.heldout import APART, UNKNOWN, HeldOut
from napari_cellcls.learn.splits import check_leaks
from napari_cellcls.learn.verdict import Report, judge
from napari_cellcls.vocabulary import CellClsError, DataError, Progress, Task, TaskError, finish

__all__ = [
    "Report",
    "evaluate",
    "evaluate_folds",
    "main",
    "of_folds",
    "open_judged",
    "read_folds",
    "summarize",
]

_MANIFEST = "folds.json"
_CLEAN = "fuhad2020"


def evaluate(held: HeldOut, *, resamples: int = 2000) -> Task[Report]:
    """Judge held-out answers beside trivial ones.

    Parameters
    ----------
    held : HeldOut
    resamples : int
        Of the bootstrap by group.
    """
    yield Progress(0, 2, "comparing with trivial answers")
    baselines = yield from trivial(held)
    yield Progress(1, 2, "drawing groups for the intervals")
    return judge(held, baselines, resamples=resamples)


def summarize(
    logits: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    fold: np.ndarray,
    *,
    protocol: str,
    positive: int = 0,
    clean: np.ndarray | None = None,
    resamples: int = 2000,
) -> Report:
    """Return the report of held-out logits alone, without images and trivial answers.

    Parameters
    ----------
    logits : numpy.ndarray
        ``(N, K)``, each row from the model that did not train on it.
    labels : numpy.ndarray
        ``(N,)`` class indices, or ``(N, K)`` 0/1.
    groups, fold : numpy.ndarray
        ``(N,)``.
    protocol : str
        In words.
    positive : int
    clean : numpy.ndarray, optional
        ``(N,)`` bool: labels confirmed by a second reading; gives a column of its own.
    resamples : int
        Of the bootstrap by group.
    """
    n = len(logits)
    data = CellSet(
        images=np.zeros((n, 0), np.uint8),
        labels=np.asarray(labels),
        classes=tuple(f"class {k}" for k in range(logits.shape[1])),
        groups=np.asarray(groups, dtype=str),
        names=np.arange(n).astype(str),
    )
    held = HeldOut(
        data, np.arange(n), np.asarray(logits), np.asarray(fold), protocol, UNKNOWN, positive=positive, clean=clean
    )  # fmt: skip
    return judge(held, resamples=resamples)


def evaluate_folds(dataset: CellSet, folder: str | Path, *, resamples: int = 2000) -> Task[Report]:
    """Score every cell with the fold model that never saw its group, and report.

    Parameters and errors as for :func:`of_folds`.

    Parameters
    ----------
    dataset : CellSet
    folder : path-like
        With ``folds.json`` and the weights files it names.
    resamples : int
        Of the bootstrap by group.
    """
    held = yield from of_folds(dataset, folder)
    return (yield from evaluate(held, resamples=resamples))


def of_folds(dataset: CellSet, folder: str | Path) -> Task[HeldOut]:
    """Score every cell with the fold model that never saw its group.

    Raises
    ------
    DataError
        ``FOLDS-MISSING``, ``FOLDS-CHANGED`` (a weights file is not the one listed), ``DATA-LEAK``
        (a group or an identical image in two folds), ``DATA-GROUPS`` (groups of no fold).
    """
    folder = Path(folder)
    about = read_folds(folder)
    fold = _fold_of(dataset, about)
    sides = {f"fold {f}": np.flatnonzero(fold == f) for f in np.unique(fold)}
    check_leaks(sides, groups=dataset.groups, hashes=dataset.hashes(), names=dataset.names)
    yield Progress(0, len(about["folds"]), "starting the network")
    logits = yield from _child_logits(dataset, folder, about, fold)
    return HeldOut(
        data=dataset,
        rows=np.arange(len(dataset)),
        logits=logits,
        fold=fold,
        protocol=about["protocol"],
        groups=APART,
        model=str(about.get("recipe", folder.name)),
        positive=about["positive"],
        train={int(f): np.flatnonzero(fold != f) for f in np.unique(fold)},
        notes=dataset.notes,
        clean=dataset.extra[_CLEAN] == "confirmed" if _CLEAN in dataset.extra else None,
    )


def read_folds(folder: Path) -> dict[str, Any]:
    """Return ``folds.json`` after checking the hash of every weights file."""
    path = folder / _MANIFEST
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = [(folder / Path(entry["file"]).name, entry["sha256"]) for entry in about["folds"]]
        missing = [p.name for p, _ in files if not p.is_file()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "The folder does not hold fold models.",
            code="FOLDS-MISSING",
            path=path,
            why=reason(error),
            remedy="Give it with --folds: training/folds/<model> of the repository, or a folder made by "
            "training/make_malaria.py.",
        ) from None
    changed = [p.name for p, digest in files if p.name not in missing and sha256(p) != digest]
    if missing or changed:
        raise DataError(
            "The fold models are not those listed in folds.json.",
            code="FOLDS-MISSING" if missing else "FOLDS-CHANGED",
            path=folder,
            why=f"missing: {', '.join(missing) or 'none'}; changed: {', '.join(changed) or 'none'}",
            remedy="Get the folder again from the repository.",
        )
    return about


def open_judged(about: dict[str, Any], path: Path) -> Task[CellSet]:
    """Read labelled images as the fold models of a ``folds.json`` take them."""
    data = yield from open_dataset(
        path,
        size=about["size"],
        classes=tuple(about["classes"]),
        frame="square" if about.get("frame") == "square" else "box",
        margin=about.get("margin", 0.0),
    )
    return data.judged()


def _fold_of(dataset: CellSet, about: dict[str, Any]) -> np.ndarray:
    fold_of_group: dict[str, int] = {}
    for entry in about["folds"]:
        for group in entry["groups"]:
            if fold_of_group.setdefault(group, entry["fold"]) != entry["fold"]:
                raise DataError(
                    "A group is held out by two folds.", code="DATA-LEAK", why=group,
                    remedy="Get the folder again from the repository.",
                )  # fmt: skip
    unknown = sorted(set(np.unique(dataset.groups).tolist()) - set(fold_of_group))
    if unknown:
        raise DataError(
            "Some cells belong to groups that no fold model held out.",
            code="DATA-GROUPS",
            why=f"{len(unknown)} groups: {', '.join(unknown[:5])}",
            remedy="Evaluate with the data the fold models were made from.",
        )
    return np.array([fold_of_group[g] for g in dataset.groups.tolist()])


def _child_logits(
    dataset: CellSet, folder: Path, about: dict[str, Any], fold: np.ndarray
) -> Task[np.ndarray]:
    """Run the fold models in a process of their own, as TensorFlow must not share the viewer's."""
    with tempfile.TemporaryDirectory(prefix="cellcls-folds-") as name:
        work = Path(name)
        np.save(work / "images.npy", dataset.images, allow_pickle=False)
        np.save(work / "fold.npy", fold, allow_pickle=False)
        command = [
            sys.executable,
            "-m",
            "napari_cellcls.learn.runs",
            "logits",
            str(folder),
            str(work),
        ]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        with (
            open(work / "stderr.txt", "w+", encoding="utf-8") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True) as child,
        ):  # fmt: skip
            try:
                assert child.stdout is not None
                for done, _ in enumerate(child.stdout, start=1):
                    yield Progress(done, len(about["folds"]), f"fold {done} scored")
            except GeneratorExit:
                child.kill()
                raise
        if child.returncode:
            tail = (work / "stderr.txt").read_text(encoding="utf-8", errors="replace")[-400:]
            raise TaskError(
                "The fold models could not be run.",
                code="TASK-CHILD",
                why=f"the child process ended with {child.returncode}: {tail.strip()}",
                remedy="Run `cellcls doctor` to see whether TensorFlow works.",
            )
        return np.asarray(np.load(work / "logits.npy", allow_pickle=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate fold models from a terminal."""
    parser = argparse.ArgumentParser(prog="python -m napari_cellcls.learn.evaluate")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write metrics.json here")
    options = parser.parse_args(arguments)
    try:
        about = read_folds(options.folder)
        dataset = finish(open_judged(about, options.data))
        report = finish(evaluate_folds(dataset, options.folder))
    except CellClsError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    sys.stdout.write(report.text() + "\n")
    if options.out:
        write_bytes(options.out, json.dumps(report.metrics, indent=1).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
