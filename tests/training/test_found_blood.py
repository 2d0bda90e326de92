"""Found cells and annotated boxes: which box a cell belongs to, and what is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cellcls.vocabulary import COLUMNS
from tests.learn import sets
from training import found_blood

CLASSES = ["RBC", "WBC", "Platelets"]


def cells(*boxes: tuple[int, int, int, int]) -> pd.DataFrame:
    """Return a cell table of frames ``y0, x0, y1, x1`` with the centers in their middle."""
    table = pd.DataFrame(np.array(boxes), columns=list(COLUMNS.bbox))
    table[COLUMNS.y] = [(b[0] + b[2]) / 2 for b in boxes]
    table[COLUMNS.x] = [(b[1] + b[3]) / 2 for b in boxes]
    return table


def test_a_cell_has_the_class_of_the_best_box_around_its_center() -> None:
    boxes = np.array([[0, 0, 0, 40, 40], [2, 10, 10, 20, 20], [1, 100, 100, 160, 160]], float)
    table = cells((0, 0, 40, 40), (11, 11, 19, 19), (200, 200, 220, 220), (100, 130, 160, 190))
    truth, overlap = found_blood.matched(table, boxes)
    assert truth.tolist() == [0, 2, -1, 1]
    assert overlap.tolist() == pytest.approx([1.0, 0.64, 0.0, 1 / 3])


def test_numbers_leave_cells_without_a_box_aside() -> None:
    truth = np.array([0, 0, 1, 2, -1, -1, 0, 1])
    said = np.array([0, 0, 1, 0, 2, 2, 0, 1])
    found = found_blood.Found(
        logits=np.eye(3)[said] * 5,
        truth=truth,
        overlap=np.array([1, 0.4, 1, 1, 0, 0, 0.9, 0.9]),
        photograph=np.array(list("aabbabab")),
        fold=np.array([0, 0, 1, 1, 0, 1, 0, 1]),
    )
    got = found_blood.numbers(found, CLASSES)
    assert (got["found"]["n"], got["well_cut"]["n"]) == (6, 5)
    assert got["found"]["accuracy"] == pytest.approx(5 / 6, abs=1e-5)
    assert {name: row["sensitivity"] for name, row in got["found"]["classes"].items()} == {
        "RBC": 1.0, "WBC": 1.0, "Platelets": 0.0,
    }  # fmt: skip
    assert got["without_a_box"] == {"RBC": 0, "WBC": 0, "Platelets": 2}


def test_boxes_are_read_with_their_classes(tmp_path: Path) -> None:
    boxes, files = found_blood.annotated(sets.write_boxes(tmp_path), CLASSES)
    assert sorted(boxes) == sorted(files) and all(path.is_file() for path in files.values())
    assert all(rows.shape[1] == 5 and set(rows[:, 0]) <= {0, 1, 2} for rows in boxes.values())
    with pytest.raises(SystemExit, match="no photographs with boxes"):
        found_blood.annotated(tmp_path / "images", CLASSES)
