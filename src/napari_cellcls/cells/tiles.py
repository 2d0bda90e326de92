"""Runs a finder window by window over an image of any size and joins what the windows found.

Windows overlap by a halo; an object belongs to the window whose core holds its centroid. A
finder whose result depends only on pixels nearer than the halo gives the same objects as on
the whole image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.vocabulary import Progress, Task

Finder = Callable[[int, int, int, int], tuple[np.ndarray, np.ndarray]]
"""``(y0, x0, y1, x1)`` -> labels ``(y, x)`` int32 1..n and one kind per label ``(n + 1,)``."""


@dataclass(frozen=True)
class Window:
    """A core region and the larger region read for it, half-open pixel bounds."""

    core: tuple[int, int, int, int]
    read: tuple[int, int, int, int]


def windows(shape: tuple[int, int], core: int, halo: int, grid: int = 1) -> Iterator[Window]:
    """Cover an image with windows whose corners are multiples of ``grid``.

    Parameters
    ----------
    shape : tuple of int
        ``(Y, X)``.
    core, halo : int
        Edge of a core, and what is read around it, in pixels. An image up to half again as
        long as a core stays whole in that direction.
    grid : int
        Working pixels of a finder; windows on one grid average the same pixels.
    """
    core = max(core // grid, 1) * grid
    halo = -(-halo // grid) * grid
    rows, columns = (_cuts(n, core) for n in shape)
    for y0, y1 in itertools.pairwise(rows):
        for x0, x1 in itertools.pairwise(columns):
            read = (
                max(y0 - halo, 0),
                max(x0 - halo, 0),
                min(y1 + halo, shape[0]),
                min(x1 + halo, shape[1]),
            )
            yield Window((y0, x0, y1, x1), read)


def find_by_tiles(
    find: Finder,
    shape: tuple[int, int],
    core: int,
    halo: int,
    *,
    grid: int = 1,
    slack: float = 0.0,
    message: str = "finding cells",
) -> Task[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Find objects window by window.

    Parameters
    ----------
    find : callable
        The finder of one window.
    shape : tuple of int
        ``(Y, X)`` of the image.
    core, halo, grid : int
        See :func:`windows`.
    slack : float
        Objects whose centroid lies this far outside the core are taken too where nothing else
        is: two windows may see the centroid of a clump at the seam a little apart.

    Returns
    -------
    labels : list of numpy.ndarray
        Two ``(Y, X)`` int32 images: objects of kind 0, and of all other kinds.
    found : list of numpy.ndarray
        Per image, the kind of each label, ``(n + 1,)`` int8 (entry 0 is background).
    """
    out = [np.zeros(shape, np.int32), np.zeros(shape, np.int32)]
    found: list[list[np.ndarray]] = [[np.zeros(1, np.int8)], [np.zeros(1, np.int8)]]
    count = [0, 0]
    todo = list(windows(shape, core, halo, grid))
    for k, window in enumerate(todo):
        yield Progress(k, len(todo), message)
        labels, kind = find(*window.read)
        if len(todo) > 1:
            labels = _owned(labels, window, slack, shape, out)
        for target, wanted in enumerate((kind == 0, kind > 0)):
            wanted = wanted.copy()
            wanted[0] = False
            present = np.bincount(labels.ravel(), minlength=len(kind)) > 0
            keep = wanted & present
            number = np.where(keep, np.cumsum(keep) + count[target], 0).astype(np.int32)
            y0, x0, y1, x1 = window.read
            part = out[target][y0:y1, x0:x1]
            new = number[labels]
            np.copyto(part, new, where=(new > 0) & (part == 0))
            found[target].append(kind[keep])
            count[target] += int(keep.sum())
    yield Progress(len(todo), len(todo), message)
    return out, [np.concatenate(k) for k in found]


def _cuts(length: int, core: int) -> list[int]:
    if length <= 1.5 * core:
        return [0, length]
    edges = list(range(0, length, core))
    if length - edges[-1] < core // 2:
        edges.pop()
    return [*edges, length]


def _owned(
    labels: np.ndarray, window: Window, slack: float, shape: tuple[int, int], out: list[np.ndarray]
) -> np.ndarray:
    """Blank the objects that belong to a neighboring window or are there already."""
    count = int(labels.max())
    rows, columns = np.nonzero(labels)
    index = labels[rows, columns]
    area = np.maximum(np.bincount(index, minlength=count + 1), 1)
    y = np.bincount(index, rows, count + 1) / area + window.read[0]
    x = np.bincount(index, columns, count + 1) / area + window.read[1]
    y0, x0, y1, x1 = window.core
    distance = np.maximum.reduce([y0 - y, y - (y1 - 1e-9), x0 - x, x - (x1 - 1e-9)])
    region = tuple(slice(a, b) for a, b in zip(window.read[:2], window.read[2:]))
    taken = (out[0][region] > 0) | (out[1][region] > 0)
    free = 1 - np.bincount(index, taken[rows, columns], count + 1) / area
    keep = (distance < 0) & (free > 0.4) | (distance < slack) & (free > 0.8)
    # What is cut by the window's own edge (not the image's) is never whole here.
    for cut, line in zip(
        (
            window.read[0] > 0,
            window.read[1] > 0,
            window.read[2] < shape[0],
            window.read[3] < shape[1],
        ),
        (labels[0], labels[:, 0], labels[-1], labels[:, -1]),
    ):
        if cut:
            keep[line] = False
    keep[0] = False
    return np.asarray(np.where(keep, np.arange(count + 1), 0).astype(np.int32)[labels])
