"""Images that are nearly the same: saved again, brightened, resized, mirrored or turned copies.

Two images are compared by their thumbnails, ``12 x 12`` with mean 0 and length 1; the distance of
two such vectors is ``sqrt(2 - 2 * correlation)``. All pairs are compared in all eight orientations: a
projection on the main axes can only shorten a distance, so pairs that are far apart there need no
second look and no close pair is missed.

A perceptual hash (64-bit dHash) does not serve here: single cells on black all have nearly the
same one. What is not found, by intent: the same cell photographed again in the next field. Its
frame, and with it the stretched crop, differs; only groups (patient, image) keep those together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from threadpoolctl import ThreadpoolController

from napari_cellcls.files import atomic_path
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.vocabulary import Progress, Task

NEAR = 0.085
"""Largest distance of a copy. On the 27,558 malaria crops the closest pair lies at 0.091 and all up to
0.11 are different cells by eye; of 100 crops 99 move by less than 0.071 as JPEG of quality 40, by
0.081 with a gamma of 1.2 (``training/measure_duplicates.py``)."""

_EDGE = 12
_AXES = 48
_SAMPLE = 3000
_FEW = 1000
_ROWS = 512
_COLUMNS = 4096
_CHUNK_VALUES = 1 << 23
_CANDIDATES = 8192
_FLAT = 1e-3
_TURNS = tuple((flip, quarter) for flip in (False, True) for quarter in range(4))


@dataclass(frozen=True)
class Near:
    """Pairs of nearly identical images, closest first.

    Attributes
    ----------
    pairs : numpy.ndarray
        ``(M, 2)`` int64 rows, the smaller first; exact copies are pairs too.
    distance : numpy.ndarray
        ``(M,)`` float32, 0 for copies.
    """

    pairs: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)


def near_duplicates(data: CellSet) -> Task[Near]:
    """Return the nearly identical images of a set; kept beside its cache file, so found once."""
    if data.store is None:
        return (yield from near_pairs(data.images))
    path = data.store.with_suffix(".near.npz")
    readable = contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile)
    with readable, open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
        if float(stored["threshold"]) == NEAR:
            return Near(stored["pairs"], stored["distance"])
    found = yield from near_pairs(data.images)
    _keep(path, found)
    return found


def _keep(path: Path, found: Near) -> None:
    with contextlib.suppress(OSError), atomic_path(path) as temporary:
        np.savez(temporary, pairs=found.pairs, distance=found.distance, threshold=np.float64(NEAR))


def near_pairs(images: np.ndarray, threshold: float = NEAR) -> Task[Near]:
    """Return all pairs of images closer than a threshold, in any of the eight orientations.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, Y, X, C)`` uint8, square; may be memory-mapped, read in parts.
    threshold : float
        Distance of thumbnails, 0 (equal) to 2.

    Returns
    -------
    Near
        Images without any structure (all pixels alike) are in no pair.
    """
    n = len(images)
    thumbs = np.empty((n, _EDGE, _EDGE, images.shape[-1]), np.float32)
    step = max(1, _CHUNK_VALUES // int(np.prod(images.shape[1:])))
    for start in range(0, n, step):
        thumbs[start : start + step] = thumbnails(images[start : start + step])
        yield Progress(start, 2 * n, "comparing images")
    # Blocks this small only make the threads of a matrix product wait for each other.
    threads = ThreadpoolController()
    with threads.limit(limits=1, user_api="blas"):
        axes, center = _main_axes(thumbs)
    flat = thumbs.reshape(n, -1)
    low = ((flat - center) @ axes).astype(np.float32)
    best: dict[tuple[int, int], float] = {}
    for turn, (flip, quarter) in enumerate(_TURNS, start=1):
        turned = _turned(thumbs, flip, quarter).reshape(n, -1)
        with threads.limit(limits=1, user_api="blas"):
            close = list(_close(low, ((turned - center) @ axes).astype(np.float32), threshold))
        for rows, columns in close:
            true = np.linalg.norm(flat[rows] - turned[columns], axis=1)
            for a, b, d in zip(rows, columns, true):
                if d <= threshold and np.any(flat[a]) and d < best.get((int(a), int(b)), np.inf):
                    best[int(a), int(b)] = float(d)
        yield Progress(n + n * turn // len(_TURNS), 2 * n, "comparing images")
    order = sorted(best, key=lambda pair: (best[pair], pair))
    return Near(
        np.array(order, np.int64).reshape(-1, 2),
        np.array([best[pair] for pair in order], np.float32),
    )


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Return thumbnails with mean 0 and length 1, ``(N, 12, 12, C)`` float32; flat images give 0."""
    shrink_y, shrink_x = _averaging(images.shape[1]), _averaging(images.shape[2])
    small = np.einsum(
        "ai,bj,nijc->nabc", shrink_y, shrink_x, images.astype(np.float32), optimize=True
    )
    small -= small.mean(axis=(1, 2, 3), keepdims=True)
    length = np.sqrt((small**2).sum(axis=(1, 2, 3), keepdims=True))
    some = length > _FLAT * 255 * _EDGE
    return np.asarray(np.where(some, small / np.maximum(length, 1e-9), 0), np.float32)


def clusters(n: int, pairs: np.ndarray) -> np.ndarray:
    """Return a cluster number for each of ``n`` images, ``(N,)``: the lowest row it is tied to."""
    parent = np.arange(n)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for a, b in pairs.tolist():
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    return np.array([root(i) for i in range(n)], np.int64)


def _averaging(edge: int) -> np.ndarray:
    """Return the ``(12, edge)`` matrix that averages areas."""
    borders = np.linspace(0, edge, _EDGE + 1)
    pixels = np.arange(edge)
    overlap = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _turned(thumbs: np.ndarray, flip: bool, quarter: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(thumbs[:, :, ::-1] if flip else thumbs, quarter, (1, 2)))


def _main_axes(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal axes ``(D, <=48)`` of a sample in all orientations, and its mean.

    All axes are kept where a search is quicker than finding the main ones.
    """
    size = int(np.prod(thumbs.shape[1:]))
    if len(thumbs) <= _FEW:
        return np.eye(size, dtype=np.float32), np.zeros(size, np.float32)
    rows = np.linspace(0, len(thumbs) - 1, min(len(thumbs), _SAMPLE)).astype(int)
    sample = np.concatenate([_turned(thumbs[rows], *turn) for turn in _TURNS])
    sample = sample.reshape(len(sample), -1)
    center = sample.mean(0)
    sample = sample - center
    _, axes = np.linalg.eigh(sample.T @ sample)
    return axes[:, -_AXES:], center


def _close(
    first: np.ndarray, second: np.ndarray, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows ``a < b`` with ``first[a]`` and ``second[b]`` within the threshold."""
    n = len(first)
    one = np.ones((n, 1), np.float32)
    # One product gives |a|^2 - 2ab + |b|^2; the margin covers its rounding.
    left = np.hstack([-2 * first, (first**2).sum(1, keepdims=True), one])
    right = np.hstack([second, one, (second**2).sum(1, keepdims=True)])
    limit = threshold**2 + 1e-5
    for i in range(0, n, _ROWS):
        for j in range(i, n, _COLUMNS):
            squared = left[i : i + _ROWS] @ right[j : j + _COLUMNS].T
            if squared.min() > limit:
                continue
            rows, columns = np.nonzero(squared <= limit)
            keep = columns + j > rows + i
            rows, columns = rows[keep] + i, columns[keep] + j
            for k in range(0, len(rows), _CANDIDATES):
                yield rows[k : k + _CANDIDATES], columns[k : k + _CANDIDATES]
