"""What the cells that a model learned from are like in plain numbers: their size, the values of each plane.

Two kinds of packages know them: a fine-tuned one from the measured numbers of its exemplars, others
from ``plain`` of their reference. With neither, nothing can be said about another scale or stain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.descriptor import PER_PLANE, SHAPE
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import COLUMNS

PLAIN = "plain"
"""Name in ``reference.npz``: ``(M, 1 + C)``, log of the longer side in pixels, mean per plane."""
_ENOUGH, _FEW = 20, 10
_OUTSIDE = 0.025
_STEP = 4


@dataclass(frozen=True)
class Shift:
    """How far the middle cell of an image lies outside what a model learned from.

    Attributes
    ----------
    larger : float or None
        How many times larger (below 1: smaller) the cells are, where that is outside.
    planes : tuple of int
        Per plane: 1 values above, -1 below, 0 within what was seen.
    """

    larger: float | None
    planes: tuple[int, ...]


def of_package(package: ModelPackage) -> np.ndarray | None:
    """Return the plain numbers of the exemplars, ``(M, 1 + C)``; None when they are not known."""
    reference = package.reference or {}
    if package.manifest.descriptor != "embedding" and "embeddings" in reference:
        return of_measured(reference["embeddings"][:, package.described_size :])
    found = reference.get(PLAIN)
    if found is None or found.ndim != 2 or found.shape[1] != 1 + len(package.manifest.inputs):
        return None
    return np.asarray(found, np.float64)


def of_measured(measured: np.ndarray) -> np.ndarray:
    """Return the plain ones ``(N, 1 + C)`` among measured numbers ``(N, 10 + 7 * C)``."""
    sides = [SHAPE.index("log_box_height"), SHAPE.index("log_box_width")]
    means = measured[:, len(SHAPE) + PER_PLANE.index("mean") :: len(PER_PLANE)]
    return np.column_stack([measured[:, sides].max(axis=1), means]).astype(np.float64)


def of_crops(crops: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return the plain numbers of crops.

    Parameters
    ----------
    crops : numpy.ndarray
        ``(N, Y, X, C)``, values in 0..1.
    sides : numpy.ndarray
        ``(N, 2)`` height and width of the boxes in pixels of the image.

    Returns
    -------
    numpy.ndarray
        ``(N, 1 + C)`` float32; means are taken from every fourth pixel.
    """
    longer = np.log(np.maximum(sides, 1).max(axis=1))
    return np.column_stack([longer, plane_means(crops)]).astype(np.float32)


def of_batches(batches: list[np.ndarray], cells: Cells) -> np.ndarray:
    """Return the plain numbers ``(N, 1 + C)`` of cells from ``(row, mean per plane)`` in batches."""
    boxes = cells.table[list(COLUMNS.bbox)].to_numpy(np.float64)
    longer = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1).max(axis=1))
    found = np.concatenate(batches) if batches else np.zeros((0, 1))
    return np.column_stack([longer, found[np.argsort(found[:, 0]), 1:]])


def plane_means(crops: np.ndarray) -> np.ndarray:
    """Return the mean of every fourth pixel per plane, ``(N, C)``."""
    return np.asarray(crops[:, ::_STEP, ::_STEP].mean(axis=(1, 2)))


def shift_of(seen: np.ndarray | None, new: np.ndarray) -> Shift | None:
    """Compare the middle cell of an image with what was seen.

    Parameters
    ----------
    seen : numpy.ndarray or None
        ``(M, 1 + C)`` of exemplars.
    new : numpy.ndarray
        ``(N, 1 + C)`` of the cells of one image.

    Returns
    -------
    Shift or None
        None when nothing is outside, or there are too few of either to say.
    """
    if seen is None or len(seen) < _ENOUGH or len(new) < _FEW:
        return None
    middle = np.median(new, axis=0)
    low, high = np.quantile(seen, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
    side = np.where(middle < low, -1, np.where(middle > high, 1, 0))
    # Crops resized before they were collected do not know their size.
    known = np.ptp(seen[:, 0]) > 0 and side[0]
    larger = float(np.exp(middle[0] - np.median(seen[:, 0]))) if known else None
    planes = tuple(int(s) for s in side[1:])
    return Shift(larger, planes) if larger is not None or any(planes) else None
