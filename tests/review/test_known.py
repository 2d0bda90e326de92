"""Cells drawn from stored masks: overlapping ones keep their whole mask, each in a layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.review.known import fits, known_cells, layers
from napari_cellcls.review.masks import place
from napari_cellcls.review.sheet import Plane
from napari_cellcls.vocabulary import CellsError
from tests.review.make import new_journal


def squares(*corners: tuple[int, int]) -> np.ndarray:
    labels = np.zeros((40, 60), np.int32)
    for label, (y, x) in enumerate(corners, start=1):
        labels[y : y + 10, x : x + 10] = label
    return labels


def places_of(labels: np.ndarray, image_id: str = "i" * 32) -> list:
    cells = cells_from_labels(labels, None, "test", labels.shape)
    return anchors(cells, image_id)


def test_overlapping_cells_keep_their_whole_mask() -> None:
    first, second = places_of(squares((2, 2), (20, 30))), places_of(squares((6, 6), (25, 2)))
    every = [*first, *second]
    found = layers(every, (40, 60))
    assert [rows.tolist() for rows, _ in found] == [[0, 1, 3], [2]]
    for rows, cells in found:
        again = anchors(cells, "i" * 32)
        assert [one.cell_id for one in again] == [every[row].cell_id for row in rows]
    assert layers([], (40, 60)) == []


def test_a_cell_outside_the_plane_is_not_drawn(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "p", "ana")
    journal.add_class("RBC")
    inside, outside = places_of(squares((2, 2), (25, 45)))
    for one in place(journal, [inside, outside]):
        journal.label(one, "rbc")
    assert fits(inside, (20, 20)) and not fits(outside, (20, 20))
    cells, ids = known_cells(journal.state, Plane("i" * 32), (20, 20))
    assert ids == [inside.cell_id] and len(cells) == 1
    with pytest.raises(CellsError, match="No cells of this image"):
        known_cells(journal.state, Plane("i" * 32, t=1), (20, 20))
    journal.close()
