"""Describes cells by measured numbers: shape in physical units, and intensity over the background.

What a quick head learns from beside the embedding of a network: size and form, which crops of one
edge length lose, and amounts of stain, which normalization loses: values over the background, see
:mod:`napari_cellcls.cells.scaling`. Large images are read window by window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.crops import need_same_size
from napari_cellcls.cells.scaling import over_background
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import COLUMNS

SHAPE = (
    "log_area", "log_box_height", "log_box_width", "extent", "log_major_axis", "log_minor_axis",
    "eccentricity", "solidity", "circularity", "log_perimeter",
)  # fmt: skip
"""Lengths in micrometers, or pixels where the image has no pixel size; natural logarithms."""
PER_PLANE = ("mean", "sd", "p10", "p50", "p90", "center_minus_rim", "gradient")
_WINDOW = 1024
_PERCENTILES = (0.1, 0.5, 0.9)
_CENTER = 0.5
_TINY = 1e-6


@dataclass(frozen=True)
class Described:
    """Numbers of each cell.

    Attributes
    ----------
    values : numpy.ndarray
        ``(N, F)`` float32, in the order of the cell table.
    names : tuple of str
        ``F`` names; those of intensities begin with the channel.
    """

    values: np.ndarray
    names: tuple[str, ...]


def size_of(planes: int) -> int:
    """Return how many numbers a cell has with so many planes."""
    return len(SHAPE) + planes * len(PER_PLANE)


def describe(
    image: Image, cells: Cells, indices: tuple[int | None, ...] | None = None
) -> Described:
    """Measure every cell of an image.

    Parameters
    ----------
    image : Image
        ``(C, Y, X)``.
    cells : Cells
        Found in it; labels ``(Y, X)``.
    indices : tuple of int or None, optional
        Channels to measure, in this order, all by default; None stands for a plane that is not
        there and reads 0.

    Returns
    -------
    Described
        10 numbers of shape, then 7 per plane.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when labels and image differ in size.
    """
    chosen = tuple(range(len(image.channels))) if indices is None else indices
    planes = ("absent" if k is None else image.channels[k].name for k in chosen)
    names = SHAPE + tuple(f"{plane}_{name}" for plane in planes for name in PER_PLANE)
    out = np.zeros((len(cells), len(names)), np.float32)
    for rows, values in iter_described(image, cells, chosen):
        out[rows] = values
    return Described(out, names)


def iter_described(
    image: Image, cells: Cells, indices: tuple[int | None, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the numbers of cells near each other: rows ``(n,)`` and values ``(n, F)``, every row once."""
    need_same_size(image, cells)
    scale = image.pixel_size_um or (1.0, 1.0)
    boxes = cells.table[list(COLUMNS.bbox)].to_numpy(np.int64)
    read = over_background(image, indices) if len(boxes) else None
    for rows in _windows(boxes):
        assert read is not None
        # One pixel more, so that a slope at the edge of a cell is that of the whole image.
        y0, x0 = (int(v) for v in np.maximum(boxes[rows, :2].min(axis=0) - 1, 0))
        y1, x1 = (int(v) for v in np.minimum(boxes[rows, 2:].max(axis=0) + 1, image.shape))
        region = (slice(y0, y1), slice(x0, x1))
        local = boxes[rows] - (y0, x0, y0, x0)
        pixels = _Pixels.of(np.asarray(cells.labels[region]), cells.ids[rows], local)
        yield rows, np.hstack([_shape(pixels, local, scale), _intensity(pixels, read(region))])


