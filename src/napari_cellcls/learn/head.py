"""Quick learning: a new linear head on descriptors that are at hand, within a second and without TensorFlow.

Logistic regression with a ridge penalty, classes balanced, the strength chosen by cross-validation
over whole groups. Fewer cells than numbers per cell are the rule here, so that everything is solved in the
space that the labeled cells span: the solution of a ridge penalty lies in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cellcls.learn.calibration import fit_temperature
from napari_cellcls.learn.splits import grouped_folds, random_folds
from napari_cellcls.vocabulary import DataError

STRENGTHS = (0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Ridge penalties tried, strongest first, per cell and on descriptors of unit mean square."""
_FOLDS = 4
_DIRECTIONS = 400
_ROUNDS = 60
_TINY = 1e-6


@dataclass(frozen=True)
class Head:
    """A linear head on descriptors.

    Attributes
    ----------
    kernel, bias : numpy.ndarray
        ``(D, K)`` and ``(K,)`` float32; logits are ``descriptors @ kernel + bias``.
    temperature : float
        Fitted on logits of cells that the fold did not see; 1 when there were no folds.
    strength : float
        The ridge penalty chosen.
    folds : int
        Folds of the choice; 0 when there were too few cells, and the penalty is the middle one.
    grouped : bool
        Whether the folds kept groups apart.
    held_out : numpy.ndarray
        ``(N, K)`` float32, logits of each labeled cell by a head that did not see its fold; NaN
        without folds.
    """

    kernel: np.ndarray
    bias: np.ndarray
    temperature: float
    strength: float
    folds: int
    grouped: bool
    held_out: np.ndarray

    def logits(self, descriptors: np.ndarray) -> np.ndarray:
        """Return ``(N, K)`` float32."""
        return np.asarray(np.asarray(descriptors, np.float32) @ self.kernel + self.bias)


