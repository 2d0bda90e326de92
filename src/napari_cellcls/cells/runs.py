"""Measures labels through runs, the stretches of one label in one row: far fewer than pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cellcls.vocabulary import CellsError


@dataclass(frozen=True)
class Runs:
    """Stretches of one label in one row, in reading order: far fewer than pixels.

    ``index`` points into ``ids``, the labels in rising order; ``first`` and ``stop`` are columns.
    """

    ids: np.ndarray
    index: np.ndarray
    row: np.ndarray
    first: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, block: np.ndarray) -> Runs:
        """Return the runs of a label block ``(Y, X)`` in reading order.

        Raises
        ------
        CellsError
            ``CELLS-NEGATIVE`` for a number below 0, or one too large to be a label.
        """
        width = block.shape[1]
        flat = block.ravel()
        new = np.empty(flat.size, bool)
        np.not_equal(flat[1:], flat[:-1], out=new[1:])
        new[::width] = True
        begin = np.flatnonzero(new)
        values = flat[begin]
        if values.dtype.kind == "i" and values.size and values.min() < 0:
            raise CellsError(
                "The label image holds negative numbers.",
                code="CELLS-NEGATIVE",
                why=f"smallest value {values.min()}; a label is 0 (background) or a positive number",
                remedy="Set negative labels to 0 or give these cells positive numbers.",
            )
        length = np.diff(begin, append=flat.size)
        used = values > 0
        begin, length = begin[used], length[used]
        ids, index = _compact(values[used])
        row, first = np.divmod(begin, width)
        return cls(ids, index, row, first, first + length)


@dataclass(frozen=True)
class Sums:
    """Per label: area, sums of the coordinates, and the box ``y0, x0, y1, x1``."""

    ids: np.ndarray
    area: np.ndarray
    sum_y: np.ndarray
    sum_x: np.ndarray
    box: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def measure_runs(runs: Runs, y: int, x: int) -> Sums:
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
    return Sums(
        runs.ids,
        np.bincount(index, length, count).astype(np.int64),
        np.bincount(index, row * length, count),
        np.bincount(index, length * (first + (length - 1) / 2), count),
        (y0, x0, y1, x1),
    )


def combine(measured: list[Sums]) -> Sums:
    """Join the sums of several blocks of one image."""
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
    return Sums(ids, area.astype(np.int64), sum_y, sum_x, (low[0], low[1], high[0], high[1]))


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
