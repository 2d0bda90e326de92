"""Quick learning: a new linear head on descriptors that are at hand, within a second and without TensorFlow.

Logistic regression with a ridge penalty, classes balanced, the strength chosen by cross-validation
over whole groups. Fewer cells than numbers per cell are the rule here, so that everything is solved in the
space that the labeled cells span: the solution of a ridge penalty lies in it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from napari_cellcls.learn.calibration import fit_temperature
from napari_cellcls.learn.prior import Start
from napari_cellcls.learn.span import Span
from napari_cellcls.learn.splits import grouped_folds, random_folds
from napari_cellcls.vocabulary import DataError

_FOLDS = 4
_ROUNDS = 60
_ENOUGH = 1e-6
"""By so much one more step must lower the cost."""
_TINY = 1e-12
_ALONE = threading.Lock()
"""The number of threads is one for the whole process: two that change it at once would not find it again."""


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
    replay_weights: np.ndarray | None = None,
    prior: tuple[np.ndarray, np.ndarray] | None = None,
    blocks: Sequence[int] | None = None,
    multi_label: bool | None = None,
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
    replay_weights : numpy.ndarray, optional
        ``(M,)``; 1 by default.
    prior : tuple of numpy.ndarray, optional
        Kernel ``(D, K)`` and bias ``(K,)`` of the head of the model before: the penalty is on what
        differs from it, so that without evidence its answers stay. A class it does not know has a
        kernel of zeros, and its bias is free.
    blocks : sequence of int, optional
        How many columns belong together, such as those of an embedding and the measured numbers:
        each block weighs the same as a whole, however many columns it has. One block by default.
    multi_label : bool, optional
        Whether classes are judged one by one even where every cell happens to have exactly one; by
        default what the targets look like.
    seed : int

    Raises
    ------
    DataError
        ``LEARN-FEW`` when a class to be learned has no cell, or there are fewer than two classes;
        ``DATA-SHAPE`` when arrays do not belong together or are not numbers.
    """
    own = len(descriptors)
    x, y, w = _with_replay(descriptors, targets, weights, replay, replay_weights)
    blocks = blocks or x.shape[1:2]
    _check(x, y, w, blocks)
    start = Start.of(x, y.shape[1], prior)
    exclusive = bool(np.isfinite(y).all() and (y.sum(axis=1) == 1).all()) and not multi_label
    fold, grouped = _folds(y[:own], groups, seed)
    held = np.full((own, y.shape[1]), np.nan)
    chosen, count = start.strengths[start.usual], 0
    # The solver asks for thousands of tiny products: threads would wait for each other most of the time. So they do
    # in the axes of some hundred cells where other programs keep the computer busy.
    with _ALONE, threadpool_limits(1, "blas"):
        space = Span.of(x, blocks)
        z = space.into(x)
        if fold is not None:
            count = int(fold.max()) + 1
            chosen, held = _choose(z, y, w, fold, own, exclusive, start)
        kernel, bias = space.out(_Path(z, y, w, exclusive, start).solve(chosen))
    if prior is not None:
        kernel, bias = kernel + start.kernel, bias + start.bias
    temperature = 1.0 if fold is None else _temperature(held, y[:own], exclusive)
    return Head(kernel, bias, temperature, chosen, count, grouped, held.astype(np.float32))


