"""Whether a model is surer than it is right, or less sure, by more than chance explains.

A calibration error of few cells is mostly chance, and always above 0: a difference of two says little. How a temperature would change the
log loss says more: where probabilities are true, the mean of that slope is 0, whatever the classes and however hard the cells.
It is the score test of the calibration slope (Cox 1958, Biometrika 45:562; the temperature is that of Guo et al. 2017,
arXiv 1706.04599), with whole groups as the pieces of evidence (Liang and Zeger 1986, Biometrika 73:13).
"""

from __future__ import annotations

import numpy as np

from napari_cellcls.learn.difference import MANY
from napari_cellcls.learn.metrics import Scored

_LEAST = 1e-4
"""Probabilities count as this at least: one cell that was surely wrong must not hide what the others say."""


def surely_off(of: Scored, level: float = 0.95) -> bool:
    """Return whether another temperature would make the answers likelier, beyond chance.

    Parameters
    ----------
    of : Scored
        Cells that the model has not learned from.
    level : float
        A model with true probabilities is called off in at most ``1 - level`` of all cases, about.

    Returns
    -------
    bool
        False with fewer than two groups. Where they are fewer than :data:`~napari_cellcls.learn.difference.MANY`, single cells are
        asked too: two groups alone say hardly anything.
    """
    # Not scipy.stats: loading it takes longer than all that is asked of it.
    from scipy.special import stdtrit

    _, place = np.unique(of.groups, return_inverse=True)
    slopes = _slopes(of)

    def is_off(place: np.ndarray) -> bool:
        count = int(place.max(initial=-1)) + 1
        if count < 2:
            return False
        from_mean = np.bincount(place, weights=slopes - slopes.mean(), minlength=count)
        error = np.sqrt(count / (count - 1) * (from_mean**2).sum()) / len(slopes)
        return bool(abs(slopes.mean()) > stdtrit(count - 1, (1 + level) / 2) * error)

    few = 2 <= int(place.max(initial=-1)) + 1 < MANY
    return is_off(place) or (few and is_off(np.arange(len(slopes))))


def _slopes(of: Scored) -> np.ndarray:
    """Return how the log loss of each cell falls as its answer becomes less sure, ``(N,)``."""
    p = of.probabilities
    logits = np.log(np.clip(p, _LEAST, 1.0))
    if of.multi_label:
        logits = logits - np.log(np.clip(1 - p, _LEAST, 1.0))
    found: np.ndarray = ((p - of.truth) * logits).sum(axis=1)
    return found
