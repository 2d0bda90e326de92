"""A quick fine-tune step by step: who is learned from, the head, and what follows from cells it did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn import fitted
from napari_cellcls.learn.calibration import choose_thresholds
from napari_cellcls.learn.conformal import SetRule, fit_sets, groups_needed
from napari_cellcls.learn.described import Described
from napari_cellcls.learn.fitted import Before, probabilities_of
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.holdout import Sides, held_out, learned_by
from napari_cellcls.learn.holdout import known as known_to
from napari_cellcls.learn.labels import Labels
from napari_cellcls.learn.proof import Court, Rival
from napari_cellcls.learn.roster import Roster, removed, roster, same_classes

if TYPE_CHECKING:
    from napari_cellcls.models.general import General
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.review.fold import State

COVERAGE = 0.9
"""Share of new cells whose set of classes is promised to hold the right one."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done with each of ``M`` described cells.

    Attributes
    ----------
    roster : Roster
        Classes of the new version.
    known : mapping of int to int
        Class of the released model -> column of the labels.
    targets : numpy.ndarray
        ``(M, K)`` 1/0/NaN.
    learned, held, judging : numpy.ndarray
        ``(M,)`` bool: learned from, of a group held out, fit to judge.
    notes : tuple of str
        For people.
    """

    roster: Roster
    known: Mapping[int, int]
    targets: np.ndarray
    learned: np.ndarray
    held: np.ndarray
    judging: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A new head, what it came from, and what cross-validation chose for it.

    ``targets`` ``(N, K)`` are those learned from; ``sets`` and ``thresholds`` are None where they do
    not apply or too few groups support them.
    """

    head: Head
    before: Before
    targets: np.ndarray
    sets: SetRule | None
    thresholds: np.ndarray | None


def plan(
    labels: Labels,
    found: Described,
    base: ModelPackage,
    state: State,
    *,
    multi_label: bool,
    past: Sequence[Sides] = (),
) -> Plan:
    """Decide who is learned from and who judges; ``past`` are the sides of earlier versions, newest first."""
    held = held_out(labels, found.rows, past)
    known = same_classes(base, labels, state)
    chosen = roster(labels, found.rows[~held], known, base.manifest.title)
    targets = labels.targets[found.rows][:, list(chosen.columns)]
    usable = np.isfinite(targets).any(axis=1) if multi_label else (targets == 1).any(axis=1)
    judging = labels.testable[found.rows] & usable
    notes = list(chosen.notes)
    gone = removed(base, known)
    if gone and known:
        notes.append(
            "The new version has the classes of the project. Of those of "
            f"{base.manifest.title} it leaves out: {', '.join(gone)}."
        )
    return Plan(chosen, known, targets, ~held & usable, held, judging, tuple(notes))


def fit(
    plan: Plan,
    labels: Labels,
    found: Described,
    base: ModelPackage,
    *,
    multi_label: bool,
    seed: int,
    general: General | None = None,
) -> Fitted:
    """Fit the head, and choose thresholds and sets on cells that the folds did not see.

    ``general`` are the cells of ``base`` by the network that described these, where it is not its own.

    Raises
    ------
    DataError
        ``LEARN-FEW`` when there is nothing to tell apart.
    """
    rows, targets = found.rows[plan.learned], plan.targets[plan.learned]
    values, groups = found.values[plan.learned], labels.groups[rows]
    before = fitted.before_of(
        base,
        plan.known,
        plan.roster,
        values,
        found.blocks,
        multi_label=multi_label,
        general=general,
    )
    head = fitted.fit(
        values, targets, labels.weights[rows], groups, before, found.blocks,
        multi_label=multi_label, seed=seed,
    )  # fmt: skip
    seen = head.folds > 0
    p = probabilities_of(np.nan_to_num(head.held_out), head.temperature, multi_label)
    if multi_label:
        return Fitted(head, before, targets, None, _thresholds(p, targets) if seen else None)
    sets = None
    if seen and head.grouped and len(np.unique(groups)) >= groups_needed(COVERAGE):
        sets = fit_sets(p, targets.argmax(axis=1), groups, COVERAGE)
    return Fitted(head, before, targets, sets, None)


def court(
    plan: Plan,
    fitted: Fitted,
    labels: Labels,
    found: Described,
    rival: Rival | None,
    base: ModelPackage,
) -> Court:
    """Return the cells that judge: those held out, and beside them, or instead, what cross-validation did not see.

    ``base`` is the model that the learning started from.
    """
    # No head is new to images that its beginning has learned from.
    fair = plan.judging & _answered(rival, len(found.rows))
    fair &= ~known_to(labels, learned_by(base))[found.rows]
    learned, head = np.flatnonzero(plan.learned), fitted.head
    crossed = head.grouped and head.folds > 0
    if not plan.held.any():
        seen = fair[learned] & crossed
        return _court(plan, labels, found, learned[seen], head.held_out[seen], held=False)
    if rival is not None and rival.groups:
        # The model in use must not be asked about images it has learned from.
        fair &= ~known_to(labels, rival.groups)[found.rows]
    places = np.flatnonzero(fair & plan.held)
    held = _court(plan, labels, found, places, head.logits(found.values[places]), held=True)
    seen = fair[learned] & crossed & np.isfinite(plan.targets[learned]).all(axis=1)
    if not seen.any():
        return held
    beside = _court(plan, labels, found, learned[seen], head.held_out[seen], held=False)
    return replace(held, beside=beside)


def _court(
    plan: Plan,
    labels: Labels,
    found: Described,
    places: np.ndarray,
    logits: np.ndarray,
    *,
    held: bool,
) -> Court:
    groups = labels.groups[found.rows[places]]
    targets = plan.targets
    fit = plan.judging & np.isfinite(targets).all(axis=1)
    every = labels.groups[found.rows[fit & plan.held]] if held else labels.groups[found.rows[fit]]
    return Court(targets[places], groups, np.asarray(logits), places, held, every)


def _answered(rival: Rival | None, count: int) -> np.ndarray:
    if rival is None:
        return np.ones(count, bool)
    answered: np.ndarray = np.isfinite(rival.values).all(axis=1)
    return answered


def _thresholds(p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the threshold with the best F1 of each class, on the cells judged of it."""
    found = np.full(targets.shape[1], 0.5)
    for k in range(targets.shape[1]):
        judged = np.isfinite(targets[:, k])
        some = p[judged, k][:, None], targets[judged, k][:, None] > 0
        if some[1].any() and not some[1].all():
            found[k] = choose_thresholds("per_class", *some)[0]
    return np.asarray(np.clip(found, 0.05, 0.95))