def _with_replay(
    descriptors: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None,
    replay: tuple[np.ndarray, np.ndarray] | None,
    replay_weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.asarray(descriptors, np.float32), np.asarray(targets, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if replay is None:
        return x, y, w
    extra = np.ones(len(replay[0])) if replay_weights is None else replay_weights
    return (
        np.concatenate([x, np.asarray(replay[0], np.float32)]),
        np.concatenate([y, np.asarray(replay[1], np.float64)]),
        np.concatenate([w, np.asarray(extra, np.float64)]),
    )


def _temperature(held: np.ndarray, y: np.ndarray, exclusive: bool) -> float:
    if exclusive:
        return fit_temperature(held, y.argmax(axis=1))
    judged = np.isfinite(y)
    return fit_temperature(held[judged][:, None], y[judged][:, None] > 0)


def _choose(
    z: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    fold: np.ndarray,
    own: int,
    exclusive: bool,
    start: Start,
) -> tuple[float, np.ndarray]:
    """Return the penalty, and the logits of held-out cells with it.

    Of those whose loss on held-out cells is the least, or not worse by more than its standard error (Breiman et al. 1984,
    "Classification and Regression Trees", 3.4.3), the one next to the usual.
    """
    every = np.concatenate([fold, np.full(len(z) - own, -1)])
    paths = [
        _Path(z[seen], y[seen], w[seen], exclusive, start.take(seen))
        for seen in (every != k for k in range(int(fold.max()) + 1))
    ]
    weights = _balanced(y[:own], w[:own], exclusive)
    held: list[np.ndarray] = []
    losses: list[np.ndarray] = []
    for strength in start.strengths:
        logits = start.logits[:own].copy()
        for k, path in enumerate(paths):
            logits[fold == k] += z[:own][fold == k] @ path.solve(strength)
        held.append(logits)
        losses.append(_losses(logits, y[:own], weights, exclusive))
        alike = _alike(np.array(losses))
        if len(held) > start.usual and alike[-1] < len(held) - 1:
            break  # a weaker one is worse still, and takes longest
    best = int(alike[np.argmin(np.abs(alike - start.usual))])
    return start.strengths[best], held[best]


def _alike(losses: np.ndarray) -> np.ndarray:
    """Return the penalties ``(A,)`` whose losses ``(S, N)`` are the least, or not surely worse."""
    worse = losses - losses[np.argmin(losses.sum(axis=1))]
    error = worse.std(axis=1) * np.sqrt(losses.shape[1])
    return np.flatnonzero(worse.sum(axis=1) <= error)


def _losses(logits: np.ndarray, y: np.ndarray, weights: np.ndarray, exclusive: bool) -> np.ndarray:
    """Return the weighted loss of each cell ``(N,)`` by logits ``(N, K)``."""
    truth = np.nan_to_num(y)
    if exclusive:
        top = logits - logits.max(axis=1, keepdims=True)
        log_p = top - np.log(np.exp(top).sum(axis=1, keepdims=True))
        return np.asarray(-(weights * truth * log_p).sum(axis=1))
    return np.asarray((weights * np.logaddexp(0, np.where(truth > 0, -logits, logits))).sum(axis=1))


class _Path:
    """Fits to some cells with one penalty after the other, each from where the one before ended."""

    def __init__(
        self, z: np.ndarray, y: np.ndarray, w: np.ndarray, exclusive: bool, start: Start
    ) -> None:
        self._z, self._y, self._start, self._exclusive = z, y, start, exclusive
        self._weights = _balanced(y, w, exclusive)
        self._pull = np.ones((z.shape[1], y.shape[1]))
        self._pull[-1] = start.held
        self._theta = np.zeros_like(self._pull)
        # Directions differ in length a thousandfold: as curved as its loss roughly is, each takes steps of its own.
        spread = (self._weights.sum(axis=1) @ z**2)[:, None]
        kinds = y.shape[1]
        self._curved = spread * ((1 - 1 / kinds) / kinds if exclusive else 0.25)

    def solve(self, strength: float) -> np.ndarray:
        """Return the parameters ``(R + 1, K)``."""
        from scipy.optimize import minimize

        step = 1 / np.sqrt(self._curved + strength * self._pull + _TINY)
        found = minimize(
            self._value, (self._theta / step).ravel(), (step, strength), method="L-BFGS-B", jac=True,
            options={"maxiter": _ROUNDS, "ftol": _ENOUGH},
        )  # fmt: skip
        self._theta = step * found.x.reshape(step.shape)
        return self._theta

    def _value(
        self, flat: np.ndarray, step: np.ndarray, strength: float
    ) -> tuple[float, np.ndarray]:
        theta = step * flat.reshape(step.shape)
        logits = self._start.logits + self._z @ theta
        value, slope = _cost(logits, self._y, self._weights, self._exclusive)
        held = self._pull * theta
        slopes = step * (self._z.T @ slope + strength * held)
        return value + strength / 2 * float((held * theta).sum()), slopes.ravel()


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


def _balanced(y: np.ndarray, w: np.ndarray, exclusive: bool) -> np.ndarray:
    """Return a weight per cell and class ``(N, K)``, together 1: every class counts the same.

    A cell of one class weighs in the column of its class only. With several labels, yes and no
    of a class weigh the same, unless all judged cells agree, and what is not judged weighs nothing.
    """
    judged = np.isfinite(y)
    yes = np.where(judged, y, 0) * w[:, None]
    if exclusive:
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
    apart = 0 if groups is None else min(folds, len(np.unique(groups)))
    if groups is not None and apart > 1:
        found = grouped_folds(groups, np.nan_to_num(y).astype(int), folds=apart, seed=seed)
        used = np.unique(found)
        if len(used) > 1 and all(
            np.nansum(y[found != k], axis=0)[counts > 0].min() > 0 for k in used
        ):
            return np.searchsorted(used, found), True
    return random_folds(np.nan_to_num(y).astype(int), folds=folds, seed=seed), False


def _check(x: np.ndarray, y: np.ndarray, w: np.ndarray, blocks: Sequence[int]) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(w) != len(y):
        raise DataError(
            "Descriptors, labels and weights do not belong together.",
            code="DATA-SHAPE",
            why=f"{x.shape} descriptors, {y.shape} labels, {w.shape} weights",
            remedy="Describe the cells again.",
        )
    if sum(blocks) != x.shape[1]:
        raise DataError(
            "Descriptors and their parts do not belong together.",
            code="DATA-SHAPE",
            why=f"blocks of {sum(blocks)} columns, descriptors have {x.shape[1]}",
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
