"""Numbers that say how good a classifier is, with intervals clustered by group. Pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BINARY = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "macro_f1", "ece")
_BINS = 15
_GRID = 4096
_TEMPERATURES = (0.05, 20.0)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities ``(N, K)`` float64 of logits divided by ``temperature``."""
    z = np.asarray(logits, np.float64) / temperature
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that makes ``logits`` most likely (Guo et al. 2017, arXiv 1706.04599).

    Fit it on rows that the model was not trained on, and never on the rows it is judged by.

    Parameters
    ----------
    logits : numpy.ndarray
        ``(N, K)``.
    labels : numpy.ndarray
        ``(N,)`` class indices.
    """
    z = np.asarray(logits, np.float64)
    picked = z[np.arange(len(labels)), labels]

    def loss(log_t: float) -> float:
        scaled = z / np.exp(log_t)
        top = scaled.max(1)
        return float((top + np.log(np.exp(scaled - top[:, None]).sum(1))).mean()) - float(
            picked.mean() / np.exp(log_t)
        )

    low, high = np.log(_TEMPERATURES)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))


def auc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the area under the ROC curve; ties count half; NaN when a side is empty.

    Parameters
    ----------
    score : numpy.ndarray
        ``(N,)``, higher means positive.
    positive : numpy.ndarray
        ``(N,)`` bool.
    weight : numpy.ndarray, optional
        Times each row counts.
    """
    w = np.ones(len(score)) if weight is None else weight
    _, rank = np.unique(score, return_inverse=True)
    hits = np.bincount(rank, weights=w * positive)
    misses = np.bincount(rank, weights=w * ~positive)
    below = np.concatenate([[0.0], np.cumsum(misses)[:-1]])
    pairs = hits.sum() * misses.sum()
    return float((hits * (below + misses / 2)).sum() / pairs) if pairs else float("nan")


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = _BINS) -> float:
    """Return the expected calibration error of the top class, equal-width bins of confidence."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=confidence - hit, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def binary_metrics(
    probabilities: np.ndarray, labels: np.ndarray, positive: int = 0
) -> dict[str, float]:
    """Return the flat metrics of a two-class model at the threshold one half.

    Parameters
    ----------
    probabilities : numpy.ndarray
        ``(N, 2)``.
    labels : numpy.ndarray
        ``(N,)`` class indices.
    positive : int
        The class that sensitivity is about (0 = Parasitized).

    Returns
    -------
    dict
        ``accuracy, balanced_accuracy, auc, sensitivity, specificity, macro_f1, ece, n``.
    """
    is_positive = labels == positive
    called = probabilities.argmax(axis=1) == positive
    score = probabilities[:, positive]
    counts = [float((a & b).sum()) for a in (is_positive, ~is_positive) for b in (called, ~called)]
    result = _rates(*(np.asarray(c) for c in counts))
    values = {name: float(value) for name, value in result.items()}
    values["auc"] = auc(score, is_positive)
    values["ece"] = calibration_error(probabilities, labels)
    return {**{name: values[name] for name in BINARY}, "n": float(len(labels))}


def _rates(tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, tn: np.ndarray) -> dict[str, np.ndarray]:
    """Return rates from counts; arrays of any equal shape."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        f1 = (2 * tp / (2 * tp + fp + fn) + 2 * tn / (2 * tn + fp + fn)) / 2
        return {
            "accuracy": (tp + tn) / (tp + fn + fp + tn),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "macro_f1": f1,
        }


