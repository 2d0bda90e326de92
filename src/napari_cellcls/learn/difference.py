"""What macro F1 of two models differs by on the same cells, and how far that may be off: whole groups are drawn.

Macro F1 is the mean over the classes that have cells to judge, of the data and of each draw, the same for both models. (A class
that no cell has, and one model says once, would count as 0 for this model and not at all for the other.)
"""

from __future__ import annotations

import numpy as np

from napari_cellcls.learn import intervals, metrics
from napari_cellcls.learn.metrics import Scored

MANY = 10
"""Groups from which on they alone say how far a number may be off."""
Limits = tuple[float, float] | None


def class_f1(of: Scored) -> np.ndarray:
    """Return F1 of each class ``(K,)``, NaN where no cell has it."""
    found: np.ndarray = _f1(_sums(of, np.zeros(len(of), int), 1))[0]
    return found


def macro_f1(of: Scored) -> float:
    """Return the mean F1 of the classes that have cells; NaN without any."""
    return float(metrics.mean_defined(class_f1(of)))


def drawn(of: Scored, resamples: int, seed: int) -> list[np.ndarray]:
    """Return F1 of each class in draws of as many groups as there are, with replacement.

    Two models on the same rows get the same draws.

    Parameters
    ----------
    of : Scored
        Of two groups or more.
    resamples, seed : int

    Returns
    -------
    list of numpy.ndarray
        ``(R, K)``, NaN where a draw has no cell of the class. Of groups; where there are few, of single cells
        too: two or three groups have hardly different draws and would promise too much.
    """
    _, place = np.unique(of.groups, return_inverse=True)
    count = int(place.max()) + 1
    alike = [(place, count)]
    if count < MANY:
        alike.append((np.arange(len(of)), len(of)))
    found = []
    for where, groups in alike:
        sums = _sums(of, where, groups)
        parts = [
            _f1(np.tensordot(times, sums, axes=1))
            for times in intervals.draws(groups, resamples, seed)
        ]
        found.append(np.concatenate(parts))
    return found


def limits(before: list[np.ndarray] | float, after: list[np.ndarray], level: float) -> Limits:
    """Return the percentile interval of the difference of macro F1; None where it is not defined.

    Parameters
    ----------
    before : list of numpy.ndarray, or float
        Draws, or a number that all are compared with.
    after : list of numpy.ndarray
        Where cells were drawn too, the ends that lie farthest out count.
    level : float
    """
    firsts = before if isinstance(before, list) else [np.array([[before]])] * len(after)
    known = [
        found
        for one, two in zip(firsts, after)
        if (found := intervals.limits(metrics.mean_defined(two) - metrics.mean_defined(one), level))
    ]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def highest(before: list[np.ndarray], after: list[np.ndarray], share: float) -> np.ndarray:
    """Return what the difference of each class ``(K,)`` stays below in a share of the draws.

    A draw without cells of a class counts as no difference.
    """
    each = [np.nan_to_num(two - one) for one, two in zip(before, after)]
    found: np.ndarray = np.max([np.quantile(e, share, axis=0) for e in each], axis=0)
    return found


def _sums(of: Scored, place: np.ndarray, groups: int) -> np.ndarray:
    """Return hits, what was said, and what is true by group, ``(G, 3, K)``."""
    found = np.zeros((groups, 3, of.truth.shape[1]))
    np.add.at(found, place, np.stack([of.said & of.truth, of.said, of.truth], axis=1))
    return found


def _f1(sums: np.ndarray) -> np.ndarray:
    hits, said, true = np.moveaxis(sums, -2, 0)
    return metrics.divided(2 * hits, np.where(true > 0, said + true, 0.0))
