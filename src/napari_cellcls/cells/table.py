"""Measures a label image: one table row per cell, without a loop over cells.

Accepts whatever label image people have: any integer width, gaps in the numbering, booleans,
whole numbers stored as floats, tiles larger than memory. Refuses, with a coded error, what
cannot be a label image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.cells import Cells
from napari_cellcls.vocabulary import COLUMNS, CellsError

if TYPE_CHECKING:
    import dask.array as da

_BLOCK = 2048


def cells_from_labels(
    labels: da.Array | np.ndarray,
    pixel_size_um: tuple[float, float] | None = None,
    method: str = "labels",
    image_shape: tuple[int, int] | None = None,
) -> Cells:
    """Turn a label image into cells.

    Parameters
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)``; 0 is background. Signed, unsigned, bool, or floats that are whole numbers.
        A boolean mask is split into its connected parts.
    pixel_size_um : tuple of float, optional
        ``(y, x)`` micrometers per pixel.
    method : str
        How the labels were made, in words.
    image_shape : tuple of int, optional
        ``(Y, X)`` the labels must have.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` (not 2D, or not the size of the image), ``CELLS-FLOAT`` (values that are
        not whole numbers), ``CELLS-NEGATIVE``, ``CELLS-EMPTY`` (nothing but background).
    """
    labels = _plane(labels)
    if image_shape is not None and tuple(labels.shape) != tuple(image_shape):
        raise CellsError(
            "The label image does not have the size of the image.",
            code="CELLS-SIZE",
            why=f"labels are {tuple(labels.shape)} (Y, X), the image is {tuple(image_shape)}",
            remedy="Choose the labels made from this image, or resample them to its size.",
        )
    labels, notes = _as_integers(labels)
    table = measure(labels, pixel_size_um)
    if len(table) == 0:
        raise CellsError(
            "The label image holds no cells.",
            code="CELLS-EMPTY",
            why=f"all {labels.shape[0]} x {labels.shape[1]} pixels are 0 (background)",
            remedy="Choose another label image, or let the plugin find the cells.",
        )
    split = int((table[COLUMNS.flags] == "parts").sum())
    if split:
        notes = (*notes, f"{split} of {len(table)} labels consist of several separate parts")
    return Cells(labels, table, method, None, notes)


def measure(
    labels: da.Array | np.ndarray, pixel_size_um: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Measure every cell of an integer label image.

    Parameters
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)`` integers or bool, 0 is background. Dask arrays are read block by block.
    pixel_size_um : tuple of float, optional
        ``(y, x)`` micrometers per pixel.

    Returns
    -------
    pandas.DataFrame
        Sorted by ``label``; columns as described in :class:`~napari_cellcls.cells.cells.Cells`.
        ``flags`` is ``parts`` where a label is not one connected piece.
    """
    height, width = (int(n) for n in labels.shape)
    measured: list[_Sums] = []
    parts = _Parts()
    several = np.zeros(0, np.int64)
    for y, x, block in blocks(labels):
        runs = _Runs.of(block)
        measured.append(_measure_runs(runs, y, x))
        if block.shape == labels.shape:
            several = _scattered(runs, block.shape[1])
        else:
            parts.add(y, x, block, _pieces(block))
    whole = _combine(measured)
    if len(measured) != 1:
        several = parts.several()
    ids, area = whole.ids, whole.area
    y0, x0, y1, x1 = whole.box
    c = COLUMNS
    return pd.DataFrame(
        {
            c.label: ids,
            c.y: whole.sum_y / np.maximum(area, 1),
            c.x: whole.sum_x / np.maximum(area, 1),
            c.area_px: area,
            c.area_um2: area * pixel_size_um[0] * pixel_size_um[1] if pixel_size_um else np.nan,
            **dict(zip(c.bbox, whole.box)),
            c.border: (y0 == 0) | (x0 == 0) | (y1 == height) | (x1 == width),
            c.flags: np.where(np.isin(ids, several), "parts", "").astype(object),
        }
    )


def blocks(
    labels: da.Array | np.ndarray, size: int = _BLOCK
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield ``(y, x, block)`` over an array, at most about ``size`` pixels square at once.

    A dask array is cut along its own chunks, so that no chunk is read twice.
    """
    if isinstance(labels, np.ndarray):
        yield 0, 0, labels
        return
    starts = []
    for chunk in labels.chunks:
        edges, begin, total = [0], 0, 0
        for length in chunk:
            if total > begin and total + length - begin > size:
                edges.append(total)
                begin = total
            total += length
        starts.append([*edges, total])
    for y0, y1 in zip(starts[0], starts[0][1:]):
        for x0, x1 in zip(starts[1], starts[1][1:]):
            yield y0, x0, np.asarray(labels[y0:y1, x0:x1])


def _plane(labels: Any) -> da.Array | np.ndarray:
    if not hasattr(labels, "dask"):
        labels = np.asarray(labels)
    while labels.ndim > 2 and 1 in labels.shape:
        labels = labels.squeeze(axis=labels.shape.index(1))
    if labels.ndim != 2 or 0 in labels.shape:
        raise CellsError(
            "A label image must be one plane of pixels.",
            code="CELLS-SIZE",
            why=f"received an array of shape {tuple(labels.shape)}",
            remedy="Choose one time point and one depth of the labels.",
        )
    return labels  # type: ignore[no-any-return]


def _as_integers(labels: da.Array | np.ndarray) -> tuple[da.Array | np.ndarray, tuple[str, ...]]:
    kind = labels.dtype.kind
    if kind == "b":
        from skimage.measure import label

        whole = label(np.asarray(labels), connectivity=1).astype(np.int32)
        return whole, ("the mask was split into its connected parts, one cell each",)
    if kind == "f":
        _refuse_fractions(labels)
        _refuse_negative(labels)
        return labels.astype(np.int64), ("the labels were stored as floats; all are whole numbers",)
    if kind not in "iu":
        raise CellsError(
            "The label image does not hold whole numbers.",
            code="CELLS-FLOAT",
            why=f"its data type is {labels.dtype}",
            remedy="Save the labels as integers.",
        )
    if kind == "i":
        _refuse_negative(labels)
    return labels, ()


def _refuse_fractions(labels: da.Array | np.ndarray) -> None:
    for y, x, block in blocks(labels):
        with np.errstate(invalid="ignore"):
            bad = ~(np.floor(block) == block) | (np.abs(block) >= 2**53)
        if bad.any():
            at = tuple(int(k[0]) for k in np.nonzero(bad))
            raise CellsError(
                "The label image holds numbers that are not whole.",
                code="CELLS-FLOAT",
                why=f"value {block[at]} at (y, x) = ({y + at[0]}, {x + at[1]}), type {labels.dtype}",
                remedy="Choose the label image, not a probability map or the photograph itself.",
            )


def _refuse_negative(labels: da.Array | np.ndarray) -> None:
    for _, _, block in blocks(labels):
        if block.size and block.min() < 0:
            raise CellsError(
                "The label image holds negative numbers.",
                code="CELLS-NEGATIVE",
                why=f"smallest value {block.min()}; a label is 0 (background) or a positive number",
                remedy="Set negative labels to 0 or give these cells positive numbers.",
            )


@dataclass(frozen=True)
class _Runs:
    """Stretches of one label in one row, in reading order: far fewer than pixels.

    ``index`` points into ``ids``, the labels in rising order; ``first`` and ``stop`` are columns.
    """

    ids: np.ndarray
    index: np.ndarray
    row: np.ndarray
    first: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, block: np.ndarray) -> _Runs:
        width = block.shape[1]
        flat = block.ravel()
        new = np.empty(flat.size, bool)
        np.not_equal(flat[1:], flat[:-1], out=new[1:])
        new[::width] = True
        begin = np.flatnonzero(new)
        values = flat[begin]
        length = np.diff(begin, append=flat.size)
        used = values > 0
        begin, length = begin[used], length[used]
        ids, index = _compact(values[used])
        row, first = np.divmod(begin, width)
        return cls(ids, index, row, first, first + length)


@dataclass(frozen=True)
class _Sums:
    """Per label: area, sums of the coordinates, and the box ``y0, x0, y1, x1``."""

    ids: np.ndarray
    area: np.ndarray
    sum_y: np.ndarray
    sum_x: np.ndarray
    box: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _measure_runs(runs: _Runs, y: int, x: int) -> _Sums:
    """Measure the labels of a block that starts at ``(y, x)`` of the whole image."""
    index, count = runs.index, len(runs.ids)
    row, first, stop = runs.row + y, runs.first + x, runs.stop + x
    length = stop - first
    y0, y1, x1 = np.zeros((3, count), np.int64)
    # Runs are in reading order: the first of a label is its highest, the last its lowest.
    y0[index[::-1]] = row[::-1]
    y1[index] = row + 1
    x0 = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(x0, index, first)
    np.maximum.at(x1, index, stop)
    return _Sums(
        runs.ids,
        np.bincount(index, length, count).astype(np.int64),
        np.bincount(index, row * length, count),
        np.bincount(index, length * (first + (length - 1) / 2), count),
        (y0, x0, y1, x1),
    )


def _scattered(runs: _Runs, width: int) -> np.ndarray:
    """Return the labels that are not one connected piece (8-connected) of a whole image."""
    # Rows are laid one after another with a gap, so that all are searched at once.
    line = (runs.row + 1) * (width + 1)
    begin, end = runs.row * (width + 1) + runs.first, runs.row * (width + 1) + runs.stop
    low = np.searchsorted(end, line + runs.first)
    high = np.searchsorted(begin, line + runs.stop, side="right")
    amount = np.maximum(high - low, 0)
    above = np.repeat(np.arange(len(low)), amount)
    below = np.arange(len(above)) + np.repeat(low - (np.cumsum(amount) - amount), amount)
    same = runs.index[above] == runs.index[below]
    above, below = above[same], below[same]
    # Every piece starts with a run that has nothing above it; one such run is one piece.
    starts = np.ones(len(low), bool)
    starts[below] = False
    doubtful = np.bincount(runs.index[starts], minlength=len(runs.ids)) > 1
    if not doubtful.any():
        return runs.ids[:0]
    inside = doubtful[runs.index[above]]
    piece = _connected(len(low), above[inside], below[inside])
    mine = np.flatnonzero(doubtful[runs.index])
    first = mine[np.unique(piece[mine], return_index=True)[1]]
    return runs.ids[np.bincount(runs.index[first], minlength=len(runs.ids)) > 1]


def _connected(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the smallest member of the connected component of each of ``count`` things."""
    # SciPy has this too, but its import alone costs a third of a second of the first prediction.
    root = np.arange(count)
    while len(one):
        low = np.minimum(root[one], root[other])
        np.minimum.at(root, root[one], low)
        np.minimum.at(root, root[other], low)
        shorter = root[root]
        while not np.array_equal(shorter, root):
            root, shorter = shorter, shorter[shorter]
        apart = root[one] != root[other]
        one, other = one[apart], other[apart]
    return root


def _compact(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.size and int(values.max()) < 4 * values.size + 1000:
        used = np.bincount(values.astype(np.int64, copy=False)) > 0
        return np.flatnonzero(used), (np.cumsum(used) - 1)[values]
    ids, index = np.unique(values, return_inverse=True)
    if ids.size and int(ids[-1]) > np.iinfo(np.int64).max:
        raise CellsError(
            "The label image holds numbers too large to be labels.",
            code="CELLS-NEGATIVE",
            why=f"largest value {ids[-1]}",
            remedy="Renumber the labels from 1.",
        )
    return ids.astype(np.int64), index


def _combine(measured: list[_Sums]) -> _Sums:
    if len(measured) == 1:
        return measured[0]
    ids, index = np.unique(np.concatenate([m.ids for m in measured]), return_inverse=True)
    area, sum_y, sum_x = (
        np.bincount(index, np.concatenate(values), len(ids))
        for values in zip(*((m.area, m.sum_y, m.sum_x) for m in measured))
    )
    box = [np.concatenate(edges) for edges in zip(*(m.box for m in measured))]
    low, high = np.full((2, len(ids)), np.iinfo(np.int64).max), np.zeros((2, len(ids)), np.int64)
    for k in range(2):
        np.minimum.at(low[k], index, box[k])
        np.maximum.at(high[k], index, box[k + 2])
    return _Sums(ids, area.astype(np.int64), sum_y, sum_x, (low[0], low[1], high[0], high[1]))


def _pieces(block: np.ndarray) -> np.ndarray:
    from skimage.measure import label

    if block.dtype.itemsize == 8 and block.size and block.max() > np.iinfo(np.int32).max:
        block = np.unique(block, return_inverse=True)[1].reshape(block.shape)
    return label(block, connectivity=2, background=0)  # type: ignore[no-any-return]


class _Parts:
    """Counts connected pieces per label across blocks, joining pieces that touch over a seam."""

    def __init__(self) -> None:
        self._owner: list[np.ndarray] = [np.zeros(1, np.int64)]
        self._count = 0
        self._links: list[np.ndarray] = []
        self._below: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
        self._right: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}

    def add(self, y: int, x: int, block: np.ndarray, pieces: np.ndarray) -> None:
        """Register the pieces of a block and link them with the blocks above and to the left."""
        amount = int(pieces.max()) if pieces.size else 0
        owner = np.zeros(amount + 1, np.int64)
        owner[pieces.ravel()] = block.ravel()
        self._owner.append(owner[1:])
        number = np.where(pieces > 0, pieces + self._count, 0)
        self._count += amount
        self._seam(self._below.get(y, []), x, block[0], number[0])
        self._seam(self._right.get(x, []), y, block[:, 0], number[:, 0])
        bottom, side = y + block.shape[0], x + block.shape[1]
        self._below.setdefault(bottom, []).append((x, block[-1].copy(), number[-1].copy()))
        self._right.setdefault(side, []).append((y, block[:, -1].copy(), number[:, -1].copy()))

    def _seam(
        self,
        lines: list[tuple[int, np.ndarray, np.ndarray]],
        start: int,
        ids: np.ndarray,
        number: np.ndarray,
    ) -> None:
        for begin, other_ids, other_number in lines:
            for shift in (-1, 0, 1):
                low = max(start, begin + shift)
                high = min(start + len(ids), begin + shift + len(other_ids))
                if low >= high:
                    continue
                here, there = (
                    slice(low - start, high - start),
                    slice(low - begin - shift, high - begin - shift),
                )
                same = (ids[here] == other_ids[there]) & (ids[here] > 0)
                if same.any():
                    self._links.append(np.stack([number[here][same], other_number[there][same]], 1))

    def several(self) -> np.ndarray:
        """Return the labels that consist of more than one piece."""
        owner = np.concatenate(self._owner)
        root = np.arange(len(owner))
        if self._links:
            links = np.concatenate(self._links)
            root = _connected(len(owner), links[:, 0], links[:, 1])
        first = np.unique(root[1:], return_index=True)[1] + 1
        ids, counts = np.unique(owner[first], return_counts=True)
        return ids[counts > 1]