def fit_head(
    descriptors: np.ndarray,
    targets: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    replay: tuple[np.ndarray, np.ndarray] | None = None,
    blocks: Sequence[int] | None = None,
    seed: int = 42,
) -> Head:
    """Fit a head on labeled cells.

    Parameters
    ----------
    descriptors : numpy.ndarray
        ``(N, D)`` real.
    targets : numpy.ndarray
        ``(N, K)`` float: 1 yes, 0 no, NaN not judged. Where every row is judged wholly and has
        exactly one class, the classes exclude each other (softmax); else one sigmoid per class.
    weights : numpy.ndarray, optional
        ``(N,)``, how much each label counts; 1 by default. Less for those accepted without looking.
    groups : numpy.ndarray, optional
        ``(N,)`` str: image, slide or patient, kept together in the folds.
    replay : tuple of numpy.ndarray, optional
        Descriptors ``(M, D)`` and targets ``(M, K)`` of the exemplars of the model before, learned
        from in every fold and never judged by, so that old classes are not forgotten.
    blocks : sequence of int, optional
        How many columns belong together, such as those of an embedding and the measured numbers:
        each block weighs the same as a whole, however many columns it has. One block by default.
    seed : int

    Raises
    ------
    DataError
        ``LEARN-FEW`` when a class to be learned has no cell, or there are fewer than two classes;
        ``DATA-SHAPE`` when arrays do not belong together or are not numbers.
    """
    x, y = np.asarray(descriptors, np.float32), np.asarray(targets, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    own = len(x)
    if replay is not None:
        x = np.concatenate([x, np.asarray(replay[0], np.float32)])
        y = np.concatenate([y, np.asarray(replay[1], np.float64)])
        w = np.concatenate([w, np.ones(len(x) - own)])
    _check(x, y, w)
    blocks = blocks or (x.shape[1],)
    if sum(blocks) != x.shape[1]:
        raise DataError(
            "Descriptors and their parts do not belong together.",
            code="DATA-SHAPE",
            why=f"blocks of {sum(blocks)} columns, descriptors have {x.shape[1]}",
            remedy="Describe the cells again.",
        )
    space = _Space.of(x, blocks)
    z = space.into(x)
    exclusive = bool(np.isfinite(y).all() and (y.sum(axis=1) == 1).all())
    fold, grouped = _folds(y[:own], groups, seed)
    held = np.full((own, y.shape[1]), np.nan)
    chosen, count = STRENGTHS[len(STRENGTHS) // 2], 0
    if fold is not None:
        count = int(fold.max()) + 1
        chosen, held = _choose(z, y, w, fold, own, exclusive)
    kernel, bias = space.out(_solve(z, y, w, [chosen], exclusive)[0])
    temperature = 1.0
    if fold is not None and np.isfinite(y[:own]).all():
        truth = y[:own].argmax(axis=1) if exclusive else y[:own] > 0
        temperature = fit_temperature(held, truth)
    return Head(kernel, bias, temperature, chosen, count, grouped, held.astype(np.float32))


@dataclass(frozen=True)
class _Space:
    """The directions that the labeled cells span, after every number got mean 0; last one constant."""

    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, blocks: Sequence[int]) -> _Space:
        mean, scale = x.mean(axis=0), x.std(axis=0)
        share = np.sqrt(np.repeat(blocks, blocks) * len(blocks))
        scale = np.where(scale > _TINY, scale, np.inf) * share
        centered = (x - mean) / scale
        if len(x) <= x.shape[1]:
            values, vectors = np.linalg.eigh((centered @ centered.T).astype(np.float64))
        else:
            values, vectors = np.linalg.eigh((centered.T @ centered).astype(np.float64))
        keep = np.argsort(values)[::-1][:_DIRECTIONS]
        keep = keep[values[keep] > _TINY * max(values.max(), _TINY)]
        basis = vectors[:, keep]
        if len(x) <= x.shape[1]:
            basis = centered.T @ (basis / np.sqrt(values[keep]))
        return cls(mean, scale, basis.astype(np.float32))

    def into(self, x: np.ndarray) -> np.ndarray:
        found = ((x - self.mean) / self.scale) @ self.basis
        return np.hstack([found.astype(np.float64), np.ones((len(x), 1))])

    def out(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kernel = (self.basis @ theta[:-1]) / self.scale[:, None]
        bias = theta[-1] - self.mean @ kernel
        return kernel.astype(np.float32), bias.astype(np.float32)


def _choose(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, fold: np.ndarray, own: int, exclusive: bool
) -> tuple[float, np.ndarray]:
    """Return the penalty with the least loss on held-out cells, and their logits with it."""
    held = np.zeros((len(STRENGTHS), own, y.shape[1]))
    every = np.concatenate([fold, np.full(len(z) - own, -1)])
    for k in range(int(fold.max()) + 1):
        seen = every != k
        for i, theta in enumerate(_solve(z[seen], y[seen], w[seen], STRENGTHS, exclusive)):
            held[i, fold == k] = z[:own][fold == k] @ theta
    judged = _balanced(y[:own], w[:own])
    losses = [_cost(logits, y[:own], judged, exclusive)[0] for logits in held]
    best = int(np.argmin(losses))
    return STRENGTHS[best], held[best]


def _solve(
    z: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    strengths: Sequence[float],
    exclusive: bool,
) -> list[np.ndarray]:
    """Return the parameters ``(R + 1, K)`` for each penalty; each starts from the one before."""
    from scipy.optimize import minimize

    weights, shape = _balanced(y, w), (z.shape[1], y.shape[1])

    def cost(flat: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        now = flat.reshape(shape)
        value, slope = _cost(z @ now, y, weights, exclusive)
        gradient = z.T @ slope
        gradient[:-1] += penalty * now[:-1]
        return value + penalty / 2 * float((now[:-1] ** 2).sum()), gradient.ravel()

    found, flat = [], np.zeros(shape).ravel()
    for strength in strengths:
        flat = minimize(
            cost, flat, (strength,), method="L-BFGS-B", jac=True, options={"maxiter": _ROUNDS}
        ).x
        found.append(flat.reshape(shape))
    return found


def _cost(
    logits: np.ndarray, y: np.ndarray, weights: np.ndarray, exclusive: bool
) -> tuple[float, np.ndarray]:
    """Return the weighted mean cross entropy and its slope by the logits, ``(N, K)``."""
    truth = np.nan_to_num(y)
    if exclusive:
        top = logits - logits.max(axis=1, keepdims=True)
        log_p = top - np.log(np.exp(top).sum(axis=1, keepdims=True))
        return float(-(weights * truth * log_p).sum()), weights.sum(1, keepdims=True) * (
            np.exp(log_p) - truth
        )
    p = 0.5 * (1 + np.tanh(logits / 2))
    signed = np.where(truth > 0, -logits, logits)
    return float((weights * np.logaddexp(0, signed)).sum()), weights * (p - truth)


def _balanced(y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return a weight per cell and class ``(N, K)``, together 1: every class counts the same.

    A cell of one class weighs in the column of its class only. With several labels, yes and no
    of a class weigh the same, unless all judged cells agree, and what is not judged weighs nothing.
    """
    judged = np.isfinite(y)
    yes = np.where(judged, y, 0) * w[:, None]
    if bool(judged.all() and (y.sum(axis=1) == 1).all()):
        total = yes.sum(axis=0)
        used = total > 0
        return np.asarray(np.where(used, yes / np.where(used, total, 1), 0) / used.sum())
    no = np.where(judged, 1 - y, 0) * w[:, None]
    both = np.zeros_like(yes)
    for side in (yes, no):
        total = side.sum(axis=0)
        both += side / np.where(total > 0, total, 1)
    return np.asarray(both / both.sum())


def _folds(y: np.ndarray, groups: np.ndarray | None, seed: int) -> tuple[np.ndarray | None, bool]:
    """Return a fold per cell, by groups where there are enough; None with too few cells to hold out."""
    counts = np.nansum(y, axis=0)
    scarce = counts[counts > 0].min(initial=np.inf)
    if scarce < 2:
        return None, False
    folds = int(min(_FOLDS, scarce))
    if groups is not None and len(np.unique(groups)) >= folds:
        found = grouped_folds(groups, np.nan_to_num(y).astype(int), folds=folds, seed=seed)
        used = np.unique(found)
        if len(used) > 1 and all(
            np.nansum(y[found != k], axis=0)[counts > 0].min() > 0 for k in used
        ):
            return np.searchsorted(used, found), True
    return random_folds(np.nan_to_num(y).astype(int), folds=folds, seed=seed), False


def _check(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(w) != len(y):
        raise DataError(
            "Descriptors, labels and weights do not belong together.",
            code="DATA-SHAPE",
            why=f"{x.shape} descriptors, {y.shape} labels, {w.shape} weights",
            remedy="Describe the cells again.",
        )
    if not np.isfinite(x).all():
        raise DataError(
            "Some cells have no valid descriptor.",
            code="DATA-SHAPE",
            why=f"{int((~np.isfinite(x).all(axis=1)).sum())} of {len(x)} hold numbers that are not finite",
            remedy="Describe the cells again.",
        )
    yes, no = (y == 1).sum(axis=0), (y == 0).sum(axis=0)
    if (yes > 0).sum() < 2 and not ((yes > 0) & (no > 0)).any():
        raise DataError(
            "There is nothing to tell apart yet.",
            code="LEARN-FEW",
            why=f"labeled cells per class: {', '.join(str(n) for n in yes)}",
            remedy="Label at least one cell of each of two classes.",
        )
