"""A split by a named protocol, refused when it would flatter: the one door to training data.

Grouped protocols keep patients (antibodies, photographs, days) on one side. The random ones, as
published, share them by design, which is said in the notes of the split; an identical image on two
sides, or a nearly identical one of another group, stops those too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from napari_cellcls.learn import sides as placing
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.datasets.cellset import listed
from napari_cellcls.learn.duplicates import Near, near_duplicates
from napari_cellcls.learn.splits import (
    Split,
    check_leaks,
    crossing,
    fold_split,
    grouped_folds,
    random_folds,
    random_split,
)
from napari_cellcls.vocabulary import DataError, Task

Kind = Literal["random", "kfold", "grouped", "stratified", "hashed", "listed"]
_SHARES_GROUPS = ("random", "kfold")
_FEW_GROUPS = 5


@dataclass(frozen=True)
class SplitPlan:
    """How the rows of a set get their sides.

    Attributes
    ----------
    kind : str
        ``random``: shares of the rows, as published. ``kfold``: random folds, classes spread
        evenly. ``grouped``: folds of whole groups. ``stratified``: shares of whole groups, every
        class spread evenly. ``hashed``: by a hash of the group, stable as data grow. ``listed``:
        by published lists of groups.
    by : str, optional
        What a group is (``patient``, ``antibody``, ``image``, ``date`` or a column); by default
        what the data set calls its group.
    test, val : float
        For ``random``: the test share of all rows, the validation share of the rest. For
        ``stratified`` and ``hashed``: shares of all. For folds: ``val`` is a share of the rest.
    folds : int
    seed : int
    allow_duplicates : bool
        Go on when an image is on two sides, and say so.
    lists : mapping of str to tuple of str
        For ``listed``: side -> groups; by default the data's ``sides.csv``.
    """

    kind: Kind = "grouped"
    by: str | None = None
    test: float = 0.2
    val: float = 0.0
    folds: int = 5
    seed: int = 42
    allow_duplicates: bool = False
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def make_split(data: CellSet, plan: SplitPlan, fold: int = 0) -> Task[Split]:
    """Split a set by a plan and refuse leaks.

    Parameters
    ----------
    data : CellSet
    plan : SplitPlan
    fold : int
        The fold held out, for ``kfold`` and ``grouped``.

    Raises
    ------
    DataError
        ``DATA-LEAK`` (group, image or near-duplicate on two sides, with the names), ``DATA-FEW`` (a
        class too small for the sides), ``DATA-GROUPS`` (unknown or too few groups).
    """
    if plan.by is not None:
        data = data.grouped(plan.by)
    judged = np.flatnonzero(~data.training_only)
    split = with_training_only(data, _rows(data.take(judged, pixels=False), plan, fold), judged)
    near = yield from near_duplicates(data)
    notes = refuse_leaks(data, split, near, plan)
    notes += check_classes(data, split)
    return replace(split, notes=notes)


def with_training_only(data: CellSet, split: Split, judged: np.ndarray) -> Split:
    """Return a split of some rows as one of all: the others go to the training side.

    Those of a group on another side are left out.

    Parameters
    ----------
    data : CellSet
    split : Split
        Its numbers count within ``judged``.
    judged : numpy.ndarray
        Rows that may be on any side.
    """
    if len(judged) == len(data):
        return split
    held = judged[np.concatenate([split.val, split.test])]
    more = np.flatnonzero(data.training_only & ~np.isin(data.groups, np.unique(data.groups[held])))
    train = np.sort(np.concatenate([judged[split.train], more]))
    return replace(split, train=train, val=judged[split.val], test=judged[split.test])


def refuse_leaks(data: CellSet, split: Split, near: Near, plan: SplitPlan) -> tuple[str, ...]:
    """Stop at anything on two sides that the protocol does not share by design; return notes.

    Raises
    ------
    DataError
        ``DATA-LEAK``.
    """
    sides = split.sides()
    shared = plan.kind in _SHARES_GROUPS
    notes = _group_notes(data, sides) if shared else _few_groups(data)
    across = crossing(sides, near.pairs)
    other_group = across[data.groups[across[:, 0]] != data.groups[across[:, 1]]]
    if plan.allow_duplicates:
        if len(across):
            names = [f"{data.names[a]} = {data.names[b]}" for a, b in across]
            count = f"{len(across)} nearly identical pairs lie on two sides"
            notes += (f"{count}, allowed by the recipe: {listed(names, 3)}.",)
        check_leaks(sides, groups=None if shared else data.groups, names=data.names)
        return notes
    check_leaks(
        sides,
        groups=None if shared else data.groups,
        hashes=data.hashes(),
        near=other_group if shared else across,
        names=data.names,
    )
    if shared and len(across):
        notes += (f"{len(across)} nearly identical pairs of one group lie on two sides.",)
    return notes


def check_classes(data: CellSet, split: Split) -> tuple[str, ...]:
    """Stop when a class is too small for the sides there are; return notes on rare classes.

    Raises
    ------
    DataError
        ``DATA-FEW``.
    """
    matrix = data.matrix
    used = {name: rows for name, rows in split.sides().items() if len(rows)}
    total = matrix.sum(0)
    small = [k for k in range(len(data.classes)) if total[k] < len(used)]
    if "training" in used:
        untrained = matrix[used["training"]].sum(0) == 0
        small = [k for k in range(len(data.classes)) if k in small or untrained[k]]
    # Where a model's answers are learned too, a class may be known without a cell of its own.
    if small and not data.multi_label and data.soft is None:
        raise DataError(
            "A class has too few images.",
            code="DATA-FEW",
            why="; ".join(
                f"{data.classes[k]}: {total[k]} in all, "
                + ", ".join(f"{matrix[rows, k].sum()} in {name}" for name, rows in used.items())
                for k in small[:5]
            ),
            remedy="Add images of it (from other groups), leave the class out, or use fewer sides or folds.",
        )
    notes = []
    for name, rows in used.items():
        absent = [data.classes[k] for k in np.flatnonzero(matrix[rows].sum(0) == 0)]
        if absent:
            notes.append(f"No image of {listed(absent, 8)} is on the {name} side.")
    return tuple(notes)


def _rows(data: CellSet, plan: SplitPlan, fold: int) -> Split:
    n = len(data)
    if plan.kind == "random":
        return random_split(n, test=plan.test, val=plan.val, seed=plan.seed)
    if plan.kind == "kfold":
        every = random_folds(data.labels, folds=plan.folds, seed=plan.seed)
        return _random_fold(every, fold, data.labels, plan)
    if plan.kind == "grouped":
        every = grouped_folds(data.groups, data.labels, folds=plan.folds, seed=plan.seed)
        return fold_split(every, fold, data.groups, data.labels, val=plan.val, seed=plan.seed)
    if plan.kind == "listed":
        return as_split(placing.listed_sides(data.groups, plan.lists or _lists(data)))
    shares = placing.fractions(plan.test, plan.val)
    if plan.kind == "hashed":
        return as_split(placing.hashed_sides(data.groups, shares, seed=plan.seed))
    return as_split(
        placing.stratified_sides(
            data.groups, data.labels, shares, known=data.sides, seed=plan.seed
        )
    )  # fmt: skip


def _lists(data: CellSet) -> dict[str, tuple[str, ...]]:
    if not data.sides:
        raise DataError(
            "It is not listed which groups are trained on.",
            code="DATA-GROUPS",
            why="protocol listed, but there is no sides.csv beside the data",
            remedy="Write sides.csv (a group and training, validation or test per line), or choose another protocol.",
        )
    return {
        side: tuple(group for group, its in data.sides.items() if its == side)
        for side in placing.SIDES
    }


def as_split(side: np.ndarray) -> Split:
    """Return the split of a side per row, ``(N,)`` str as from :mod:`learn.sides`."""
    parts = [np.flatnonzero(side == name) for name in placing.SIDES]
    return Split(train=parts[0], val=parts[1], test=parts[2])


def _random_fold(every: np.ndarray, fold: int, labels: np.ndarray, plan: SplitPlan) -> Split:
    rest, test = np.flatnonzero(every != fold), np.flatnonzero(every == fold)
    inside = np.zeros(len(rest), bool)
    if plan.val > 0:
        parts = max(2, round(1 / plan.val))
        inside = random_folds(labels[rest], folds=parts, seed=plan.seed + 1) == 0
    return Split(train=rest[~inside], val=rest[inside], test=test)


def _group_notes(data: CellSet, sides: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    if not data.group_kind or not len(sides["test"]):
        return ()
    trained = np.unique(data.groups[sides["training"]])
    shared = np.isin(data.groups[sides["test"]], trained).mean()
    if not shared:
        return (f"The split is random, but no {data.group_kind} is on two sides, as it happens.",)
    who = f"{100 * shared:.1f} % of the test images have their {data.group_kind}"
    return (f"The split is random: {who} on the training side too; the numbers flatter the model.",)


def _few_groups(data: CellSet) -> tuple[str, ...]:
    groups = len(np.unique(data.groups))
    if groups >= _FEW_GROUPS:
        return ()
    return (f"There are only {groups} groups: what the test says of new ones is weak.",)
