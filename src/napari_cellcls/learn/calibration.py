"""Choices that only a validation side may make: the temperature, and the thresholds of the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

Rule: TypeAlias = float | Literal["per_class", "matched"]
RULES: tuple[Rule, ...] = (0.2, 0.5, "per_class", "matched")
WORDS: dict[Rule, str] = {
    "per_class": "best F1 of each class",
    "matched": "as many as there are (class ratios)",
}
_TEMPERATURES = (0.05, 20.0)


def rule_in_words(rule: Rule) -> str:
    """Return what a rule for thresholds does, for people."""
    return WORDS.get(rule, f"fixed at {rule}")


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature that makes logits most likely (Guo et al. 2017, arXiv 1706.04599).

    Fit it on rows that the model was not trained on, and never on the rows it is judged by.

    Parameters
    ----------
    logits : numpy.ndarray
        ``(N, K)``.
    truth : numpy.ndarray
        ``(N,)`` class indices, or ``(N, K)`` bool for several labels per image.
    """
    z = np.asarray(logits, np.float64)
    loss = _softmax_loss(z, truth) if truth.ndim == 1 else _sigmoid_loss(z, truth.astype(bool))
    low, high = np.log(_TEMPERATURES)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))


def _softmax_loss(z: np.ndarray, labels: np.ndarray) -> Callable[[float], float]:
    picked = z[np.arange(len(labels)), labels]

    def loss(log_t: float) -> float:
        scaled = z / np.exp(log_t)
        top = scaled.max(1)
        mean = float((top + np.log(np.exp(scaled - top[:, None]).sum(1))).mean())
        return mean - float(picked.mean() / np.exp(log_t))

    return loss


def _sigmoid_loss(z: np.ndarray, truth: np.ndarray) -> Callable[[float], float]:
    signed = np.where(truth, -z, z)
    return lambda log_t: float(np.logaddexp(0, signed / np.exp(log_t)).mean())


def choose_thresholds(rule: Rule, probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return one threshold per class, ``(K,)``, chosen on a validation side.

    Parameters
    ----------
    rule : float or str
        A fixed threshold; ``"per_class"``: the best F1 of each class; ``"matched"``: as many images
        are said to have the class as have it. A class without a positive keeps 0.5.
    probabilities : numpy.ndarray
        ``(N, K)`` of the validation side.
    truth : numpy.ndarray
        ``(N, K)`` bool.
    """
    classes = truth.shape[1]
    if not isinstance(rule, str):
        return np.full(classes, float(rule))
    choose = _best_f1 if rule == "per_class" else _matched
    return np.array([choose(p, t) if t.any() else 0.5 for p, t in zip(probabilities.T, truth.T)])


def _cuts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted scores, highest first, and the threshold that just takes each and all above."""
    ordered = np.sort(p)[::-1]
    below = np.append(ordered[1:], 0.0)
    return ordered, np.where(ordered > below, (ordered + below) / 2, ordered)


def _best_f1(p: np.ndarray, truth: np.ndarray) -> float:
    order = np.argsort(-p, kind="stable")
    ordered, cuts = _cuts(p)
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + truth.sum())
    last = np.append(ordered[:-1] != ordered[1:], True)  # equal scores cannot be told apart
    f1[~last] = -1
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])


def _matched(p: np.ndarray, truth: np.ndarray) -> float:
    return float(_cuts(p)[1][int(truth.sum()) - 1])
