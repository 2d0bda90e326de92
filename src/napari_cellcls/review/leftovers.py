"""Labels of an older segmentation that no single cell of the present one can take: what became of each.

Nothing is stored about them: they follow from the masks in the journal, so the list is the same after a
restart and for everybody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.carry import ReviewItem, ReviewKind
from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor
from napari_cellcls.review.fold import State
from napari_cellcls.review.masks import labeled_anchors, what_became
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.vocabulary import Progress, Task

# The smallest overlap that a half of a split can have; less is a neighbor that touches.
_HALF_IOU = 0.13


@dataclass(frozen=True)
class Leftover:
    """One labeled cell of an older segmentation.

    Attributes
    ----------
    kind : {"split", "merge", "moved", "lost"}
    cell_id : str
        As the journal knows it.
    label : int
        Its number in the older segmentation.
    box : tuple of int
        ``y0, x0, y1, x1`` of its mask, half-open.
    rows : tuple of int
        Cells of the present segmentation that are there now, best first; none when it is lost.
    iou : float
        How well the best of them agrees, 0..1.
    """

    kind: ReviewKind
    cell_id: str
    label: int
    box: tuple[int, int, int, int]
    rows: tuple[int, ...]
    iou: float


@dataclass(frozen=True)
class Leftovers:
    """What became of labels on other segmentations of a plane.

    Attributes
    ----------
    keepable : int
        Cells that are here too and keep their labels when asked.
    items : tuple of Leftover
        All others, from top to bottom of the image.
    """

    keepable: int = 0
    items: tuple[Leftover, ...] = ()


def find_leftovers(
    state: State, cells: Cells, plane: Plane, strangers: Collection[str]
) -> Task[Leftovers]:
    """Say what became of labels on other segmentations.

    Parameters
    ----------
    state : State
    cells : Cells
        The present segmentation.
    plane : Plane
    strangers : collection of str
        Cells of the plane with labels that are not among ``cells`` (:meth:`Sheet.link`).

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when a labeled cell lies outside of the image.
    """
    yield Progress(0, 1, "Looking up labels of other segmentations")
    old = labeled_anchors(state, plane.image_id, plane.scene, plane.t, plane.z)
    result = what_became(old, cells)
    found = [
        _leftover(item, old[item.cell_id], cells.ids)
        for item in result.review
        if item.cell_id in strangers
    ]
    found.sort(key=lambda item: (item.box, item.cell_id))
    return Leftovers(sum(cell_id in strangers for cell_id in result.kept), tuple(found))


def is_done(item: Leftover, state: State, sheet: Sheet) -> bool:
    """Return whether a person decided about all cells that are there now, or set the entry aside."""
    if state.is_set_aside(item.cell_id):
        return True
    known = [sheet.known_id(row) for row in item.rows]
    return bool(known) and all(one is not None and state.is_decided_here(one) for one in known)


def _leftover(item: ReviewItem, anchor: Anchor, ids: np.ndarray) -> Leftover:
    candidates = item.candidates
    best = candidates[0].iou if candidates else 0.0
    if item.kind == "split":
        candidates = tuple(one for one in candidates if one.iou >= _HALF_IOU)
    else:
        candidates = () if item.kind == "lost" else candidates[:1]
    rows = np.searchsorted(ids, [one.label for one in candidates]).astype(int)
    return Leftover(item.kind, item.cell_id, anchor.label, anchor.bbox, tuple(rows.tolist()), best)
