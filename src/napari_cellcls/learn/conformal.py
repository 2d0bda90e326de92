"""Sets of classes that hold the right one as often as promised: "could be A or B".

Split conformal prediction. The cells of one patient or image resemble each other, so that a new
cell is like a cell of a new group, not like one more of the cells at hand: groups count the same, however many
cells they have, and one unseen group counts as the worst case (hierarchical conformal prediction,
Lee, Barber and Willett 2023, arXiv 2306.06342).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cellcls.models.head import sets_of
from napari_cellcls.models.manifest import SetsEntry
from napari_cellcls.vocabulary import DataError

_ENOUGH = 50
"""Cells of a class from which it gets a limit of its own; below, it shares that of all classes."""


@dataclass(frozen=True)
class SetRule:
    """When a class belongs to the set of a cell.

    Attributes
    ----------
    coverage : float
        Share of new cells whose set is promised to hold the right class, 0..1.
    limits : numpy.ndarray
        ``(K,)``: a class belongs to the set when its probability is at least this.
    own : numpy.ndarray
        ``(K,)`` bool: whether the promise holds for this class by itself.
    cells, groups : int
        What the limits were taken from.
    """

    coverage: float
    limits: np.ndarray
    own: np.ndarray
    cells: int
    groups: int

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the set of each cell, ``(N, K)`` bool; the most probable class is always in it.

        Parameters
        ----------
        probabilities : numpy.ndarray
            ``(N, K)``.
        """
        return sets_of(probabilities, self.limits)

    @property
    def entry(self) -> SetsEntry:
        """What a model package stores of it."""
        return SetsEntry(
            coverage=self.coverage,
            limits=tuple(float(v) for v in self.limits),
            own=tuple(bool(v) for v in self.own),
            cells=self.cells,
            groups=self.groups,
        )


def groups_needed(coverage: float) -> int:
    """Return how many groups can support a promise: with fewer, every class would be in every set."""
    return int(np.ceil(round(1 / (1 - coverage) - 1, 9)))


def fit_sets(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    coverage: float = 0.9,
) -> SetRule:
    """Choose the limits on cells that the model was not trained on.

    Parameters
    ----------
    probabilities : numpy.ndarray
        ``(N, K)``, one class per cell.
    labels : numpy.ndarray
        ``(N,)`` class indices.
    groups : numpy.ndarray
        ``(N,)`` str: patient, slide or image.
    coverage : float
        Wanted, 0.5 to 0.999.

    Raises
    ------
    DataError
        ``LEARN-FEW`` with too few groups for the coverage wanted.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    names, group = np.unique(np.asarray(groups, str), return_inverse=True)
    needed = groups_needed(coverage)
    if len(names) < needed:
        raise DataError(
            "There are too few groups for sets that can be relied on.",
            code="LEARN-FEW",
            why=f"{len(names)} groups; a promise of {coverage:.0%} needs at least {needed}",
            remedy="Label cells of more patients or images, or ask for less coverage.",
        )
    right = p[np.arange(len(p)), y]
    limits = np.full(p.shape[1], _limit(right, group, coverage))
    own = np.zeros(p.shape[1], bool)
    for k in range(p.shape[1]):
        rows = y == k
        enough = rows.sum() >= _ENOUGH and len(np.unique(group[rows])) >= needed
        if enough:
            limits[k], own[k] = _limit(right[rows], group[rows], coverage), True
    return SetRule(coverage, limits, own, len(p), len(names))


def _limit(right: np.ndarray, group: np.ndarray, coverage: float) -> float:
    """Return the probability that the right class reaches in the promised share of cells.

    Every group weighs ``1 / (G + 1)``, spread over its cells; the missing weight lies below all.
    """
    _, index, counts = np.unique(group, return_inverse=True, return_counts=True)
    weight = 1 / (counts[index] * (len(counts) + 1))
    order = np.argsort(-right, kind="stable")
    reached = np.cumsum(weight[order])
    enough = np.flatnonzero(reached >= coverage - 1e-12)
    return float(right[order][enough[0]]) if len(enough) else 0.0
