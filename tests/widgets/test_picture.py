from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_cellcls.cells.cells import Cells
from napari_cellcls.session import Session
from napari_cellcls.vocabulary import ClassScheme
from napari_cellcls.widgets.notices import plane_notices
from napari_cellcls.widgets.picture import Subject, compact, paint
from napari_cellcls.widgets.preview import verdict_words

from .fakes import cells_of, manifest, predictions_of, rgb_image, squares

SCHEME = ClassScheme.from_names(("Parasitized", "Uninfected"))


def finish(task: Any) -> Any:
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


def a_session(labels: np.ndarray) -> Session:
    session = Session()
    session.set_image(rgb_image(np.zeros((*labels.shape, 3), np.uint8)))
    session.set_model(manifest())
    session.set_cells(cells_of(labels))
    return session


def test_without_cells_there_is_nothing_to_paint() -> None:
    assert Subject.of(Session(), 3, True) is None


def test_cells_without_classes_have_the_color_of_the_unclassified() -> None:
    session = a_session(squares())
    picture = finish(paint(Subject.of(session, 2, True)))
    assert set(np.unique(picture.raster)) == {0, 4}, "two classes, no class, then not classified"
    assert picture.colors[4] != picture.colors[1]
    assert len(picture.features) == 5, "row number is label"
    assert "class" not in picture.features


def test_classes_are_painted_and_what_did_not_change_is_kept() -> None:
    session = a_session(squares())
    before = finish(paint(Subject.of(session, 2, True)))
    found = predictions_of(session.cells, np.array([[0.9, 0.1], [0.2, 0.8]] * 2), SCHEME)
    session.predictions = found
    after = finish(paint(Subject.of(session, 2, False), before))
    assert after.ids is before.ids
    assert after.outlines is before.outlines
    labels = session.cells.labels
    assert set(np.unique(after.raster[labels == 1])) == {0, 1}
    assert set(np.unique(after.raster[labels == 2])) == {0, 2}
    assert list(after.features["class"][1:3]) == ["Parasitized", "Uninfected"]
    wider = finish(paint(Subject.of(session, 4, False), after))
    assert wider.outlines is not after.outlines
    assert (wider.raster > 0).sum() > (after.raster > 0).sum()


def test_a_lazy_label_image_is_painted_whole_beside_the_window() -> None:
    session = a_session(squares())
    cells = session.cells
    lazy = Cells(da.from_array(cells.labels, chunks=7), cells.table, "lazy")
    subject = Subject(lazy, None, np.full(4, 1, np.uint8), SCHEME, width=2)
    whole = Subject(cells, None, np.full(4, 1, np.uint8), SCHEME, width=2)
    painted = finish(paint(subject)).raster
    assert isinstance(painted, np.ndarray)
    np.testing.assert_array_equal(painted, finish(paint(whole)).raster)


@pytest.mark.parametrize(
    ("top", "dtype"), [(4, np.uint16), (65_535, np.uint16), (65_536, np.int32)]
)
def test_ids_are_made_small_only_where_none_is_lost(top: int, dtype: type) -> None:
    labels = squares((1, 2, top)).astype(np.int32)
    small = compact(labels, np.array([1, 2, top]))
    assert small.dtype == dtype
    np.testing.assert_array_equal(small, labels)


def test_a_label_beyond_the_cells_keeps_its_value() -> None:
    labels = squares((1, 70_000)).astype(np.int32)
    assert compact(labels, np.array([1])) is labels
    assert compact(labels > 1, np.array([1])).dtype == np.uint8


def test_the_plane_of_a_stack_in_words() -> None:
    assert plane_notices((), (), ()) == ()
    assert plane_notices((0, 2), (0, 2), (1, 5)) == (
        ("info", "One plane of the stack is used: 1 of 1, 3 of 5."),
    )
    level, text = plane_notices((0,), (4,), (5,))[0]
    assert level == "warning"
    assert "plane 1 of 5; plane 5 of 5 is shown" in text


def test_the_verdict_names_every_class_that_passes() -> None:
    found = SimpleNamespace(
        scheme=SCHEME,
        assigned=np.array([[True, True], [False, False]]),
        confidence=[0.5, 0.25],
        sets=None,
        unfamiliar=np.array([False, False]),
    )
    session: Any = SimpleNamespace(predictions=found)
    assert verdict_words(session, 0) == "Parasitized + Uninfected, confidence 0.50"
    assert verdict_words(session, 1) == "no class, confidence 0.25"


def test_the_verdict_says_what_else_a_cell_could_be_and_what_is_unfamiliar() -> None:
    found = SimpleNamespace(
        scheme=SCHEME,
        assigned=np.array([[True, False], [False, True]]),
        confidence=[0.6, 0.9],
        sets=np.array([[True, True], [False, True]]),
        unfamiliar=np.array([False, True]),
    )
    session: Any = SimpleNamespace(predictions=found)
    assert verdict_words(session, 0).endswith("; could be Parasitized or Uninfected")
    assert verdict_words(session, 1).endswith("0.90; unlike all that the model learned from")
