"""Is a cell like those a model learned from? Distances to the exemplars that its package brings.

Asked of the frozen embedding and not of the classes: a confident answer about a foreign thing is
what has to be noticed. Nearest neighbors after whitening: in reviews of such scores on
microscopy none is best everywhere, and this one needs nothing but the exemplars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cellcls.models.package import ModelPackage

NEIGHBORS = 5
FAR = 1.5
"""Strangeness from which on a cell is called unfamiliar."""
_USUAL = 0.95
_DIRECTIONS = 64
_BLOCK = 4096
_TINY = 1e-9


@dataclass(frozen=True)
class Domain:
    """What a model has seen.

    Attributes
    ----------
    mean : numpy.ndarray
        ``(E,)``.
    directions : numpy.ndarray
        ``(E, R)``; embeddings times these have unit variance in each of R directions.
    exemplars : numpy.ndarray
        ``(M, R)`` float32, whitened.
    usual : float
        The distance within which 95 % of the exemplars lie from the others.
    """

    mean: np.ndarray
    directions: np.ndarray
    exemplars: np.ndarray
    usual: float

    def strangeness(self, embeddings: np.ndarray) -> np.ndarray:
        """Return how far cells lie from all that was seen.

        Parameters
        ----------
        embeddings : numpy.ndarray
            ``(N, E)``.

        Returns
        -------
        numpy.ndarray
            ``(N,)`` float32: the mean distance to the 5 nearest exemplars in parts of
            ``usual``; of cells like the exemplars 5 in 100 are above 1.
        """
        x = (np.asarray(embeddings, np.float32) - self.mean) @ self.directions
        parts = [
            _nearest(x[i : i + _BLOCK], self.exemplars, itself=False)
            for i in range(0, len(x), _BLOCK)
        ]
        found = np.concatenate(parts) if parts else np.zeros(0)
        return np.asarray(found / self.usual, np.float32)


def domain_of(package: ModelPackage) -> Domain | None:
    """Return what a model has seen; None when its package brings no exemplars."""
    exemplars = (package.reference or {}).get("embeddings")
    if exemplars is None:
        return None
    # Measured numbers of a fine-tuned model come after the embedding: its classes know them.
    return domain_from(exemplars[:, : package.described_size])


def domain_from(exemplars: np.ndarray) -> Domain | None:
    """Return the domain of some embeddings ``(M, E)``; None when there are too few to say.

    Directions in which exemplars hardly differ are left out: whitening would make noise of them.
    """
    x = np.asarray(exemplars, np.float64)
    if len(x) <= 2 * NEIGHBORS:
        return None
    mean = x.mean(axis=0)
    _, spread, directions = np.linalg.svd(x - mean, full_matrices=False)
    keep = min(_DIRECTIONS, len(x) // 4, int((spread > 0.01 * spread[0]).sum()))
    if keep == 0 or spread[0] <= _TINY:
        return None
    whitening = directions[:keep].T * (np.sqrt(len(x)) / spread[:keep])
    seen = ((x - mean) @ whitening).astype(np.float32)
    usual = float(np.quantile(_nearest(seen, seen, itself=True), _USUAL))
    return Domain(mean.astype(np.float32), whitening.astype(np.float32), seen, max(usual, _TINY))


def _nearest(x: np.ndarray, seen: np.ndarray, *, itself: bool) -> np.ndarray:
    """Return the mean distance to the nearest of ``seen``, itself left out when it is among them."""
    squared = (x**2).sum(1)[:, None] + (seen**2).sum(1)[None] - 2 * x @ seen.T
    if itself:
        np.fill_diagonal(squared, np.inf)
    near = np.partition(squared, NEIGHBORS - 1, axis=1)[:, :NEIGHBORS]
    return np.asarray(np.sqrt(np.maximum(near, 0)).mean(axis=1))
