from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.cells.table import cells_from_labels, measure
from napari_cellcls.vocabulary import CellsError


def two_cells() -> np.ndarray:
    labels = np.zeros((20, 30), np.uint16)
    labels[2:6, 3:9] = 7
    labels[10:20, 20:30] = 9000
    return labels


def test_measures_area_center_box_and_border() -> None:
    table = measure(two_cells(), (0.5, 0.2))
    assert table["label"].tolist() == [7, 9000]
    assert table["area_px"].tolist() == [24, 100]
    assert table["area_um2"].tolist() == pytest.approx([2.4, 10.0])
    assert table.loc[0, ["y", "x"]].tolist() == [3.5, 5.5]
    assert table.loc[0, ["bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1"]].tolist() == [2, 3, 6, 9]
    assert table["border"].tolist() == [False, True]
    assert table["flags"].tolist() == ["", ""]


def test_flags_a_label_in_two_parts() -> None:
    labels = two_cells()
    labels[0, 29] = 7
    assert measure(labels)["flags"].tolist() == ["parts", ""]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_tiles_give_the_same_table_as_whole(seed: int, rows: int, columns: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (9, 11)).astype(np.int64) * 10**9
    whole = measure(labels)
    tiles = measure(da.from_array(labels, chunks=(rows, columns)))
    assert tiles.equals(whole)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, ">i4", np.float32])
def test_accepts_every_kind_of_whole_number(dtype: object) -> None:
    labels = np.zeros((5, 5), dtype)
    labels[1:3, 1:3] = 3
    cells = cells_from_labels(labels)
    assert cells.ids.tolist() == [3]
    assert cells.labels.dtype.kind in "iu"


def test_float_labels_leave_a_note() -> None:
    cells = cells_from_labels(two_cells().astype(float))
    assert cells.notes == ("the labels were stored as floats; all are whole numbers",)


def test_a_mask_is_split_into_its_parts() -> None:
    assert len(cells_from_labels(two_cells() > 0)) == 2


@pytest.mark.parametrize(
    ("labels", "code", "word"),
    [
        (np.array([[0.5, 0]]), "CELLS-FLOAT", "0.5"),
        (np.array([[np.nan, 1]]), "CELLS-FLOAT", "nan"),
        (np.array([[-3, 1]]), "CELLS-NEGATIVE", "-3"),
        (np.zeros((4, 4), int), "CELLS-EMPTY", "background"),
        (np.zeros((2, 4, 4), int), "CELLS-SIZE", "(2, 4, 4)"),
        (np.array([["a", "b"]]), "CELLS-FLOAT", "data type"),
    ],
)
def test_refuses_with_a_code(labels: np.ndarray, code: str, word: str) -> None:
    with pytest.raises(CellsError) as caught:
        cells_from_labels(labels)
    assert caught.value.code == code
    assert word in caught.value.why
    assert caught.value.remedy


def test_refuses_another_size_than_the_image() -> None:
    with pytest.raises(CellsError, match="CELLS-SIZE") as caught:
        cells_from_labels(two_cells(), image_shape=(20, 31))
    assert "(20, 30)" in caught.value.why and "(20, 31)" in caught.value.why
