"""Finds labels that are not one connected piece, in one block or across the seams of many."""

from __future__ import annotations

import numpy as np

from napari_cellcls.cells.runs import Runs


def scattered(runs: Runs, width: int) -> np.ndarray:
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
    piece = connected(len(low), above[inside], below[inside])
    mine = np.flatnonzero(doubtful[runs.index])
    first = mine[np.unique(piece[mine], return_index=True)[1]]
    return runs.ids[np.bincount(runs.index[first], minlength=len(runs.ids)) > 1]


def connected(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
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


def pieces(block: np.ndarray) -> np.ndarray:
    """Return the connected pieces (8-connected) of a label block, numbered from 1."""
    from skimage.measure import label

    if block.dtype.itemsize == 8 and block.size and block.max() > np.iinfo(np.int32).max:
        block = np.unique(block, return_inverse=True)[1].reshape(block.shape)
    return label(block, connectivity=2, background=0)  # type: ignore[no-any-return]


class Parts:
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
            root = connected(len(owner), links[:, 0], links[:, 1])
        first = np.unique(root[1:], return_index=True)[1] + 1
        ids, counts = np.unique(owner[first], return_counts=True)
        return ids[counts > 1]
