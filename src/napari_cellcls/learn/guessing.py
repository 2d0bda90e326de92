"""What guessing would reach: the same answers given to the wrong cells, many times."""

from __future__ import annotations

import numpy as np

from napari_cellcls.learn import metrics
from napari_cellcls.learn.metrics import Scored

_TIMES = 300
_SURE = 3.1
"""Standard deviations above guessing that one model in a thousand reaches by luck."""


def guesses(of: Scored, seed: int) -> np.ndarray:
    """Return F1 of each class ``(R, K)`` of the same answers given to the wrong cells; NaN without cells of it."""
    rng, found = np.random.default_rng(seed), []
    said, truth = of.said.astype(np.float64), of.truth.astype(np.float64)
    every = np.where(truth.any(axis=0), said.sum(axis=0) + truth.sum(axis=0), 0.0)
    for _ in range(_TIMES):
        hits = (said[rng.permutation(len(said))] * truth).sum(axis=0)
        found.append(metrics.divided(2 * hits, every))
    return np.array(found)


def luck(of: Scored, seed: int) -> float:
    """Return macro F1 that guessing hardly ever exceeds."""
    found = metrics.mean_defined(guesses(of, seed))
    return float(found.mean() + _SURE * found.std())
