"""The space of embeddings made small: principal axes, directions, groups and near copies, in NumPy alone."""

from __future__ import annotations

import numpy as np

DIMENSIONS = 64
"""Axes that the queue works with: enough to tell cells apart, few enough to be instant."""

_FITTED = 4000
_EXTRA, _POWERS, _ROUNDS = 10, 2, 8


def principal(embeddings: np.ndarray, dimensions: int, seed: int = 0) -> np.ndarray:
    """Return cells on the principal axes of their embeddings.

    The axes are found on at most 4,000 cells by a randomized range finder with power iterations (Halko,
    Martinsson and Tropp 2011); 20,000 cells of 1,280 values take a fraction of a second.

    Parameters
    ----------
    embeddings : numpy.ndarray
        ``(N, E)``; values that are not finite count as 0.
    dimensions : int
        Axes wanted.
    seed : int

    Returns
    -------
    numpy.ndarray
        ``(N, D)`` float32, ``D`` the smallest of ``dimensions``, ``N`` and ``E``; largest spread first,
        centered. The sign of an axis is such that its largest weight is positive.
    """
    values = np.asarray(embeddings, np.float32)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    count, width = values.shape
    dimensions = min(dimensions, count, width)
    if dimensions == 0:
        return np.zeros((count, 0), np.float32)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(count)[:_FITTED])
    middle = values[rows].mean(axis=0)
    part = values[rows] - middle
    sketch = rng.standard_normal((width, min(dimensions + _EXTRA, width))).astype(np.float32)
    basis = _upright(part @ sketch)
    for _ in range(_POWERS):
        basis = _upright(part @ _upright(part.T @ basis))
    axes = np.linalg.svd(basis.T @ part, full_matrices=False)[2][:dimensions]
    strongest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(strongest < 0, -1, 1)[:, None].astype(np.float32)
    return np.asarray(values @ axes.T - middle @ axes.T, np.float32)


def directions(embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return cells as unit vectors ``(N, D)`` float32: products of two are their similarity, -1..1.

    A cell exactly at the center is a vector of zeros, similar to none.
    """
    points = principal(embeddings, DIMENSIONS, seed)
    length = np.linalg.norm(points, axis=1, keepdims=True)
    found: np.ndarray = np.divide(points, length, out=np.zeros_like(points), where=length > 0)
    return found


def centers(
    points: np.ndarray, count: int, rng: np.random.Generator, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return centers by k-means, begun by k-means++, on at most 4,000 points.

    Parameters
    ----------
    points : numpy.ndarray
        ``(N, D)``.
    count : int
        Centers wanted; fewer come back where there are fewer different points.
    rng : numpy.random.Generator
    weights : numpy.ndarray, optional
        ``(N,)``, above 0: how much each point draws a center to itself.
    """
    rows = np.sort(rng.permutation(len(points))[:_FITTED])
    part = points[rows]
    weight = np.ones(len(part), np.float32) if weights is None else weights[rows]
    chosen = [_drawn(weight, rng)]
    gap = _gaps(part, part[chosen])[:, 0]
    while len(chosen) < count and (gap > 1e-12).any():
        chosen.append(_drawn(gap * weight, rng))
        gap = np.minimum(gap, _gaps(part, part[chosen[-1:]])[:, 0])
    found = part[chosen].copy()
    for _ in range(_ROUNDS):
        index = _gaps(part, found).argmin(axis=1)
        size = np.bincount(index, weight, len(found)).astype(np.float32)
        sums = np.zeros_like(found)
        np.add.at(sums, index, part * weight[:, None])
        filled = size > 0
        found[filled] = sums[filled] / size[filled, None]
    return found


def nearest(points: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each point which center is nearest, and the squared distance to it; both ``(N,)``."""
    gaps = _gaps(points, middles)
    index = gaps.argmin(axis=1)
    return index, gaps[np.arange(len(points)), index]


def closest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the similarity of each unit vector to the most similar of others, -1 without any; ``(N,)``."""
    best = np.full(len(points), -1.0, np.float32)
    for begin in range(0, len(others), 1024):
        np.maximum(best, (points @ others[begin : begin + 1024].T).max(axis=1), out=best)
    return best


def _upright(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the space of columns, ``(N, D)`` float32; zeros where there are fewer axes.

    By their products, and not by ``numpy.linalg.qr``: that lets no other thread work meanwhile (measured with NumPy
    2.4), and this one works beside a window.
    """
    wide = columns.astype(np.float64)
    weight, turned = np.linalg.eigh(wide.T @ wide)
    some = weight > 1e-12 * max(weight[-1], 1e-300)
    scale = np.where(some, 1 / np.sqrt(np.where(some, weight, 1.0)), 0.0)
    return np.asarray(wide @ (turned * scale), np.float32)


def _gaps(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    gaps: np.ndarray = np.maximum(squares - 2 * (points @ others.T), 0)
    return gaps


def _drawn(weight: np.ndarray, rng: np.random.Generator) -> int:
    total = np.cumsum(weight, dtype=np.float64)
    at = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
    return min(at, len(weight) - 1)
