"""A quick head from labels and a released model: what it knew is where learning starts and what is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn.calibration import fit_temperature
from napari_cellcls.learn.head import Head, fit_head
from napari_cellcls.learn.metrics import sigmoid, softmax
from napari_cellcls.learn.roster import Roster, matrix

if TYPE_CHECKING:
    from napari_cellcls.models.general import General
    from napari_cellcls.models.package import ModelPackage

_JUDGING = 4
"""One exemplar of so many is not learned from: it shows what the new head has forgotten."""


@dataclass(frozen=True, eq=False)
class Before:
    """What a released model brings to a new head of ``K`` classes on descriptors of ``D`` numbers.

    Attributes
    ----------
    kernel, bias : numpy.ndarray or None
        ``(D, K)`` and ``(K,)`` of its head, temperature taken in; None where it has none that fits.
    exemplars, targets : numpy.ndarray
        ``(M, D)`` and ``(M, K)``, those to learn from again.
    judges, truth : numpy.ndarray
        ``(J, D)`` and ``(J, K)``, those that only judge.
    known : numpy.ndarray
        ``(K,)`` bool: classes it knew.
    said : numpy.ndarray or None
        ``(J, K)``, its logits of those that only judge, temperature taken in; None where it has no head.
    elsewhere : bool
        Whether its exemplars were measured on images of its own, of another scale perhaps.
    """

    kernel: np.ndarray | None
    bias: np.ndarray | None
    exemplars: np.ndarray
    targets: np.ndarray
    judges: np.ndarray
    truth: np.ndarray
    known: np.ndarray
    said: np.ndarray | None = None
    elsewhere: bool = False


def before_of(
    package: ModelPackage,
    known: Mapping[int, int],
    roster: Roster,
    values: np.ndarray,
    blocks: tuple[int, int],
    *,
    multi_label: bool,
    general: General | None = None,
) -> Before:
    """Return what a released model brings.

    Parameters
    ----------
    package : ModelPackage
    known : mapping of int to int
        Class of the model -> column of the labels.
    roster : Roster
    values : numpy.ndarray
        ``(N, D)`` of the labeled cells: exemplars lack measured numbers and get their means.
    blocks : tuple of int
    multi_label : bool
        Of the new head.
    general : General, optional
        Its cells as the network that described the labeled ones sees them, where that is not its own.
    """
    same = matrix(known, roster, len(package.manifest.classes))
    if general is not None:
        return _retold(package, general, same)
    kernel, bias = _head(package, same, values.shape[1], multi_label)
    x, y = _exemplars(package, same, values, blocks, multi_label)
    judge = _judging(len(x))
    said = None if kernel is None or bias is None else x[judge] @ kernel + bias
    knew = np.asarray(same.any(axis=0))
    return Before(kernel, bias, x[~judge], y[~judge], x[judge], y[judge], knew, said)


def fit(
    values: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    before: Before,
    blocks: tuple[int, int],
    *,
    multi_label: bool,
    seed: int,
) -> Head:
    """Fit the head of a new version (errors as in :func:`~napari_cellcls.learn.head.fit_head`).

    Measured numbers of exemplars from elsewhere are half trusted: the head is the mean of one with all
    measured numbers and one without. That is better than either on four shapes of red cells added to ``blood-cells``.
    """
    if before.elsewhere:
        pairs = [(values, before.exemplars)]
        pairs.append((_unmeasured(values, blocks), _unmeasured(before.exemplars, blocks)))
        made = [
            fit(
                x, targets, weights, groups, replace(before, exemplars=old, elsewhere=False), blocks,
                multi_label=multi_label, seed=seed,
            )
            for x, old in pairs
        ]  # fmt: skip
        return _mean_of(made, targets)
    replay, shares = None, None
    if len(before.exemplars):
        replay = before.exemplars, before.targets
        # Old cells count together at most as much as the labels: they hold, and do not drown.
        share = min(1.0, float(weights.sum()) / len(before.exemplars))
        shares = np.full(len(before.exemplars), share)
    prior = None
    if before.kernel is not None and before.bias is not None:
        prior = before.kernel, before.bias
    return fit_head(
        values, targets, weights=weights, groups=groups, replay=replay, replay_weights=shares,
        prior=prior, blocks=blocks, multi_label=multi_label, seed=seed,
    )  # fmt: skip


def _unmeasured(x: np.ndarray, blocks: tuple[int, int]) -> np.ndarray:
    return np.hstack([x[:, : blocks[0]], np.zeros((len(x), blocks[1]), x.dtype)])


def _mean_of(heads: list[Head], targets: np.ndarray) -> Head:
    """Return one head whose logits are the mean of those of others, each as sure as it may be."""
    kernel, bias, held = (
        np.mean([part / one.temperature for one, part in zip(heads, parts)], axis=0)
        for parts in zip(*((one.kernel, one.bias, one.held_out) for one in heads))
    )
    temperature = fit_temperature(held, targets.argmax(axis=1)) if heads[0].folds else 1.0
    return replace(heads[0], kernel=kernel, bias=bias, held_out=held, temperature=temperature)


def probabilities_of(logits: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Return calibrated probabilities ``(N, K)``."""
    return sigmoid(logits, temperature) if multi_label else softmax(logits, temperature)


