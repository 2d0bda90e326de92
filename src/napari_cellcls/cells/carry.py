"""Carries labeled cells over a new segmentation: who is whom by overlap, and who must be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.cells.runs import Runs
from napari_cellcls.vocabulary import CellsError

_SAME_IOU, _RATIO = 0.5, 2.0
# A part counts as a half of a split or merge when most of it lies in the other mask, and when it
# is no sliver of that.
_MOSTLY, _PART = 0.5, 0.15

ReviewKind = Literal["split", "merge", "moved", "lost"]


@dataclass(frozen=True)
class Candidate:
    """A new cell that an old one may have become: its label and how well the masks agree."""

    label: int
    iou: float


@dataclass(frozen=True)
class ReviewItem:
    """An old cell that a person must look at: why, and what is there now (best first)."""

    kind: ReviewKind
    cell_id: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Carried:
    """What became of labeled cells in a new segmentation.

    Attributes
    ----------
    kept : mapping of str to Candidate
        Old cell id -> the new cell that is it.
    review : tuple of ReviewItem
        All other old cells; their labels stay with their old masks.
    """

    kept: Mapping[str, Candidate]
    review: tuple[ReviewItem, ...]


def carry(old: Sequence[Anchor], new: np.ndarray) -> Carried:
    """Find the old cells in a new segmentation of the same plane.

    A cell is the same when each of the two masks is the other's best match, they share at least half
    of their union, their areas differ at most by a factor of two, the old center lies in the new
    mask, and neither was split or merged. Everything else is for a person to decide.

    Parameters
    ----------
    old : sequence of Anchor
        Their masks may overlap (several annotators).
    new : numpy.ndarray
        ``(Y, X)`` integers, 0 is background.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when an old cell lies outside of ``new``.
    """
    if not old:
        return Carried({}, ())
    pairs = _Overlaps(old, new)
    kept: dict[str, Candidate] = {}
    review = []
    for index, anchor in enumerate(old):
        candidates = pairs.candidates(index)
        kind = pairs.judge(index, anchor, candidates)
        if kind is None:
            kept[anchor.cell_id] = candidates[0]
        else:
            review.append(ReviewItem(kind, anchor.cell_id, candidates))
    return Carried(kept, tuple(review))


class _Overlaps:
    """Shared pixels of old masks and new labels."""

    def __init__(self, old: Sequence[Anchor], new: np.ndarray) -> None:
        _fits(old, new)
        self._new = new
        self._old_area = np.array([anchor.area_px for anchor in old], np.int64)
        index, y, x = _pixels(old)
        hit = np.asarray(new[y, x]).astype(np.int64)
        index, hit = index[hit > 0], hit[hit > 0]
        runs = Runs.of(np.ascontiguousarray(new))
        self._area = dict(
            zip(
                runs.ids.tolist(),
                np.bincount(runs.index, runs.stop - runs.first, len(runs.ids)).astype(int).tolist(),
            )
        )
        both, shared = np.unique(np.stack([index, hit]), axis=1, return_counts=True)
        self._by_old: dict[int, list[tuple[int, int]]] = {}
        self._by_new: dict[int, list[tuple[int, int]]] = {}
        for i, j, n in zip(both[0].tolist(), both[1].tolist(), shared.tolist()):
            self._by_old.setdefault(i, []).append((j, n))
            self._by_new.setdefault(j, []).append((i, n))

    def iou(self, i: int, j: int, shared: int) -> float:
        """Return shared area over united area."""
        return float(shared / (int(self._old_area[i]) + self._area[j] - shared))

    def candidates(self, i: int) -> tuple[Candidate, ...]:
        """Return the new cells that touch an old one, best first."""
        found = [Candidate(j, self.iou(i, j, n)) for j, n in self._by_old.get(i, ())]
        return tuple(sorted(found, key=lambda c: (-c.iou, c.label)))

    def judge(self, i: int, anchor: Anchor, candidates: tuple[Candidate, ...]) -> ReviewKind | None:
        """Return why a person must look, None when the best candidate is the cell."""
        area = int(self._old_area[i])
        touched = self._by_old.get(i, ())
        halves = [j for j, n in touched if n >= _MOSTLY * self._area[j] and n >= _PART * area]
        if len(halves) > 1:
            return "split"
        if not candidates:
            return "lost"
        best = candidates[0]
        others = self._by_new[best.label]
        inside = [
            k
            for k, n in others
            if n >= _MOSTLY * int(self._old_area[k]) and n >= _PART * self._area[best.label]
        ]
        if len(inside) > 1 and i in inside:
            return "merge"
        mutual = (
            i == max(others, key=lambda pair: (self.iou(pair[0], best.label, pair[1]), -pair[0]))[0]
        )
        ratio = self._area[best.label] / area
        if not mutual or best.iou < _SAME_IOU or not 1 / _RATIO <= ratio <= _RATIO:
            return "moved" if best.iou >= _PART else "lost"
        return None if self._is_centered(anchor, best.label) else "moved"

    def _is_centered(self, anchor: Anchor, label: int) -> bool:
        y, x = int(anchor.y + 0.5), int(anchor.x + 0.5)
        if int(self._new[y, x]) == label:
            return True
        # The center of a crescent lies outside of it; then it says nothing.
        y0, x0 = anchor.bbox[:2]
        return not bool(anchor.pixels()[y - y0, x - x0])


def _fits(old: Sequence[Anchor], new: np.ndarray) -> None:
    height, width = (int(n) for n in new.shape)
    bottom = max(anchor.bbox[2] for anchor in old)
    right = max(anchor.bbox[3] for anchor in old)
    if bottom > height or right > width:
        raise CellsError(
            "The new label image is smaller than the one the labels were made on.",
            code="CELLS-SIZE",
            why=f"it is {height} x {width} (Y, X), but cells reach to {bottom}, {right}",
            remedy="Choose labels of the same plane at the same size.",
        )


def _pixels(old: Sequence[Anchor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels of all masks: index of the anchor, y, x."""
    index, at_y, at_x = [], [], []
    for i, anchor in enumerate(old):
        y, x = np.nonzero(anchor.pixels())
        index.append(np.full(len(y), i, np.int64))
        at_y.append(y + anchor.bbox[0])
        at_x.append(x + anchor.bbox[1])
    return np.concatenate(index), np.concatenate(at_y), np.concatenate(at_x)
