"""The scale of cells: how wide they are, and the way back from working to image pixels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi


def typical_diameter(mask: np.ndarray) -> float:
    """Estimate the diameter of round cells or nuclei from a foreground mask, in its pixels.

    Free-standing round objects are measured directly; in crowded fields the deepest points of
    the foreground stand in (they lie 9 % short: pairs and pale cells pull them down).
    """
    from skimage.measure import regionprops_table

    mask = ndi.binary_opening(ndi.binary_fill_holes(mask), iterations=2)
    labels, count = ndi.label(mask)
    if count == 0:
        return 0.0
    table = regionprops_table(labels, properties=("area", "solidity", "bbox", "eccentricity"))
    free = (table["bbox-0"] > 0) & (table["bbox-1"] > 0)
    free &= (table["bbox-2"] < mask.shape[0]) & (table["bbox-3"] < mask.shape[1])
    free &= (table["solidity"] > 0.93) & (table["eccentricity"] < 0.85) & (table["area"] > 60)
    if free.sum() >= 6:
        wide = np.sqrt(4 * table["area"][free] / np.pi)
        return _weighted_median(wide, wide**2)
    depth = ndi.distance_transform_edt(mask)
    peaks = depth[(depth == ndi.maximum_filter(depth, 15)) & (depth > 3)] * 2
    return 1.09 * _weighted_median(peaks, peaks**2) if len(peaks) else 0.0


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def enlarge(labels: np.ndarray, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Bring labels back to full resolution, with an outline interpolated between working pixels."""
    if step == 1:
        return labels
    rows, columns = (_interpolation(n, m, step) for n, m in zip(shape, labels.shape))
    soft = rows @ ndi.gaussian_filter((labels > 0).astype(np.float32), 0.5) @ columns.T
    index = ndi.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    near = labels[tuple(index)]
    y, x = (np.minimum(np.arange(n) // step, m - 1) for n, m in zip(shape, labels.shape))
    return np.where(soft > 0.5, near[y[:, None], x[None]], 0)


def _interpolation(size: int, coarse: int, step: int) -> np.ndarray:
    place = np.clip((np.arange(size) + 0.5) / step - 0.5, 0, coarse - 1)
    low = np.minimum(place.astype(int), max(coarse - 2, 0))
    weights = np.zeros((size, coarse), np.float32)
    weights[np.arange(size), low] = 1 - (place - low)
    weights[np.arange(size), np.minimum(low + 1, coarse - 1)] += place - low
    return weights
