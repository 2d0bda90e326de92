"""How doubtful predictions are, and between which two classes: numbers the queue and the lists go by."""

from __future__ import annotations

from typing import Literal

import numpy as np


def doubt_of(
    probabilities: np.ndarray,
    *,
    multi_label: bool = False,
    kind: Literal["margin", "entropy"] = "margin",
) -> np.ndarray:
    """Return how doubtful each prediction is, 0..1 float32 ``(N,)``.

    For one class per cell: 1 less the gap between the two most probable classes, or the entropy over its largest
    value. For several: the same for the class that is nearest to 0.5.
    """
    values = np.asarray(probabilities, np.float32)
    if multi_label:
        unsure = values[np.arange(len(values)), np.abs(values - 0.5).argmin(axis=1)]
        values = np.stack([unsure, 1 - unsure], axis=1)
    if kind == "entropy":
        safe = np.clip(values, 1e-12, 1)
        return np.asarray(-(safe * np.log(safe)).sum(axis=1) / np.log(values.shape[1]), np.float32)
    top = np.partition(values, -2, axis=1)
    return np.asarray(1 - (top[:, -1] - top[:, -2]), np.float32)


def pairs_of(probabilities: np.ndarray, *, multi_label: bool = False) -> np.ndarray:
    """Return which two classes each cell may be confused between, ``(N, 2)``, smaller index first.

    With several classes per cell: the most probable one and the most doubtful one, which may be the same.
    """
    values = np.asarray(probabilities)
    if multi_label:
        both = np.stack([values.argmax(axis=1), np.abs(values - 0.5).argmin(axis=1)], axis=1)
    else:
        both = np.argsort(-values, axis=1, kind="stable")[:, :2]
    return np.sort(both, axis=1)