def _head(
    package: ModelPackage, same: np.ndarray, size: int, multi_label: bool
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    if package.head is None or package.manifest.multi_label != multi_label or not same.any():
        return None, None
    old, temperature = package.head, package.manifest.temperature
    first = _first(same)
    kernel = np.zeros((size, same.shape[1]), np.float32)
    kernel[: len(old[0])] = old[0] @ first / temperature
    return kernel, np.asarray(old[1] @ first / temperature, np.float32)


def _first(same: np.ndarray) -> np.ndarray:
    """Return who speaks for each class: of classes that became one the first, as a mean would be surer than any."""
    return np.asarray(same * (same.cumsum(axis=0) == 1))


def _judging(count: int) -> np.ndarray:
    return np.asarray(np.arange(count) % _JUDGING == _JUDGING - 1)


def _retold(package: ModelPackage, general: General, same: np.ndarray) -> Before:
    """Return what a model brings where another network describes the cells: its own head fits nothing there."""
    y = np.minimum(np.eye(len(same))[general.labels] @ same, 1).astype(np.float32)
    some = y.sum(axis=1) == 1
    x, y, judge = general.values[some], y[some], _judging(int(some.sum()))
    said = general.logits[some][judge] @ _first(same) / package.manifest.temperature
    knew = np.asarray(same.any(axis=0))
    return Before(None, None, x[~judge], y[~judge], x[judge], y[judge], knew, said, elsewhere=True)


def _exemplars(
    package: ModelPackage,
    same: np.ndarray,
    values: np.ndarray,
    blocks: tuple[int, int],
    multi_label: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return exemplars ``(M, D)`` and targets ``(M, K)``; none where they do not fit."""
    nothing = np.zeros((0, values.shape[1]), np.float32), np.zeros((0, same.shape[1]), np.float32)
    reference = package.reference or {}
    if not {"embeddings", "labels"} <= set(reference):
        return nothing
    x, labels = np.asarray(reference["embeddings"], np.float32), reference["labels"]
    if x.shape[1] == blocks[0]:
        mean = np.broadcast_to(values[:, blocks[0] :].mean(axis=0), (len(x), blocks[1]))
        x = np.hstack([x, mean])
    if x.shape[1] != values.shape[1] or len(labels) != len(x) or not same.any():
        return nothing
    old = np.eye(len(same))[labels] if labels.ndim == 1 else np.asarray(labels, np.float64)
    y = np.minimum(old @ same, 1).astype(np.float32)
    if multi_label:
        y[:, ~same.any(axis=0)] = np.nan
        return x, y
    one = y.sum(axis=1) == 1
    return x[one], y[one]
