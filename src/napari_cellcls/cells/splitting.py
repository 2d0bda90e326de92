"""Fills the pale centers of red cells, finds one seed per cell and cuts touching cells apart.

Two independent hints are added: how deep a pixel lies inside the foreground (distance
transform), and how many edge pixels point at it from about one cell radius away (radial
symmetry voting; Loy and Zelinsky 2003, doi:10.1109/TPAMI.2003.1217601). The second sees the
outline of a cell that lies on another one, where the foreground has no notch.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

_VOTE_RADII = (0.34, 0.40, 0.46, 0.52, 0.58)
_ROUNDNESS = 0.8
_SLENDER = 0.35
_LARGEST_HOLE = 0.6
_SMALL_HOLE = 0.04
LARGEST_JOINT = 1.5
ONE_CELL = 1.25
FLAT = 0.97
WEAK = 0.6
FULL = 0.97


def radial_votes(density: np.ndarray, diameter: float, contrast: float) -> np.ndarray:
    """Let every edge pixel vote for the cell center it points at.

    Parameters
    ----------
    density : numpy.ndarray
        ``(Y, X)`` optical density; the gradient points into the cell.
    diameter : float
        Cell diameter in pixels.
    contrast : float
        Optical density of a typical cell; weaker edges than a fraction of it do not vote.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` float; 1 is about the vote a good round cell collects.
    """
    smooth = ndi.gaussian_filter(density, max(0.035 * diameter, 0.7))
    dy, dx = np.gradient(smooth)
    strength = np.hypot(dy, dx)
    y, x = np.nonzero(strength > 1.8 * contrast / diameter)
    weight = strength[y, x]
    step_y, step_x = dy[y, x] / weight * diameter, dx[y, x] / weight * diameter
    weight = np.minimum(weight, 6 * contrast / diameter)
    height, width = density.shape
    votes = np.zeros(height * width)
    for radius in _VOTE_RADII:
        to_y = np.rint(y + radius * step_y).astype(np.intp)
        to_x = np.rint(x + radius * step_x).astype(np.intp)
        inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
        flat = to_y[inside] * width + to_x[inside]
        votes += np.bincount(flat, weight[inside], height * width)
    full = (
        6
        * contrast
        / diameter
        * np.pi
        * diameter
        * len(_VOTE_RADII)
        / (2 * np.pi * (0.09 * diameter) ** 2)
    )
    return np.asarray(ndi.gaussian_filter(votes.reshape(height, width), 0.09 * diameter) / full)


def fill_pallor(mask: np.ndarray, center: np.ndarray, diameter: float) -> np.ndarray:
    """Fill the pale centers of cells, also those whose ring has a small gap.

    A hole is a pale center when it is small, or at most 0.6 of a cell's area and either round
    or holding a point where the votes see the ``center`` of a cell; the glass enclosed by a
    ring of cells is neither.
    """
    area = np.pi * diameter**2 / 4
    mask = mask | _pale_centers(mask, center, area)
    return np.asarray(mask | _pale_centers(_closed(mask, 0.08 * diameter), center, area))


def find_seeds(
    height_map: np.ndarray, mask: np.ndarray, diameter: float, least: float
) -> np.ndarray:
    """Return one labelled seed per local maximum of ``height_map`` inside ``mask`` (int32)."""
    edge = max(3, int(0.22 * diameter) * 2 + 1)
    peaks = (height_map == ndi.maximum_filter(height_map, edge)) & mask & (height_map > least)
    return np.asarray(ndi.label(peaks, np.ones((3, 3)))[0], np.int32)


def merge_weak_cuts(
    labels: np.ndarray, height_map: np.ndarray, diameter: float, locked: int, flat: float = FLAT
) -> np.ndarray:
    """Undo cuts through one cell: no real saddle on the border, or a joint shape like one cell.

    Parameters
    ----------
    labels, height_map : numpy.ndarray
        ``(Y, X)``; parts and the map they were flooded on.
    diameter : float
        Cell diameter in pixels.
    locked : int
        Labels above this one are never joined (white cells).
    flat : float
        Border over lower peak from which a cut is no real saddle.

    Notes
    -----
    Two parts are joined when the highest point of their border is close to the lower of their
    peaks, or when together they fill the ellipse of their own second moments and are not
    larger than one cell can be. Both tests need sums only, so they add up as parts grow.
    """
    count = int(labels.max())
    if count < 2:
        return labels
    peak = ndi.maximum(height_map, labels, np.arange(count + 1))
    moments = _moments(labels, count)
    pairs, saddle = _borders(labels, height_map, count)
    free = pairs.max(1, initial=0) <= locked
    pairs, saddle = pairs[free], saddle[free]
    cell = np.pi * diameter**2 / 4
    parent = np.arange(count + 1)
    for k in np.argsort(-saddle / np.minimum(peak[pairs[:, 0]], peak[pairs[:, 1]]), kind="stable"):
        a, b = (_root(parent, int(p)) for p in pairs[k])
        joint = moments[a] + moments[b]
        strength = saddle[k] / min(peak[a], peak[b])
        if a == b or joint[0] > LARGEST_JOINT * cell or strength < WEAK:
            continue
        if strength > flat or (joint[0] < ONE_CELL * cell and _fullness(joint) > FULL):
            parent[b] = a
            moments[a] = joint
            peak[a] = max(peak[a], peak[b])
    roots = np.array([_root(parent, k) for k in range(count + 1)])
    return np.asarray(np.unique(roots, return_inverse=True)[1].astype(np.int32)[labels])


def _moments(labels: np.ndarray, count: int) -> np.ndarray:
    y, x = np.nonzero(labels)
    index = labels[y, x]
    sums = [np.bincount(index, w, count + 1) for w in (None, y, x, y * y, x * x, y * x)]
    return np.stack(sums, 1).astype(float)


def _fullness(moments: np.ndarray) -> float:
    """Return area over the area of the ellipse with the same second moments (a disc: 1)."""
    n, y, x, yy, xx, yx = moments
    spread = (yy / n - (y / n) ** 2) * (xx / n - (x / n) ** 2) - (yx / n - y * x / n**2) ** 2
    return float(n / (4 * np.pi * np.sqrt(max(spread, 1e-9))))


def _root(parent: np.ndarray, k: int) -> int:
    while parent[k] != k:
        k = int(parent[k])
    return k


def _borders(
    labels: np.ndarray, height_map: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    keys, values = [], []
    for here, there in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        a, b = labels[here], labels[there]
        cut = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[cut], b[cut]).astype(np.int64), np.maximum(a[cut], b[cut])
        keys.append(low * (count + 1) + high)
        values.append(np.minimum(height_map[here][cut], height_map[there][cut]))
    key, value = np.concatenate(keys), np.concatenate(values)
    unique, index = np.unique(key, return_inverse=True)
    saddle = np.zeros(len(unique))
    np.maximum.at(saddle, index, value)
    return np.stack([unique // (count + 1), unique % (count + 1)], 1), saddle


def _closed(mask: np.ndarray, radius: float) -> np.ndarray:
    # Through distances: an exact disc whose cost does not grow with the radius.
    pad = int(radius) + 2
    grown = ndi.distance_transform_edt(~np.pad(mask, pad)) <= radius
    return np.asarray((ndi.distance_transform_edt(grown) > radius)[pad:-pad, pad:-pad])


def _pale_centers(mask: np.ndarray, center: np.ndarray, area: float) -> np.ndarray:
    labels, count = ndi.label(~mask)
    out = np.zeros_like(mask)
    if count == 0:
        return out
    size = np.bincount(labels.ravel(), minlength=count + 1)
    size[0] = size.max()
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    candidate = size < _LARGEST_HOLE * area
    candidate[0] = False
    outer = np.zeros(count + 1, bool)
    outer[rim] = True
    windows = ndi.find_objects(labels)
    for k in np.flatnonzero(candidate):
        hole = labels[windows[k - 1]] == k
        if size[k] >= _SMALL_HOLE * area:
            hole = ndi.binary_fill_holes(hole)
            if hole.sum() > _LARGEST_HOLE * area:
                continue
            seen = bool(center[windows[k - 1]][hole].any())
            if not seen and (outer[k] or not _is_round(hole)):
                continue
        elif outer[k]:
            continue
        out[windows[k - 1]] |= hole
    return out


def _is_round(shape: np.ndarray) -> bool:
    """Compare the area with that of the ellipse of the same second moments."""
    y, x = np.nonzero(shape)
    small, large = np.linalg.eigvalsh(np.cov(np.stack([y, x])))
    small = max(float(small), 1e-9)
    return bool(
        len(y) > _ROUNDNESS * 4 * np.pi * np.sqrt(small * large)
        and np.sqrt(small / large) > _SLENDER
    )
