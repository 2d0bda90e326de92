"""Parasites taken out of infected cells and put into healthy ones, in optical density.

Stain takes light away multiplicatively, so that what a parasite adds to the density of its cell can be added
to another cell (Beer and Lambert). Infected cells of other laboratories are rarely at hand; this
is the next best thing, for training and for asking whether a network still sees parasites there.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

DARKER = 0.15
"""Optical density in green above the cell's median from which a pixel belongs to a parasite."""
SMALLEST = 6
"""Pixels of a parasite at least."""
_EDGE = 3
_KEPT = 0.8
_TRIES = 8


def density(crops: np.ndarray) -> np.ndarray:
    """Return the optical density of crops in 0..1."""
    return -np.log(np.clip(crops, 1 / 255, 1))


def excess(crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each pixel ``(Y, X, 3)`` is denser than its cell's median, and the dark spots ``(Y, X)``."""
    inside = crop.max(axis=-1) > 0
    dark = density(crop)
    more = np.maximum(dark - np.median(dark[inside], axis=0), 0)
    return more, (more[..., 1] > DARKER) & ndi.binary_erosion(inside, iterations=_EDGE)


def parasite(crop: np.ndarray) -> np.ndarray | None:
    """Return what a parasite adds to the density of its cell ``(Y, X, 3)``; None without a clear one.

    Parameters
    ----------
    crop : numpy.ndarray
        ``(Y, X, 3)`` float, 0..1, black outside the cell.
    """
    more, spot = excess(crop)
    if spot.sum() <= SMALLEST:
        return None
    return np.asarray(more * soft(spot), np.float32)


def soft(spot: np.ndarray) -> np.ndarray:
    """Return a mask ``(Y, X)`` with a soft edge, as a factor ``(Y, X, 1)``."""
    return np.asarray(ndi.gaussian_filter(spot.astype(np.float32), 0.7)[..., None])


def paste(cells: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Add density to cells ``(N, Y, X, 3)`` 0..1, inside the cells only."""
    inside = cells.max(axis=-1, keepdims=True) > 0
    return np.where(inside, np.exp(-(density(cells) + added)), 0).astype(np.float32)


def turned(added: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one parasite mirrored and turned at random, a little stronger or weaker."""
    found = np.rot90(added, rng.integers(4))
    if rng.random() < 0.5:
        found = found[:, ::-1]
    return np.asarray(found * rng.uniform(0.8, 1.25), np.float32)


def fitted(cell: np.ndarray, added: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return a parasite turned so that most of it lies within a cell; None when no turn does."""
    within = ndi.binary_erosion(cell.max(axis=-1) > 0, iterations=_EDGE)[..., None]
    for _ in range(_TRIES):
        found = turned(added, rng)
        if (found * within).sum() >= _KEPT * found.sum():
            return found
    return None


def control(crop: np.ndarray, spot: np.ndarray) -> np.ndarray:
    """Return what a healthy cell has where another one has its parasite: its own texture, no parasite.

    Healthy cells that underwent the same cutting and pasting keep a network from learning the
    pasting instead of the parasite.
    """
    more, _ = excess(crop)
    return np.asarray(more * soft(spot), np.float32)
