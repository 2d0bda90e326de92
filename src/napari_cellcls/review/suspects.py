"""Labels that may be wrong: confident learning on probabilities of a model that never saw the label.

After Northcutt, Jiang and Chuang 2021 (Journal of Artificial Intelligence Research 70:1373): a cell labeled i counts
as a confident j when its probability of j reaches the mean probability of j among cells labeled j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Suspect(NamedTuple):
    """A label that may be wrong.

    ``row`` counts in the input; ``given`` and ``likely`` are class indices (for one class of several: 0
    no, 1 yes, and ``class_index`` says which); ``gap`` is the probability of ``likely`` less that of ``given``.
    """

    row: int
    given: int
    likely: int
    gap: float
    class_index: int = -1


@dataclass(frozen=True)
class Suspects:
    """What confident learning says of a set of labels.

    Attributes
    ----------
    found : tuple of Suspect
        Largest gap first.
    joint : numpy.ndarray
        ``(K, K)`` estimated share of cells with given label i and true class j; sums to 1.
    thresholds : numpy.ndarray
        ``(K,)`` mean probability of a class among the cells labeled so; NaN for a class without labels.
    """

    found: tuple[Suspect, ...]
    joint: np.ndarray = field(repr=False)
    thresholds: np.ndarray = field(repr=False)

    @property
    def share(self) -> float:
        """Estimated share of wrong labels; NaN without labels."""
        return float(1 - np.trace(self.joint)) if self.joint.any() else float("nan")


def find_suspects(labels: np.ndarray, probabilities: np.ndarray) -> Suspects:
    """Return labels that may be wrong.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(N,)`` int class index, -1 where a cell has no label.
    probabilities : numpy.ndarray
        ``(N, K)``, of a model that was not trained on the cell (see :func:`out_of_sample`); else
        wrong labels hide themselves. Rows that are not finite are passed over.

    Returns
    -------
    Suspects
    """
    given, values = np.asarray(labels, np.int64), np.asarray(probabilities, np.float64)
    size = values.shape[1]
    rows = np.flatnonzero((given >= 0) & np.isfinite(values).all(axis=1))
    given, values = given[rows], values[rows]
    many = np.bincount(given, minlength=size)
    own = np.bincount(given, values[np.arange(len(rows)), given], size)
    thresholds = np.divide(own, many, out=np.full(size, np.nan), where=many > 0)
    # A class without labels can have no threshold, so no cell is confidently of it.
    passed = values >= np.where(many > 0, thresholds, np.inf)
    likely = np.where(passed, values, -1).argmax(axis=1)
    counted = passed.any(axis=1)
    joint = np.zeros((size, size))
    np.add.at(joint, (given[counted], likely[counted]), 1)
    joint = _calibrated(joint, many)
    wrong = np.flatnonzero(counted & (likely != given))
    found = [
        Suspect(
            int(rows[i]),
            int(given[i]),
            int(likely[i]),
            float(values[i, likely[i]] - values[i, given[i]]),
        )
        for i in wrong
    ]
    return Suspects(tuple(sorted(found, key=lambda s: (-s.gap, s.row))), joint, thresholds)


def find_suspects_multi(judged: np.ndarray, probabilities: np.ndarray) -> tuple[Suspect, ...]:
    """Return judgments that may be wrong where a cell may have several classes, largest gap first.

    Parameters
    ----------
    judged : numpy.ndarray
        ``(N, K)``: 1 yes, 0 no, -1 not judged.
    probabilities : numpy.ndarray
        ``(N, K)`` of a model that was not trained on the cell.
    """
    found: list[Suspect] = []
    for k in range(judged.shape[1]):
        one = np.asarray(probabilities[:, k], np.float64)
        part = find_suspects(judged[:, k], np.stack([1 - one, one], axis=1))
        found += [suspect._replace(class_index=k) for suspect in part.found]
    return tuple(sorted(found, key=lambda s: (-s.gap, s.row, s.class_index)))


def out_of_sample(
    points: np.ndarray,
    labels: np.ndarray,
    classes: int,
    groups: Sequence[str] | np.ndarray | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Return probabilities of each labeled cell by a logistic head that was fitted without it.

    Parameters
    ----------
    points : numpy.ndarray
        ``(N, D)`` embeddings, or fewer axes of them.
    labels : numpy.ndarray
        ``(N,)`` int class index, -1 without a label.
    classes : int
    groups : sequence of str, optional
        Image of each cell: a cell is judged by a head that saw no cell of its image. Without groups, or
        with fewer than two images, cells are drawn alone.
    folds, seed : int

    Returns
    -------
    numpy.ndarray
        ``(N, classes)`` float32; NaN where a cell has no label or its part could not be fitted (fewer
        than two classes in the others).
    """
    from sklearn.linear_model import LogisticRegression

    given = np.asarray(labels, np.int64)
    result = np.full((len(given), classes), np.nan, np.float32)
    rows = np.flatnonzero(given >= 0)
    if len(rows) < 2:
        return result
    part = _parts(None if groups is None else np.asarray(groups)[rows], len(rows), folds, seed)
    spread = np.asarray(points[rows], np.float64)
    spread = (spread - spread.mean(axis=0)) / max(float(spread.std()), 1e-12)
    for fold in range(int(part.max()) + 1):
        inside, outside = rows[part != fold], rows[part == fold]
        if len(np.unique(given[inside])) < 2:
            continue
        head = LogisticRegression(C=0.3, max_iter=300).fit(spread[part != fold], given[inside])
        found = np.zeros((len(outside), classes), np.float32)
        found[:, head.classes_] = head.predict_proba(spread[part == fold])
        result[outside] = found
    return result


def _calibrated(joint: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Scale the counts so that each row has the share of its label; a row without counts is sure."""
    total = joint.sum(axis=1, keepdims=True)
    whole = np.where(
        total > 0,
        np.divide(joint, total, out=np.zeros_like(joint), where=total > 0),
        np.eye(len(joint)),
    )
    scaled: np.ndarray = whole * many[:, None] / max(int(many.sum()), 1)
    return scaled


def _parts(groups: np.ndarray | None, count: int, folds: int, seed: int) -> np.ndarray:
    """Return for each cell its part, 0..folds-1; cells of one group together, parts of like size."""
    rng = np.random.default_rng(seed)
    if groups is not None and len(np.unique(groups)) > 1:
        index, size = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    else:
        index, size = np.arange(count), np.ones(count, np.int64)
    folds = min(folds, len(size))
    of_group = np.zeros(len(size), np.int64)
    load = np.zeros(folds)
    for group in sorted(rng.permutation(len(size)), key=lambda g: -size[g]):
        of_group[group] = load.argmin()
        load[load.argmin()] += size[group]
    parts: np.ndarray = of_group[index]
    return parts
