"""Temperature, thresholds, metrics and trivial baselines for several labels per cell; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from training.simulate.crops import CropSet


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature with the least mean binary cross entropy.

    Parameters
    ----------
    logits : numpy.ndarray
        ``(N, K)``.
    labels : numpy.ndarray
        ``(N, K)`` 0/1.
    """
    grid = np.exp(np.linspace(np.log(0.2), np.log(5.0), 161))
    losses = []
    for t in grid:
        z = logits / t
        losses.append(float((np.logaddexp(0, z) - labels * z).mean()))
    return float(grid[int(np.argmin(losses))])


def fit_thresholds(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return per class the threshold with the best F1, between 0.1 and 0.9."""
    grid = np.linspace(0.1, 0.9, 81)
    best = np.empty(scores.shape[1])
    for k in range(scores.shape[1]):
        values = [_f1(scores[:, k] >= t, labels[:, k]) for t in grid]
        # The middle of the plateau: its edge would be one lucky cell.
        best[k] = float(np.median(grid[np.isclose(values, max(values))]))
    return best.round(3)


def report(
    scores: np.ndarray,
    labels: np.ndarray,
    thresholds: np.ndarray,
    fields: np.ndarray,
    names: Sequence[str],
    draws: int = 300,
) -> dict[str, Any]:
    """Return macro F1, exact share, calibration and per-class numbers with 95 % intervals.

    Intervals come from resampling whole fields, because cells of a field are alike.
    """
    chosen = scores >= thresholds
    rng = np.random.default_rng(0)
    groups, index = np.unique(fields, return_inverse=True)
    counts = np.stack(
        [_per_field(chosen, labels, index, len(groups), w) for w in ("tp", "fp", "fn")]
    )
    exact = np.bincount(index, (chosen == labels).all(1), len(groups))
    size = np.bincount(index, minlength=len(groups))
    macros, exacts = [], []
    for _ in range(draws):
        weight = np.bincount(rng.integers(len(groups), size=len(groups)), minlength=len(groups))
        # A class absent from one draw says nothing there.
        macros.append(float(np.nanmean(_f1_of(counts, weight))))
        exacts.append(float((exact @ weight) / (size @ weight)))
    whole = np.ones(len(groups))
    f1 = np.nan_to_num(_f1_of(counts, whole))
    return {
        "cells": len(labels),
        "fields": len(groups),
        "macro_f1": _interval(float(f1.mean()), macros),
        "exact": _interval(float(exact.sum() / size.sum()), exacts),
        "calibration_error": calibration_error(scores, labels),
        "per_class": {
            n: {
                "f1": round(float(f1[k]), 4),
                "average_precision": round(average_precision(scores[:, k], labels[:, k]), 4),
                "cells": int(labels[:, k].sum()),
            }
            for k, n in enumerate(names)
        },
    }


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean precision at the rank of each positive."""
    order = np.argsort(-score, kind="stable")
    hits = positive[order] > 0
    if not hits.any():
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def calibration_error(scores: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Return the mean gap between confidence and truth over equal-width bins, all classes pooled."""
    flat, truth = scores.ravel(), labels.ravel()
    where = np.minimum((flat * bins).astype(int), bins - 1)
    gap = np.abs(np.bincount(where, flat, bins) - np.bincount(where, truth, bins))
    return round(float(gap.sum() / len(flat)), 5)


def baselines(train: CropSet, val: CropSet, test: CropSet) -> dict[str, float]:
    """Return the macro F1 of two trivial classifiers: always yes, and a line through simple numbers."""
    always = np.ones_like(test.labels)
    result = {"always every class": _macro(always, test.labels)}
    x, y = _numbers(train.crops), train.labels.astype(float)
    mean, spread = x.mean(0), x.std(0) + 1e-6
    design = np.c_[(x - mean) / spread, np.ones(len(x))]
    weights = np.linalg.solve(design.T @ design + np.eye(design.shape[1]), design.T @ y)
    scores = [
        np.c_[(_numbers(s.crops) - mean) / spread, np.ones(len(s.labels))] @ weights
        for s in (val, test)
    ]
    cuts = np.quantile(scores[0], np.linspace(0.02, 0.99, 60), axis=0)
    best = np.empty(y.shape[1])
    for k in range(y.shape[1]):
        best[k] = cuts[
            int(np.argmax([_f1(scores[0][:, k] >= c, val.labels[:, k]) for c in cuts[:, k]])), k
        ]
    result["linear on 14 plain numbers of the crop"] = _macro(scores[1] >= best, test.labels)
    return result


def _numbers(crops: np.ndarray) -> np.ndarray:
    """Return 14 plain numbers per crop: plane means and spreads, and protein inside the nucleus."""
    rows = []
    for start in range(0, len(crops), 2048):
        c = crops[start : start + 2048].astype(np.float32) / 255
        flat = c.reshape(len(c), -1, c.shape[-1])
        nucleus = flat[..., 2] > 0.25
        green = flat[..., 1]
        inside = (green * nucleus).sum(1) / np.maximum(nucleus.sum(1), 1)
        outside = (green * ~nucleus).sum(1) / np.maximum((~nucleus).sum(1), 1)
        product = [(green * flat[..., k]).mean(1) for k in (0, 2, 3)]
        fine = np.abs(np.diff(c[..., 1], axis=1)).mean((1, 2))
        parts = [
            flat.mean(1),
            flat.std(1),
            inside[:, None],
            outside[:, None],
            np.stack(product, 1),
            fine[:, None],
        ]
        rows.append(np.concatenate(parts, 1))
    return np.concatenate(rows).astype(np.float64)


def _f1(chosen: np.ndarray, truth: np.ndarray) -> float:
    hit = float((chosen & (truth > 0)).sum())
    total = float(chosen.sum() + truth.sum())
    return 2 * hit / total if total else 0.0


def _macro(chosen: np.ndarray, truth: np.ndarray) -> float:
    values = [_f1(chosen[:, k] > 0, truth[:, k]) for k in range(truth.shape[1])]
    return round(float(np.mean(values)), 4)


def _per_field(
    chosen: np.ndarray, labels: np.ndarray, index: np.ndarray, n: int, what: str
) -> np.ndarray:
    truth = labels > 0
    hits = {"tp": chosen & truth, "fp": chosen & ~truth, "fn": ~chosen & truth}[what]
    out = np.zeros((n, labels.shape[1]))
    np.add.at(out, index, hits)
    return out


def _f1_of(counts: np.ndarray, weight: np.ndarray) -> np.ndarray:
    tp, fp, fn = (weight @ c for c in counts)
    seen = 2 * tp + fp + fn
    return np.asarray(np.where(seen > 0, 2 * tp / np.maximum(seen, 1e-9), np.nan))


def _interval(value: float, draws: list[float]) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
