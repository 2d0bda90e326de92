"""Numbers that say how good a classifier is, for one label per image and for several. Pure NumPy.

What is not defined (the AUC without a negative, the F1 of a class that neither occurs nor is said)
is NaN here, and left out of means over classes; files and pages write it as null and "not defined".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

NUMBERS = (
    "accuracy", "balanced_accuracy", "auc", "average_precision", "sensitivity", "specificity",
    "macro_f1", "micro_f1", "sample_f1", "ece",
)  # fmt: skip
BINARY = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "macro_f1", "ece")
SEVERAL = ("macro_f1", "micro_f1", "sample_f1", "average_precision", "auc", "accuracy", "exact_match", "ece")  # fmt: skip
PER_CLASS = ("sensitivity", "specificity", "precision", "f1")
BINS = 15


@dataclass(frozen=True)
class Scored:
    """What a model answered beside what is true.

    Attributes
    ----------
    probabilities : numpy.ndarray
        ``(N, K)``, calibrated.
    said, truth : numpy.ndarray
        ``(N, K)`` bool; one True per row where an image has one label.
    groups : numpy.ndarray
        ``(N,)`` str.
    positive : int or None
        With two classes and one label per image: the class that sensitivity is about.
    multi_label : bool
    """

    probabilities: np.ndarray
    said: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    positive: int | None = None
    multi_label: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.truth)

    @property
    def ranked(self) -> Sequence[int]:
        """Return the classes whose AUC and average precision are averaged."""
        return range(self.truth.shape[1]) if self.positive is None else (self.positive,)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the numbers that are measured."""
        return (*NUMBERS, "exact_match") if self.multi_label else NUMBERS

    def take(self, rows: np.ndarray) -> Scored:
        """Return some rows, by number or mask."""
        parts = {name: getattr(self, name)[rows] for name in ("probabilities", "said", "truth", "groups")}  # fmt: skip
        return replace(self, **parts)


