from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellcls.vocabulary import ClassScheme
from napari_cellcls.widgets import drawing

from .fakes import cells_of, predictions_of, squares

SCHEME = ClassScheme.from_names(("Parasitized", "Uninfected"))


def test_outline_lies_inside_its_cell_and_has_the_asked_width() -> None:
    labels = squares((1,), edge=12)
    outline = drawing.inner_outline(labels, width=2)
    assert outline.sum() == 12 * 12 - 8 * 8
    assert not outline[labels == 0].any()


def test_touching_cells_of_one_class_keep_their_own_outlines() -> None:
    labels = np.zeros((8, 16), int)
    labels[:, :8], labels[:, 8:] = 1, 2
    raster = drawing.class_raster(labels, np.array([1, 2]), np.array([1, 1], np.uint8), width=1)
    assert raster[:, 7].all()
    assert raster[:, 8].all()
    assert not raster[:, :7].any()


@given(
    hnp.arrays(
        np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4)
    ),
    st.integers(1, 3),
)
def test_outline_never_leaves_the_cells_and_grows_with_its_width(
    labels: np.ndarray, width: int
) -> None:
    thin, thick = (drawing.inner_outline(labels, w) for w in (width, width + 1))
    assert not thin[labels == 0].any()
    assert not (thin & ~thick).any()


@pytest.mark.parametrize("top", [9, 70_000, (1 << 31) + 5])
def test_ids_of_any_size_find_their_class(top: int) -> None:
    labels = squares((1, 2, 3)).astype(np.int64)
    labels[labels == 3] = top
    raster = drawing.class_raster(labels, np.array([1, 2, top]), np.array([1, 2, 1], np.uint8))
    assert raster.dtype == np.uint8
    assert set(np.unique(raster[labels == top])) == {0, 1}
    assert set(np.unique(raster[labels == 2])) == {0, 2}


def test_a_label_that_is_no_cell_is_not_drawn() -> None:
    labels = squares((1, 2, 3))
    raster = drawing.class_raster(labels, np.array([1, 3]), np.array([1, 1], np.uint8))
    assert not raster[labels == 2].any()


def test_tiled_labels_give_the_same_raster_as_whole_ones() -> None:
    da = pytest.importorskip("dask.array")
    labels = squares(tuple(range(1, 9)))
    ids, codes = np.arange(1, 9), np.array([1, 2] * 4, np.uint8)
    lazy = drawing.class_raster(da.from_array(labels, chunks=(7, 11)), ids, codes)
    whole = lazy.compute(scheduler="synchronous")
    np.testing.assert_array_equal(whole, drawing.class_raster(labels, ids, codes))


def test_dashes_break_an_outline() -> None:
    solid = drawing.inner_outline(squares((1,), edge=40))
    broken = drawing.dashed(solid)
    assert 0.3 < broken.sum() / solid.sum() < 0.8


def test_color_table_names_classes_then_no_class_unclassified_left_out() -> None:
    table = drawing.color_table(SCHEME)
    assert table[1] == SCHEME.classes[0].color
    assert list(table) == [None, 0, 1, 2, 3, 4, 5]
    assert table[3] == drawing.NO_CLASS


def test_feature_row_number_is_the_label() -> None:
    cells = cells_of(squares((2, 5)))
    frame = drawing.feature_table(
        cells, predictions_of(cells, np.array([[0.9, 0.1], [0.2, 0.8]]), SCHEME)
    )
    assert list(frame.index) == list(frame["index"]) == [0, 1, 2, 3, 4, 5]
    assert frame.loc[5, "class"] == "Uninfected"
    assert frame.loc[2, "confidence"] == pytest.approx(0.9)
    assert pd.isna(frame.loc[0, "class"])
    assert frame.loc[2, "area_px"] == 144


def test_what_the_model_doubts_is_among_the_features() -> None:
    cells = cells_of(squares((1, 2)))
    made = predictions_of(cells, np.array([[0.9, 0.1], [0.5, 0.5]]), SCHEME)
    doubted = replace(
        made,
        strangeness=np.array([3, 0.5], np.float32),
        sets=np.array([[True, False], [True, True]]),
    )
    features = drawing.feature_table(cells, doubted)
    assert features["flags"][1].endswith("unfamiliar") and pd.isna(features["flags"][2])
    assert pd.isna(features["could be"][1])
    assert features["could be"][2] == "Parasitized|Uninfected"
    assert "could be" not in drawing.feature_table(cells, made)


def test_sparse_ids_get_one_row_each() -> None:
    cells = cells_of(squares((7, 2_000_000_000)))
    frame = drawing.feature_table(cells, None)
    assert list(frame["index"]) == [7, 2_000_000_000]


def test_many_classes_show_the_runner_up_instead_of_a_column_each() -> None:
    cells = cells_of(squares((1,)))
    scheme = ClassScheme.from_names(tuple("abcdef"), multi_label=True)
    frame = drawing.feature_table(
        cells, predictions_of(cells, np.array([[0.1, 0.9, 0.7, 0, 0, 0]]), scheme)
    )
    assert frame.loc[1, "next best"] == "c 0.70"
    assert not [c for c in frame.columns if c.startswith("p ")]


def test_outlines_made_beforehand_give_the_same_raster() -> None:
    cells = cells_of(squares((1, 2, 7)))
    codes = np.array([1, 2, 1], np.uint8)
    outlines = drawing.Outlines.of(cells, 2)
    assert outlines is not None
    assert outlines.of_left_out is None
    expected = drawing.class_raster(cells.labels, cells.ids, codes, 2)
    assert np.array_equal(outlines.raster(cells.ids, codes), expected)


def test_letters_stay_inside_their_cell() -> None:
    labels = np.zeros((80, 90), np.int32)
    labels[10:70, 5:85] = 3
    labels[10:40, 30:60] = 0  # a notch where the middle of the upper edge would be
    cells = cells_of(labels)
    raster = np.zeros(labels.shape, np.uint8)
    drawing.write_marks(raster, cells, np.array([1], np.uint8), ("P",))
    assert raster.any()
    assert (labels[raster > 0] == 3).all()


def test_large_cells_get_thicker_lines_and_letters() -> None:
    small, large, huge = (drawing.coarseness(cells_of(squares((1,), e))) for e in (60, 300, 3000))
    assert (small, large, huge) == (1.0, 2.0, 3.0)
    cells = cells_of(squares((1,), edge=300))
    areas = []
    for coarse in (1.0, 2.0):
        raster = np.zeros(cells.labels.shape, np.uint8)
        drawing.write_marks(raster, cells, np.array([1], np.uint8), ("P",), coarse)
        areas.append(int((raster > 0).sum()))
    assert areas[1] > 3 * areas[0] > 0
