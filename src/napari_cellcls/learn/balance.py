"""Which rows an epoch trains on and how much each counts: order, oversampling, class weights."""

from __future__ import annotations

import numpy as np

from napari_cellcls.learn.job import Job

_HEAVIEST = 20.0


def targets_of(labels: np.ndarray, job: Job) -> np.ndarray:
    """Return labels as ``(N, K)`` float32 0/1, from class indices or from a 0/1 table."""
    if labels.ndim == 2:
        return np.asarray(labels, np.float32)
    return np.asarray(np.eye(job.classes, dtype=np.float32)[labels])


def pool_of(rows: np.ndarray, targets: np.ndarray, job: Job) -> np.ndarray:
    """Return the training rows of one epoch, rows of oversampled classes repeated.

    Parameters
    ----------
    rows : numpy.ndarray
        The training side only: repeating before the split would put copies on both sides.
    targets : numpy.ndarray
        ``(N, K)`` of all rows.
    job : Job
    """
    rule = job.training.oversample
    if rule is None:
        return rows
    rare = targets[rows][:, list(rule.classes)].any(axis=1)
    return np.repeat(rows, np.where(rare, rule.factor, 1))


def order_of(pool: np.ndarray, wanted: int, seed: int, epoch: int) -> np.ndarray:
    """Return ``wanted`` rows of the pool in random order; every row once before any twice."""
    rng = np.random.default_rng((seed, epoch))
    rounds = [rng.permutation(pool) for _ in range(-(-wanted // len(pool)))]
    return np.concatenate(rounds)[:wanted]


def weights_of(rows: np.ndarray, targets: np.ndarray, job: Job) -> np.ndarray | None:
    """Return how much each answer counts, as ``(2, K)``: "no" and "yes" of every class.

    With one label per cell only "yes" is used: the weight of the cell's class, 1 on average
    over the rows. With several labels each class is a question of its own, whose yes and no
    answers weigh the same in sum. No weight is above 20. None: all the same.
    """
    if job.training.class_weights == "none":
        return None
    yes = targets[rows].sum(axis=0)
    if not job.multi_label:
        share = len(rows) / (max(1, int((yes > 0).sum())) * np.maximum(yes, 1))
        share = np.clip(share, 1 / _HEAVIEST, _HEAVIEST)
        return np.asarray(np.stack([np.zeros_like(share), share]), np.float32)
    half = len(rows) / 2
    both = np.stack([half / np.maximum(len(rows) - yes, 1), half / np.maximum(yes, 1)])
    return np.asarray(np.clip(both, 1 / _HEAVIEST, _HEAVIEST), np.float32)


def sample_weights(
    targets: np.ndarray, weights: np.ndarray | None, multi_label: bool
) -> np.ndarray:
    """Return the weights of a batch: ``(B,)``, or ``(B, K)`` for several labels per cell."""
    if multi_label:
        if weights is None:
            return np.ones_like(targets)
        return np.asarray(np.where(targets > 0.5, weights[1], weights[0]), np.float32)
    if weights is None:
        return np.ones(len(targets), np.float32)
    return np.asarray(targets @ weights[1], np.float32)
