"""Cells drawn from the masks that a journal stores: those people decided about, without finding any anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor
from napari_cellcls.review.fold import State
from napari_cellcls.review.masks import labeled_anchors
from napari_cellcls.review.sheet import Plane
from napari_cellcls.vocabulary import COLUMNS, CellsError

_METHOD = "cells of the project"


def known_cells(
    state: State | None, plane: Plane, shape: tuple[int, int]
) -> tuple[Cells, list[str]]:
    """Return the cells of a plane that people decided about, from their stored masks, and their ids.

    Where masks overlap (several segmentations) the later one is drawn on top.

    Raises
    ------
    CellsError
        ``REVIEW-NOCELLS`` when there are none.
    """
    anchors = {}
    if state is not None:
        anchors = labeled_anchors(state, plane.image_id, plane.scene, plane.t, plane.z)
    found = {cell_id: one for cell_id, one in anchors.items() if fits(one, shape)}
    if not found:
        raise CellsError(
            "No cells of this image are known.",
            code="REVIEW-NOCELLS",
            path=plane.path,
            why="nothing was decided about it in this project, and no cells were found in it.",
            remedy="Open Plugins > Cell Classifier > Classify cells, and find the cells first.",
        )
    labels = np.zeros(shape, np.int32)
    for label, one in enumerate(found.values(), start=1):
        _region(labels, one)[one.pixels()] = label
    return Cells(labels, _table(list(found.values())), _METHOD), list(found)


def layers(anchors: Sequence[Anchor], shape: tuple[int, int]) -> list[tuple[np.ndarray, Cells]]:
    """Return rows and cells so that every cell has its whole mask: overlapping ones in several layers.

    Parameters
    ----------
    anchors : sequence of Anchor
        Of one plane; all must fit into it.
    shape : tuple of int
        ``(y, x)``.

    Returns
    -------
    list of (numpy.ndarray, Cells)
        Rows of ``anchors``, and the cells in that order. One layer where nothing overlaps.
    """
    found, waiting = [], list(range(len(anchors)))
    while waiting:
        labels, drawn, later = np.zeros(shape, np.int32), [], []
        for row in waiting:
            region, mask = _region(labels, anchors[row]), anchors[row].pixels()
            if region[mask].any():
                later.append(row)
                continue
            drawn.append(row)
            region[mask] = len(drawn)
        cells = Cells(labels, _table([anchors[row] for row in drawn]), _METHOD)
        found.append((np.array(drawn), cells))
        waiting = later
    return found


def fits(anchor: Anchor, shape: tuple[int, int]) -> bool:
    """Return whether a cell lies inside a plane of this shape."""
    return anchor.bbox[2] <= shape[0] and anchor.bbox[3] <= shape[1]


def _region(labels: np.ndarray, anchor: Anchor) -> np.ndarray:
    y0, x0, y1, x1 = anchor.bbox
    return labels[y0:y1, x0:x1]


def _table(anchors: Sequence[Anchor]) -> pd.DataFrame:
    rows = [
        (label, one.y, one.x, one.area_px, one.area_um2, *one.bbox, "")
        for label, one in enumerate(anchors, start=1)
    ]
    columns = [
        COLUMNS.label, COLUMNS.y, COLUMNS.x, COLUMNS.area_px, COLUMNS.area_um2, *COLUMNS.bbox,
        COLUMNS.flags,
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table[COLUMNS.area_um2] = table[COLUMNS.area_um2].astype(float)
    return table