def _windows(boxes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of cells near each other, every row once."""
    if len(boxes) == 0:
        return
    tile = (boxes[:, :2] + boxes[:, 2:]) // 2 // _WINDOW
    order = np.lexsort((tile[:, 1], tile[:, 0]))
    new = (np.diff(tile[order], axis=0) != 0).any(axis=1)
    yield from np.split(order, np.flatnonzero(new) + 1)


@dataclass(frozen=True)
class _Pixels:
    """The pixels of some cells, cell by cell, and the outline of each.

    ``y, x`` ``(P,)`` are their places in the window, ``begin`` ``(N,)`` is the first pixel of each
    cell, ``depth`` ``(P,)`` the distance to the outside in parts of the largest one of the cell,
    ``outline`` has the traced border of each cell's parts as ``(n, 2)`` x, y.
    """

    y: np.ndarray
    x: np.ndarray
    begin: np.ndarray
    depth: np.ndarray
    outline: list[list[np.ndarray]]

    @classmethod
    def of(cls, labels: np.ndarray, ids: np.ndarray, boxes: np.ndarray) -> _Pixels:
        import cv2

        ys, xs, depths, outlines, counts = [], [], [], [], []
        for label, (y0, x0, y1, x1) in zip(ids, boxes):
            mask = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
            np.equal(labels[y0:y1, x0:x1], label, out=mask[1:-1, 1:-1].view(bool))
            y, x = np.nonzero(mask)
            depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[y, x]
            found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            ys.append(y + (y0 - 1))
            xs.append(x + (x0 - 1))
            depths.append(depth / depth.max())
            outlines.append([part[:, 0].astype(np.float32) for part in found])
            counts.append(len(y))
        begin = np.cumsum([0, *counts[:-1]])
        y, x = np.concatenate(ys), np.concatenate(xs)
        return cls(y, x, begin, np.concatenate(depths), outlines)

    @property
    def counts(self) -> np.ndarray:
        """Return the pixels of each cell, ``(N,)``."""
        return np.diff(self.begin, append=len(self.y))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over each cell: ``(..., P)`` to ``(..., N)``."""
        sums = np.add.reduceat(values, self.begin, axis=-1, dtype=np.float64)
        return np.asarray(sums / self.counts)

    def quantiles(self, values: np.ndarray) -> list[np.ndarray]:
        """Return quantiles over each cell of ``(P,)`` values: ``(N,)`` each."""
        ranked = np.concatenate([np.sort(part) for part in np.split(values, self.begin[1:])])
        found = []
        for share in _PERCENTILES:
            at = self.begin + share * (self.counts - 1)
            low = at.astype(np.int64)
            high = np.minimum(low + 1, self.begin + self.counts - 1)
            found.append(ranked[low] + (at - low) * (ranked[high] - ranked[low]))
        return found


def _shape(pixels: _Pixels, boxes: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Return the numbers :data:`SHAPE`, ``(N, 10)``."""
    sy, sx = scale
    area = pixels.counts * sy * sx
    height, width = (boxes[:, 2] - boxes[:, 0]) * sy, (boxes[:, 3] - boxes[:, 1]) * sx
    y, x = (pixels.y - boxes[0, 0]) * sy, (pixels.x - boxes[0, 1]) * sx
    my, mx = pixels.mean(y), pixels.mean(x)
    # A pixel is a square, not a point: its own second moment is a twelfth of its edge squared.
    yy = pixels.mean(y * y) - my**2 + sy**2 / 12
    xx = pixels.mean(x * x) - mx**2 + sx**2 / 12
    xy = pixels.mean(x * y) - my * mx
    half, root = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    major = 4 * np.sqrt(half + root)
    minor = np.minimum(4 * np.sqrt(np.maximum(half - root, _TINY)), major)
    hull, length = np.transpose([_outline(parts, scale) for parts in pixels.outline])
    return np.stack(
        [
            np.log(area), np.log(height), np.log(width), area / (height * width), np.log(major),
            np.log(minor), np.sqrt(1 - (minor / major) ** 2), area / np.maximum(hull, area),
            4 * np.pi * area / length**2, np.log(length),
        ],
        axis=1,
    )  # fmt: skip


def _outline(parts: list[np.ndarray], scale: tuple[float, float]) -> tuple[float, float]:
    """Return the area of the convex hull around whole pixels, and the length of the outline."""
    import cv2

    sy, sx = scale
    edge, points = np.array([sx, sy], np.float32), np.concatenate(parts)
    corners = np.concatenate(
        [points + np.array([a, b], np.float32) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]
    )
    hull = float(cv2.contourArea(cv2.convexHull(corners))) * sy * sx
    length = sum(float(cv2.arcLength(part * edge, True)) for part in parts)
    # The traced line runs through the centers of the border pixels, half a pixel inside.
    return hull, length + float(np.pi * np.sqrt(sy * sx))


def _intensity(pixels: _Pixels, planes: np.ndarray) -> np.ndarray:
    """Return the numbers :data:`PER_PLANE` of each plane ``(C, y, x)``, ``(N, 7 * C)``."""
    center = pixels.depth >= _CENTER
    share = pixels.mean(center)
    columns = []
    for plane in planes:
        values = plane[pixels.y, pixels.x]
        mean = pixels.mean(values)
        inner = pixels.mean(np.where(center, values, 0))
        outer = np.where(share < 1, (mean - inner) / np.maximum(1 - share, _TINY), inner / share)
        spread = np.sqrt(np.maximum(pixels.mean(values.astype(np.float64) ** 2) - mean**2, 0))
        slope = pixels.mean(_steepness(plane)[pixels.y, pixels.x])
        columns += [mean, spread, *pixels.quantiles(values), inner / share - outer, slope]
    return np.stack(columns, axis=1)


def _steepness(plane: np.ndarray) -> np.ndarray:
    parts = [np.gradient(plane, axis=k) for k in (0, 1) if plane.shape[k] > 1]
    return np.asarray(np.sqrt(sum((part**2 for part in parts), np.zeros_like(plane))))