def clustered_intervals(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    positive: int = 0,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Return bootstrap intervals that resample whole groups, as cells of a patient are alike.

    Every metric is a function of sums over groups (counts of outcomes, histograms of scores,
    calibration bins), so all resamples are a few matrix products.

    Parameters
    ----------
    probabilities, labels, positive
        As for :func:`binary_metrics`.
    groups : sequence of str
        ``(N,)``.
    resamples : int
    seed : int
    level : float
        Coverage of the percentile interval.

    Returns
    -------
    dict of str to (float, float)
        For each of ``BINARY``. The AUC uses 4,096 score bins of equal count (error below 1e-3).
    """
    samples = _resampled(probabilities, labels, groups, positive, resamples, seed)
    return _limits(samples, level)


def fold_mean_intervals(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    fold: np.ndarray,
    *,
    positive: int = 0,
    resamples: int = 2000,
    seed: int = 42,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Return bootstrap intervals of the mean over folds: groups are drawn within their fold.

    Parameters
    ----------
    probabilities, labels, groups, positive, resamples, seed, level
        As for :func:`clustered_intervals`.
    fold : numpy.ndarray
        ``(N,)``; groups must not cross folds.
    """
    groups = np.asarray(groups, dtype=str)
    found = [
        _resampled(probabilities[own], labels[own], groups[own], positive, resamples, seed + 1 + i)
        for i, own in enumerate(fold == f for f in np.unique(fold))
    ]
    return _limits({name: np.mean([s[name] for s in found], axis=0) for name in BINARY}, level)


def _limits(samples: Mapping[str, np.ndarray], level: float) -> dict[str, tuple[float, float]]:
    tail = 100 * (1 - level) / 2
    limits = {name: np.nanpercentile(samples[name], [tail, 100 - tail]) for name in BINARY}
    return {name: (float(low), float(high)) for name, (low, high) in limits.items()}


def _resampled(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    positive: int,
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return each metric of each bootstrap sample of groups, ``(resamples,)``."""
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n_groups = len(names)
    drawn = np.random.default_rng(seed).multinomial(
        n_groups, np.full(n_groups, 1 / n_groups), resamples
    )
    drawn = drawn.astype(np.float64)
    is_positive = labels == positive
    called = probabilities.argmax(axis=1) == positive
    outcome = 2 * (~is_positive) + (~called)
    counts = drawn @ _table(group, outcome, n_groups, 4)
    samples = _rates(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3])
    samples["auc"] = _resampled_auc(probabilities[:, positive], is_positive, group, drawn)
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = drawn @ _table(group, bins, n_groups, _BINS, confidence - hit)
    samples["ece"] = np.abs(gaps).sum(1) / counts.sum(1)
    return samples


def _table(
    group: np.ndarray,
    column: np.ndarray,
    rows: int,
    columns: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    flat = np.bincount(group * columns + column, weights=weights, minlength=rows * columns)
    return flat.reshape(rows, columns).astype(np.float64)


def _resampled_auc(
    score: np.ndarray, positive: np.ndarray, group: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    _, rank = np.unique(score, return_inverse=True)
    bins = (rank * _GRID // (rank.max() + 1)).astype(int)
    width = int(bins.max()) + 1
    result = np.empty(len(drawn))
    sides = [_table(group[s], bins[s], drawn.shape[1], width) for s in (positive, ~positive)]
    for start in range(0, len(drawn), 250):  # keeps memory below 20 MB
        part = slice(start, start + 250)
        hits, misses = drawn[part] @ sides[0], drawn[part] @ sides[1]
        below = np.cumsum(misses, axis=1) - misses / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            result[part] = (hits * below).sum(1) / (hits.sum(1) * misses.sum(1))
    return result


def specificity_at(score: np.ndarray, positive: np.ndarray, sensitivity: float = 0.93) -> float:
    """Return the specificity at the threshold that just reaches a sensitivity."""
    ordered = np.sort(score[positive])[::-1]
    threshold = ordered[min(len(ordered), int(np.ceil(sensitivity * len(ordered)))) - 1]
    return float((score[~positive] < threshold).mean())


def flat_metrics(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    protocol: str,
    positive: int = 0,
    resamples: int = 2000,
    seed: int = 42,
) -> dict[str, Any]:
    """Return the content of ``metrics.json``: each number, its ``_low`` and ``_high``, ``n``, ``protocol``."""
    values = binary_metrics(probabilities, labels, positive)
    limits = clustered_intervals(
        probabilities, labels, groups, positive=positive, resamples=resamples, seed=seed
    )
    flat: dict[str, Any] = {"protocol": protocol, "n": int(values["n"])}
    for name in BINARY:
        flat[name] = round(values[name], 5)
        flat[f"{name}_low"], flat[f"{name}_high"] = (round(v, 5) for v in limits[name])
    return flat


def text_table(
    rows: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str] = BINARY,
    *,
    turned: bool = False,
) -> str:
    """Return a plain text table, intervals in brackets where known.

    Parameters
    ----------
    rows : mapping of str to mapping
        Title and numbers of each entry.
    columns : sequence of str
        The numbers to show.
    turned : bool
        One line per number instead of one per entry: long cells then fit a terminal.
    """

    def cell(entry: Mapping[str, Any], name: str) -> str:
        if entry.get(name) is None:
            return "-"
        text = f"{entry[name]:.4f}"
        if f"{name}_low" in entry:
            text += f" [{entry[f'{name}_low']:.4f}, {entry[f'{name}_high']:.4f}]"
        if f"{name}_sd" in entry:
            text += f" ± {entry[f'{name}_sd']:.4f}"
        return text

    head = ["", *(name.replace("_", " ") for name in columns), "n"]
    body = [
        [title, *(cell(entry, name) for name in columns), f"{int(entry.get('n', 0)):,}"]
        for title, entry in rows.items()
    ]
    grid = [head, *body]
    if turned:
        grid = [list(line) for line in zip(*grid)]
    widths = [max(map(len, column)) for column in zip(*grid)]
    lines = ["  ".join(text.ljust(w) for text, w in zip(line, widths)).rstrip() for line in grid]
    return "\n".join([lines[0], "-" * sum(widths, 2 * (len(widths) - 1)), *lines[1:]])
