"""Cuts platelets off the red cells they touch, and finds those that lie free.

A platelet at the side of a cell has glass around it and becomes an object of its own. A parasite,
or a platelet inside the outline of a cell, has none and stays part of the cell.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

# In units of a red cell's area: what a platelet covers, and what must remain of its cell.
_SPECK = 0.02
_LARGEST = 0.45
_LEAST_REST = 0.12
# Where around a platelet glass is looked for (in diameters), and how much of it is needed.
_AROUND = (0.07, 0.15)
_PROTRUDES = 0.4
# A free platelet: red over blue (in units of the density of red cells) at its edge and in its middle,
# and its area in units of a red cell's.
_EDGE, _MIDDLE = 0.4, 0.9
_LEAST, _MOST = 0.012, 0.45


def cut_platelets(labels: np.ndarray, purple: np.ndarray, wide: float) -> tuple[np.ndarray, int]:
    """Cut platelets off the red cells they touch.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(Y, X)`` int32 objects.
    purple : numpy.ndarray
        ``(Y, X)`` bool: stained like a nucleus or a platelet.
    wide : float
        Diameter of a red cell in pixels.

    Returns
    -------
    labels : numpy.ndarray
        ``(Y, X)`` int32 with the platelets as objects of their own.
    first : int
        The platelets' labels begin here.
    """
    first = int(labels.max()) + 1
    cell = np.pi * wide**2 / 4
    spots, count = ndi.label(ndi.binary_opening(purple, iterations=max(1, int(wide / 36))))
    if count == 0:
        return labels, first
    distance, (y, x) = ndi.distance_transform_edt(spots == 0, return_indices=True)
    nearest = spots[y, x]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(nearest[values], minlength=count + 1)

    near, far = (k * wide for k in _AROUND)
    ring = (distance > near) & (distance <= far)
    free = total(ring & (labels == 0)) / np.maximum(total(ring), 1)
    size = total(distance == 0) / cell
    cut = (free > _PROTRUDES) & (size > _SPECK) & (size < _LARGEST)
    part = cut[nearest] & (distance <= near) & (labels > 0)
    area = np.bincount(labels.ravel(), minlength=first)
    lost = np.bincount(labels[part], minlength=first)
    # What is little more than a platelet is one already.
    part &= (area - lost > np.maximum(lost, _LEAST_REST * cell))[labels]
    number = np.zeros(count + 1, np.int32)
    present = np.unique(nearest[part])
    number[present] = np.arange(first, first + len(present))
    halved = np.unique(labels[part])
    labels = np.where(part, number[nearest], labels)
    return _largest_pieces(labels, halved), first


def free_platelets(labels: np.ndarray, excess: np.ndarray, wide: float) -> tuple[np.ndarray, int]:
    """Add the platelets that are too small or too pale to be seen as objects.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(Y, X)`` int32 objects.
    excess : numpy.ndarray
        ``(Y, X)`` optical density in red light beyond that in blue light, in units of the density
        of red cells.
    wide : float
        Diameter of a red cell in pixels.

    Returns
    -------
    labels : numpy.ndarray
        ``(Y, X)`` int32; new objects come after those that were there.
    count : int
        How many were added.
    """
    cell = np.pi * wide**2 / 4
    free = labels == 0
    # Opened, so that the rim of a white cell outside its outline is none.
    spots, count = ndi.label(ndi.binary_opening((excess > _EDGE) & free))
    if count == 0:
        return labels, 0
    area = np.bincount(spots.ravel(), minlength=count + 1)
    middle = ndi.maximum(excess, spots, np.arange(count + 1))
    kept = (area > _LEAST * cell) & (area < _MOST * cell) & (middle > _MIDDLE)
    kept[0] = False
    number = np.where(kept, int(labels.max()) + np.cumsum(kept), 0).astype(np.int32)
    found = number[spots]
    around = ndi.grey_dilation(found, footprint=ndi.generate_binary_structure(2, 1))
    return np.where(free, around, labels).astype(np.int32), int(kept.sum())


def _largest_pieces(labels: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Keep only the largest connected piece of each of some labels."""
    windows = ndi.find_objects(labels)
    for k in which:
        window = windows[k - 1]
        pieces, count = ndi.label(labels[window] == k)
        if count > 1:
            largest = np.argmax(np.bincount(pieces[pieces > 0]))
            labels[window][(pieces > 0) & (pieces != largest)] = 0
    return labels
