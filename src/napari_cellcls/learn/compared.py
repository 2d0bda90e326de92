"""Two models on the labels of one project: the same cells, which neither has learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn import gate
from napari_cellcls.learn.described import Described, describe_labels
from napari_cellcls.learn.gate import Verdict
from napari_cellcls.learn.holdout import known as known_to
from napari_cellcls.learn.holdout import learned_by
from napari_cellcls.learn.labels import Labels, labeled_cells
from napari_cellcls.learn.proof import Rival, answers_of
from napari_cellcls.learn.roster import roster, same_classes
from napari_cellcls.models.head import need_classes
from napari_cellcls.vocabulary import DataError, Task

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project


def compare_models(
    project: Project, one: ModelPackage, two: ModelPackage, *, seed: int = 42
) -> Task[tuple[Verdict, tuple[str, ...]]]:
    """Compare two models on what people decided; nothing is written.

    Parameters
    ----------
    project : Project
    one, two : ModelPackage
        Before and after.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Task of (Verdict, tuple of str)
        And what a person should know.

    Raises
    ------
    ModelError
        ``MODEL-NO-CLASSES``, at once.
    DataError
        ``LEARN-FEW`` when no cell can judge both.
    """
    for package in (one, two):
        need_classes(package)
    cells = tuple(project.journal.state.cells.values())
    several = project.description.multi_label
    labels = labeled_cells(project.journal.state, multi_label=several, cells=cells)
    return _compare(project, one, two, labels, seed)


def _compare(
    project: Project, one: ModelPackage, two: ModelPackage, labels: Labels, seed: int
) -> Task[tuple[Verdict, tuple[str, ...]]]:
    state = project.journal.state
    first = yield from describe_labels(project, labels, one)
    second = first
    if one.weights_sha256 != two.weights_sha256 or one.manifest.crop != two.manifest.crop:
        second = yield from describe_labels(project, labels, two)
    rows = np.intersect1d(first.rows, second.rows)
    learned = learned_by(one) | learned_by(two)
    met, every = known_to(labels, learned)[rows], labels.groups[rows]
    known = [same_classes(package, labels, state) for package in (one, two)]
    both = dict(enumerate({*known[0].values(), *known[1].values()}))
    who = roster(labels, np.zeros(0, int), both, "")
    targets = labels.targets[rows][:, list(who.columns)]
    fair = labels.testable[rows] & ~met
    fair &= np.isfinite(targets).all(axis=1)
    if not project.description.multi_label:
        fair &= (targets == 1).any(axis=1)
    if not fair.any():
        raise DataError(
            "No labeled cell can judge these two models.",
            code="LEARN-FEW",
            why=f"{len(labels):,} cells are labeled; all are in images that one of the models has "
            "learned from, were accepted without looking, or have classes that neither knows.",
            remedy="Label some cells of other images by hand.",
        )
    rows, truth = rows[fair], targets[fair] > 0
    groups = labels.groups[rows]
    scores = [
        answers_of(Rival(package, same, _values(found, rows)), who, np.arange(len(rows)), truth, groups)
        for package, same, found in ((one, known[0], first), (two, known[1], second))
    ]  # fmt: skip
    notes = list(dict.fromkeys((*first.notes, *second.notes)))
    lost = len(np.unique(every[met]))
    if lost:
        notes.append(
            f"{lost:,} images or patients that one of them has learned from did not judge."
        )
    verdict = gate.judge_change(scores[0], scores[1], who.names, seed=seed)
    return verdict, tuple(notes)


def _values(found: Described, rows: np.ndarray) -> np.ndarray:
    return found.values[np.searchsorted(found.rows, rows)]
