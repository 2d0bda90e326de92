"""The same folds trained again with other seeds: what the draw of the weights is worth.

Each seed gives its own fold models, laid beside the first ones, so that anybody can run them again.
Every group is judged once per seed; the bootstrap draws groups, so that three seeds make the mean
steadier but not the groups more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from training.bundling import Bundle, checked_job, write_folds

from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.evaluate import Report, evaluate_folds, summarize
from napari_cellcls.learn.job import job_from
from napari_cellcls.learn.recipe import read_recipe
from napari_cellcls.vocabulary import finish


def judge_again(
    runs: Sequence[Path], folds: Path, data: CellSet, recipe: Path, bundle: Bundle
) -> dict[int, Report]:
    """Copy the fold models of further seeds beside the first, and run them: seed -> report."""
    reports = {}
    for run in runs:
        seed = job_from(json.loads((run / "fold0" / "job.json").read_text())).training.seed
        changed = read_recipe(recipe, [f"seed={seed}"])
        job = checked_job(run / "fold0", changed, recipe)
        target = folds / f"seed{seed}"
        write_folds(run, target, data, changed, job, bundle)
        reports[seed] = finish(evaluate_folds(data, target))
    return reports


def over_seeds(reports: dict[int, Report], data: CellSet, clean: bool) -> Report:
    """Return one report in which every fold of every seed counts as a fold."""
    kept = np.ones(len(data), bool)
    if clean:
        kept = data.extra["fuhad2020"] == "confirmed"
    parts = [(k, report.held) for k, report in enumerate(reports.values())]
    folds = 1 + max(int(held.fold.max()) for _, held in parts)
    return summarize(
        np.concatenate([held.logits[kept] for _, held in parts]),
        np.tile(data.labels[kept], len(parts)),
        np.tile(data.groups[kept], len(parts)),
        np.concatenate([held.fold[kept] + folds * k for k, held in parts]),
        protocol=f"seeds {', '.join(map(str, reports))}",
        positive=parts[0][1].positive,
    )
