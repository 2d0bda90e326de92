"""Judging fold models on the groups they never saw, so that anybody can check a card's numbers.

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import reason, sha256, write_bytes
from napari_cellcls.learn import metrics
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.splits import check_leaks
from napari_cellcls.vocabulary import CellClsError, DataError, Progress, Task, TaskError, finish

_MANIFEST = "folds.json"
_CLEAN = "fuhad2020"


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes
    ----------
    metrics : dict
        Flat numbers, the content of ``metrics.json``.
    rows : dict of str to dict
        Entries of the text tables: pooled, mean over folds, checked labels, each fold.
    temperature : float
        Fitted on all out-of-fold logits: for a model trained on all data.
    worst : tuple of (str, int, float)
        Groups with the lowest accuracy: name, cells, accuracy (groups of 20 cells or more).
    logits : numpy.ndarray
        ``(N, K)`` out-of-fold logits in the order of the data.
    """

    metrics: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    temperature: float
    worst: tuple[tuple[str, int, float], ...] = ()
    logits: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)), repr=False)

    def text(self) -> str:
        """Return the report as plain text for a terminal."""
        worst = ", ".join(f"{name} {value:.3f} of {n}" for name, n, value in self.worst)
        single = {title: row for title, row in self.rows.items() if title.startswith("fold ")}
        joined = {title: row for title, row in self.rows.items() if title not in single}
        lines = [
            f"Protocol: {self.metrics['protocol']}",
            "In brackets: 95 % intervals, bootstrap over groups (patients).",
            "",
            metrics.text_table(joined, metrics.BINARY, turned=True),
            "",
        ]
        if single:
            lines += [metrics.text_table(single, metrics.BINARY), ""]
        lines += [
            f"Temperature {self.temperature:.3f}",
            f"Specificity at 93 % sensitivity {self.metrics['specificity_at_93']:.4f}",
        ]
        return "\n".join([*lines, f"Lowest accuracy by group: {worst}"] if worst else lines)


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
    """Return the report of held-out logits.

    Parameters
    ----------
    logits : numpy.ndarray
        ``(N, 2)``, each row from the model that did not train on it.
    labels, groups, fold : numpy.ndarray
        ``(N,)``.
    protocol : str
        In words.
    positive : int
    clean : numpy.ndarray, optional
        ``(N,)`` bool: labels confirmed by a second reading; gives a line of its own.
    resamples : int
        Of the bootstrap by group.
    """
    probabilities = cross_calibrated(logits, labels, fold)

    def flat(keep: np.ndarray, words: str) -> dict[str, Any]:
        return metrics.flat_metrics(
            probabilities[keep], labels[keep], groups[keep], protocol=words, positive=positive, resamples=resamples
        )  # fmt: skip

    pooled = flat(np.ones(len(labels), bool), protocol)
    score = probabilities[:, positive]
    pooled["specificity_at_93"] = metrics.specificity_at(score, labels == positive)
    folds = {
        int(f): metrics.binary_metrics(probabilities[fold == f], labels[fold == f], positive)
        for f in np.unique(fold)
    }
    rows: dict[str, dict[str, Any]] = {"all cells": pooled}
    if len(folds) > 1:
        limits = metrics.fold_mean_intervals(
            probabilities, labels, groups, fold, positive=positive, resamples=resamples
        )
        mean = rows["mean ± SD of folds"] = _mean_of_folds(folds.values(), limits, len(labels))
        for name in metrics.BINARY:
            pooled[f"{name}_fold_mean"] = mean[name]
            pooled[f"{name}_fold_mean_low"] = mean[f"{name}_low"]
            pooled[f"{name}_fold_mean_high"] = mean[f"{name}_high"]
            pooled[f"{name}_fold_sd"] = mean[f"{name}_sd"]
    if clean is not None and not clean.all():
        rows["confirmed labels only"] = flat(clean, f"{protocol}; confirmed labels only")
        pooled["accuracy_clean"] = rows["confirmed labels only"]["accuracy"]
        pooled["auc_clean"] = rows["confirmed labels only"]["auc"]
    if len(folds) > 1:
        rows |= {f"fold {f}": found for f, found in folds.items()}
    hit = probabilities.argmax(1) == labels
    return Report(
        pooled, rows, metrics.fit_temperature(logits, labels), _worst_groups(hit, groups), logits
    )


def cross_calibrated(logits: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return probabilities; the temperature of each fold is fitted on the other folds only."""
    result = np.empty(logits.shape)
    for f in np.unique(fold):
        own = fold == f
        others = ~own if not own.all() else own
        result[own] = metrics.softmax(
            logits[own], metrics.fit_temperature(logits[others], labels[others])
        )
    return result


def _mean_of_folds(
    folds: Iterable[Mapping[str, float]], limits: Mapping[str, tuple[float, float]], n: int
) -> dict[str, Any]:
    folds = list(folds)
    entry: dict[str, Any] = {"n": n}
    for name in metrics.BINARY:
        values = [f[name] for f in folds]
        entry[name] = round(float(np.mean(values)), 5)
        entry[f"{name}_sd"] = round(float(np.std(values, ddof=1)), 5)
        entry[f"{name}_low"], entry[f"{name}_high"] = (round(v, 5) for v in limits[name])
    return entry


def _worst_groups(hit: np.ndarray, groups: np.ndarray) -> tuple[tuple[str, int, float], ...]:
    names, group = np.unique(groups, return_inverse=True)
    n = np.bincount(group)
    accuracy = np.bincount(group, weights=hit) / n
    order = [g for g in np.argsort(accuracy, kind="stable") if n[g] >= 20][:8]
    return tuple((str(names[g]), int(n[g]), float(accuracy[g])) for g in order)


def evaluate_folds(dataset: CellSet, folder: str | Path, *, resamples: int = 2000) -> Task[Report]:
    """Score every cell with the fold model that never saw its group, and report.

    Parameters
    ----------
    dataset : CellSet
    folder : path-like
        With ``folds.json`` and the weights files it names.
    resamples : int
        Of the bootstrap by group.

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
    clean = dataset.extra[_CLEAN] == "confirmed" if _CLEAN in dataset.extra else None
    return summarize(
        logits,
        dataset.labels,
        dataset.groups,
        fold,
        protocol=about["protocol"],
        positive=about["positive"],
        clean=clean,
        resamples=resamples,
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
        classes = tuple(about["classes"])
        dataset = finish(open_dataset(options.data, size=about["size"], classes=classes))
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
