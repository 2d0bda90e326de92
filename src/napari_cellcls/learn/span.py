"""The space that some cells span: fewer cells than numbers per cell need no more directions than cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DIRECTIONS = 400
_TINY = 1e-6


@dataclass(frozen=True)
class Span:
    """The directions that the labeled cells span, after every number got mean 0; last one constant.

    Attributes
    ----------
    mean, scale : numpy.ndarray
        ``(D,)``; a number that never differs has an infinite scale.
    basis : numpy.ndarray
        ``(D, R)`` float32.
    """

    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, blocks: Sequence[int]) -> Span:
        """Return the span of descriptors ``(N, D)``; each block of columns weighs the same as a whole.

        The columns of the first block are of one kind, an embedding, and share one scale: a number that is
        0 in nearly all of 60 cells would otherwise outweigh all others in the next cell that has it. The columns of
        further blocks are measured in units of their own, and each gets a scale of its own.
        """
        mean, scale = x.mean(axis=0), x.std(axis=0)
        first = scale[: blocks[0]]
        scale[: blocks[0]] = np.where(first > _TINY, np.sqrt((first**2).mean()), first)
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
        """Return ``(N, R + 1)`` float64."""
        found = ((x - self.mean) / self.scale) @ self.basis
        return np.hstack([found.astype(np.float64), np.ones((len(x), 1))])

    def out(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel ``(D, K)`` and bias ``(K,)``, float32, of parameters ``(R + 1, K)``."""
        kernel = (self.basis @ theta[:-1]) / self.scale[:, None]
        bias = theta[-1] - self.mean @ kernel
        return kernel.astype(np.float32), bias.astype(np.float32)
