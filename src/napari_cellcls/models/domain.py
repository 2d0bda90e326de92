"""Is a cell like those a model learned from? Distances to the exemplars that its package brings.

Asked of the frozen descriptor and not of the classes: a confident answer about a foreign thing is
what has to be noticed. Nearest neighbors after whitening: in reviews of such scores on
microscopy none is best everywhere, and this one needs nothing but the exemplars. Measured numbers,
where exemplars have them, count as much as the embedding: on blood cells size and form tell most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_cellcls.models.package import ModelPackage

NEIGHBORS = 5
FAR = 1.25
"""Strangeness from which on a cell is called unfamiliar."""
_USUAL = 0.95
_DIRECTIONS = 64
_BLOCK = 1024
_MOST = 256
_TINY = 1e-9


@dataclass(frozen=True)
class Part:
    """One block of a descriptor: what was seen of it.

    Attributes
    ----------
    columns : slice
        Its place in the descriptor.
    mean : numpy.ndarray
        ``(E,)``.
    directions : numpy.ndarray
        ``(E, R)``; numbers times these have unit variance in each of R directions.
    exemplars : numpy.ndarray
        ``(M, R)`` float32.
    usual : float
        The distance within which 95 % of the exemplars lie from the others.
    """

    columns: slice
    mean: np.ndarray
    directions: np.ndarray
    exemplars: np.ndarray
    usual: float

    def distance(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the mean distance to the nearest exemplars in parts of ``usual``, ``(N,)``."""
        x = (np.asarray(descriptors[:, self.columns], np.float32) - self.mean) @ self.directions
        return _nearest(x, self.exemplars, itself=False) / self.usual


@dataclass(frozen=True)
class Domain:
    """What a model has seen.

    Attributes
    ----------
    parts : tuple of Part
        The embedding, and the measured numbers where exemplars have them.
    usual : float
        The mean of the parts' distances within which 95 % of the exemplars lie.
    """

    parts: tuple[Part, ...]
    usual: float

    def strangeness(self, descriptors: np.ndarray) -> np.ndarray:
        """Return how far cells lie from all that was seen.

        Parameters
        ----------
        descriptors : numpy.ndarray
            ``(N, D)``, as the head of the model takes them.

        Returns
        -------
        numpy.ndarray
            ``(N,)`` float32: the mean distance to the 5 nearest exemplars in parts of
            ``usual``; of cells like the exemplars 5 in 100 are above 1.
        """
        found = np.zeros(len(descriptors))
        for i in range(0, len(descriptors), _BLOCK):
            block = descriptors[i : i + _BLOCK]
            found[i : i + _BLOCK] = np.mean([part.distance(block) for part in self.parts], axis=0)
        return np.asarray(found / self.usual, np.float32)


def domain_of(package: ModelPackage) -> Domain | None:
    """Return what a model has seen; None when its package brings no exemplars.

    Made once for the images of a run.
    """
    return _domain_of(_Known(package))


@dataclass(frozen=True, eq=False)
class _Known:
    """A package that is the same as another one of equal content."""

    package: ModelPackage

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.package.sha256 == self.package.sha256

    def __hash__(self) -> int:
        return hash(self.package.sha256)


@lru_cache(maxsize=2)
def _domain_of(known: _Known) -> Domain | None:
    package = known.package
    exemplars = (package.reference or {}).get("embeddings")
    if exemplars is None:
        return None
    size = package.described_size
    with_measured = package.manifest.descriptor != "embedding"
    return domain_from(exemplars, (size, exemplars.shape[1] - size) if with_measured else None)


def domain_from(exemplars: np.ndarray, blocks: Sequence[int] | None = None) -> Domain | None:
    """Return the domain of some descriptors; None when there are too few to say.

    Parameters
    ----------
    exemplars : numpy.ndarray
        ``(M, D)``.
    blocks : sequence of int, optional
        ``(E, F)`` columns of the embedding and of the measured numbers. By default all are an
        embedding: directions in which exemplars hardly differ are left out, as whitening would
        make noise of them. Measured numbers differ in unit and are scaled one by one.
    """
    # More would find foreign cells no better, and cost as much as a small network does. They come
    # class by class: an even choice keeps all classes.
    rows = np.linspace(0, len(exemplars) - 1, min(len(exemplars), _MOST)).astype(int)
    x = np.asarray(exemplars[rows], np.float64)
    if len(x) <= 2 * NEIGHBORS:
        return None
    size = x.shape[1] if blocks is None else blocks[0]
    made = [(_seen(x, slice(0, size), _whitening))]
    if size < x.shape[1]:
        made.append(_seen(x, slice(size, x.shape[1]), _scaling))
    found = [one for one in made if one is not None]
    if not found:
        return None
    distance = np.mean([one[1] for one in found], axis=0)
    return Domain(tuple(one[0] for one in found), max(float(np.quantile(distance, _USUAL)), _TINY))


def _seen(
    x: np.ndarray, columns: slice, directions_of: Callable[[np.ndarray], np.ndarray | None]
) -> tuple[Part, np.ndarray] | None:
    """Return a part, and the distance of each exemplar from the others in parts of ``usual``."""
    mean = x[:, columns].mean(axis=0)
    centered = x[:, columns] - mean
    directions = directions_of(centered)
    if directions is None:
        return None
    seen = (centered @ directions).astype(np.float32)
    distance = _nearest(seen, seen, itself=True)
    usual = max(float(np.quantile(distance, _USUAL)), _TINY)
    part = Part(columns, mean.astype(np.float32), directions.astype(np.float32), seen, usual)
    return part, distance / usual


def _whitening(centered: np.ndarray) -> np.ndarray | None:
    """Return directions of unit variance from the smaller of the two products, ``(E, R)``."""
    n, size = centered.shape
    small = n <= size
    squared, vectors = np.linalg.eigh(centered @ centered.T if small else centered.T @ centered)
    squared, vectors = np.maximum(squared[::-1], 0), vectors[:, ::-1]
    spread = np.sqrt(squared)
    keep = min(_DIRECTIONS, n // 4, int((spread > 0.01 * spread[0]).sum()))
    if keep == 0 or spread[0] <= _TINY:
        return None
    found = vectors[:, :keep]
    if small:
        found = centered.T @ (found / spread[:keep])
    return np.asarray(found * (np.sqrt(n) / spread[:keep]))


def _scaling(centered: np.ndarray) -> np.ndarray | None:
    spread = centered.std(axis=0)
    differ = spread > _TINY
    if not differ.any():
        return None
    return np.diag(np.where(differ, 1 / np.where(differ, spread, 1), 0))[:, differ]


def _nearest(x: np.ndarray, seen: np.ndarray, *, itself: bool) -> np.ndarray:
    """Return the mean distance to the nearest of ``seen``, itself left out when it is among them."""
    squared = (x**2).sum(1)[:, None] + (seen**2).sum(1)[None] - 2 * x @ seen.T
    if itself:
        np.fill_diagonal(squared, np.inf)
    near = np.partition(squared, NEIGHBORS - 1, axis=1)[:, :NEIGHBORS]
    return np.asarray(np.sqrt(np.maximum(near, 0)).mean(axis=1))