def scored(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    thresholds: np.ndarray | None = None,
    positive: int | None = None,
    multi_label: bool = False,
) -> Scored:
    """Decide classes from probabilities and put them beside the truth.

    Parameters
    ----------
    probabilities : numpy.ndarray
        ``(N, K)``.
    truth : numpy.ndarray
        ``(N, K)`` bool.
    groups : numpy.ndarray, optional
        By default every row is its own.
    thresholds : numpy.ndarray, optional
        ``(K,)`` or ``(N, K)``; 0.5 by default. Used for several labels only: of one label per
        image the most probable class is said.
    positive : int, optional
        Only used with two classes and one label per image.
    multi_label : bool
    """
    p = np.asarray(probabilities, np.float64)
    if multi_label:
        said = p >= (0.5 if thresholds is None else thresholds)
    else:
        said = p.argmax(1)[:, None] == np.arange(p.shape[1])
    names = np.arange(len(p)).astype(str) if groups is None else np.asarray(groups, dtype=str)
    two = p.shape[1] == 2 and not multi_label
    return Scored(p, said, np.asarray(truth, bool), names, positive if two else None, multi_label)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return class indices ``(N,)`` as ``(N, K)`` bool."""
    return np.asarray(np.asarray(labels)[:, None] == np.arange(classes))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities ``(N, K)`` float64 of logits divided by ``temperature``."""
    z = np.asarray(logits, np.float64) / temperature
    z -= z.max(axis=1, keepdims=True, initial=-np.inf)
    e = np.exp(z)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def sigmoid(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return one probability per class ``(N, K)`` float64 of logits divided by ``temperature``."""
    # tanh does not overflow where exp would.
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(logits, np.float64) / temperature / 2)))


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve; ties count half; NaN when a side is empty.

    Parameters
    ----------
    score : numpy.ndarray
        ``(N,)``, higher means positive.
    positive : numpy.ndarray
        ``(N,)`` bool.
    """
    return float(auc_of(*_ranks(score, positive)))


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean precision over the positives, ties taken together; NaN without a positive."""
    return float(precision_of(*_ranks(score, positive)))


def _ranks(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, rank = np.unique(score, return_inverse=True)
    positive = np.asarray(positive, bool)
    return tuple(np.bincount(rank[side], minlength=len(values)).astype(float) for side in (positive, ~positive))  # type: ignore[return-value]  # fmt: skip


def auc_of(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """Return the AUC of positives and negatives counted by rising score, ``(bins, ...)``."""
    below = np.cumsum(misses, axis=0) - misses / 2
    return divided((hits * below).sum(0), hits.sum(0) * misses.sum(0))


def precision_of(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """Return the average precision of positives and negatives counted by rising score."""
    found, wrong = np.cumsum(hits[::-1], axis=0), np.cumsum(misses[::-1], axis=0)
    precision = found / np.maximum(found + wrong, 1e-12)
    return divided((hits[::-1] * precision).sum(0), hits.sum(0))


def divided(a: Any, b: Any) -> np.ndarray:
    """Return ``a / b``, NaN where ``b`` is 0."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    result: np.ndarray = np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)  # fmt: skip
    return result


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is defined, NaN where nothing is."""
    known = ~np.isnan(values)
    return divided(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def outcomes(of: Scored) -> np.ndarray:
    """Return how each decision came out, ``(N, 4, K)`` bool: hit, false alarm, miss, right no."""
    said, truth = of.said, of.truth
    return np.stack([said & truth, said & ~truth, ~said & truth, ~said & ~truth], axis=1)


def class_rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rates of each class ``(..., K)`` of counts ``(..., 4, K)`` as in :func:`outcomes`."""
    hits, alarms, misses, rest = np.moveaxis(np.asarray(counts, float), -2, 0)
    return {
        "sensitivity": divided(hits, hits + misses),
        "specificity": divided(rest, rest + alarms),
        "precision": divided(hits, hits + alarms),
        "f1": divided(2 * hits, 2 * hits + alarms + misses),
    }


def count_rates(
    counts: np.ndarray, positive: int | None, multi_label: bool
) -> dict[str, np.ndarray]:
    """Return the numbers that follow from counts ``(..., 4, K)``, of any leading shape."""
    of_class = class_rates(counts)
    hits, alarms, misses, rest = np.moveaxis(np.asarray(counts, float), -2, 0)
    if positive is None:
        sensitivity, specificity = (mean_defined(of_class[n]) for n in ("sensitivity", "specificity"))  # fmt: skip
        halves = (of_class["sensitivity"] + of_class["specificity"]) / 2
        balanced = mean_defined(halves) if multi_label else sensitivity
    else:
        sensitivity, specificity = of_class["sensitivity"][..., positive], of_class["specificity"][..., positive]  # fmt: skip
        balanced = (sensitivity + specificity) / 2
    right = hits.sum(-1) + (rest.sum(-1) if multi_label else 0.0)
    total = (hits + misses + (alarms + rest if multi_label else 0.0)).sum(-1)
    return {
        "accuracy": divided(right, total),
        "balanced_accuracy": balanced,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "macro_f1": mean_defined(of_class["f1"]),
        "micro_f1": divided(2 * hits.sum(-1), (2 * hits + alarms + misses).sum(-1)),
    }


def image_f1(of: Scored) -> np.ndarray:
    """Return the F1 of the labels of each image ``(N,)``, NaN where it has none and none is said."""
    both, each = (of.said & of.truth).sum(1), of.said.sum(1) + of.truth.sum(1)
    return divided(2.0 * both, each)


def reliability(of: Scored, bins: int = BINS) -> np.ndarray:
    """Return how often a probability comes true, ``(bins, 3)``: decisions, sum of p, sum true.

    With one label per image the decision is the class said; with several, each label is one.
    """
    which, p, true = _decisions(of, bins)
    return np.stack([np.bincount(which, weights=w, minlength=bins) for w in (np.ones_like(p), p, true)], 1)  # fmt: skip


def calibration_gaps(of: Scored, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Return bin and ``p - true`` of each decision of each image, ``(N, D)``."""
    which, p, true = _decisions(of, bins)
    shape = (len(of), -1)
    return which.reshape(shape), (p - true).reshape(shape)


def _decisions(of: Scored, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if of.multi_label:
        p, true = of.probabilities.ravel(), of.truth.ravel().astype(float)
    else:
        p = of.probabilities.max(axis=1)
        true = (of.said & of.truth).any(axis=1).astype(float)
    return np.minimum((p * bins).astype(int), bins - 1), p, true


def ece_of(table: np.ndarray) -> float:
    """Return the expected calibration error of a table made by :func:`reliability`."""
    return float(divided(np.abs(table[:, 1] - table[:, 2]).sum(), table[:, 0].sum()))


def measure(of: Scored) -> dict[str, float]:
    """Return every number of :attr:`Scored.names`, and ``n``; NaN where not defined.

    With two classes and one label per image, sensitivity, specificity, AUC and average precision
    are about the positive class; else they are means over the classes, each against the rest.
    Accuracy with several labels is that of all single labels, which an empty answer gets mostly right.
    """
    counts = outcomes(of).sum(0)
    found: dict[str, Any] = count_rates(counts, of.positive, of.multi_label)
    ranks = rank_numbers(of)
    found["auc"] = mean_defined(ranks["auc"][list(of.ranked)])
    found["average_precision"] = mean_defined(ranks["average_precision"][list(of.ranked)])
    found["sample_f1"] = mean_defined(image_f1(of))
    found["exact_match"] = divided((of.said == of.truth).all(1).sum(), len(of))
    found["ece"] = ece_of(reliability(of))
    return {**{name: float(found[name]) for name in of.names}, "n": float(len(of))}


def rank_numbers(of: Scored) -> dict[str, np.ndarray]:
    """Return ``auc`` and ``average_precision`` of each class against the rest, ``(K,)``."""
    pairs = [(of.probabilities[:, k], of.truth[:, k]) for k in range(of.truth.shape[1])]
    return {
        "auc": np.array([auc(p, true) for p, true in pairs]),
        "average_precision": np.array([average_precision(p, true) for p, true in pairs]),
    }


def binary_metrics(
    probabilities: np.ndarray, labels: np.ndarray, positive: int = 0
) -> dict[str, float]:
    """Return the numbers of a two-class model at the threshold one half.

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
    found = measure(scored(probabilities, one_hot(labels, 2), positive=positive))
    return {name: found[name] for name in (*BINARY, "n")}


def specificity_at(score: np.ndarray, positive: np.ndarray, sensitivity: float = 0.93) -> float:
    """Return the specificity at the threshold that just reaches a sensitivity; NaN if a side is empty."""
    ordered = np.sort(score[positive])[::-1]
    if not len(ordered) or positive.all():
        return float("nan")
    threshold = ordered[min(len(ordered), int(np.ceil(sensitivity * len(ordered)))) - 1]
    return float((score[~positive] < threshold).mean())
