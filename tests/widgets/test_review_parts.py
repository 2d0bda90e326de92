"""What the dock *Review cells* draws and says, without a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.review import queue
from napari_cellcls.review.desk import Desk
from napari_cellcls.review.events import Author, Draft, Event, Flag, Kind, Pen, new_id
from napari_cellcls.review.known import known_cells
from napari_cellcls.review.order import Ranker, View
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import CellsError, ClassScheme, finish
from napari_cellcls.widgets.review import picture
from napari_cellcls.widgets.review.classes import progress_words
from napari_cellcls.widgets.review.rendering import cell_words, chances, impossible, news_words
from napari_cellcls.widgets.review.subject import Wanted, prepare
from tests.review.make import new_journal, reopen

from .fakes import cells_of, predictions_of, rgb_image, squares

SCHEME = ClassScheme.from_names(("RBC", "WBC"))
CHANCES = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.4, 0.6]])
CLASSES = tuple(ClassState(c.id, c.name, c.color) for c in SCHEME.classes)


def sheet_of(edge: int = 40, opinion: bool = True) -> Sheet:
    cells = cells_of(squares(edge=edge))
    sheet = Sheet(
        cells, Plane("i" * 32), predictions_of(cells, CHANCES, SCHEME) if opinion else None
    )
    sheet.expect(CLASSES)
    return sheet


def test_a_prediction_is_thin_and_a_decision_thick() -> None:
    sheet = sheet_of()
    strokes = picture.Strokes.of(sheet.cells, width=2, letters=False)
    assert strokes is not None
    before = picture.raster(sheet, strokes)
    assert {int(v) for v in np.unique(before)} == {0, 1, 2}
    inside = sheet.cells.labels == 1
    assert set(np.unique(before[inside])) == {0, 1}
    sheet.judged[0, 1], sheet.label[0], sheet.shown[0], sheet.mine[0] = 1, 1, 1, True
    after = picture.raster(sheet, strokes)
    assert set(np.unique(after[inside])) == {0, 2}
    assert (after[inside] == 2).sum() > 1.5 * (before[inside] == 1).sum()
    assert np.array_equal(after[~inside], before[~inside])
    sheet.disagreed[0] = True
    dashed = picture.raster(sheet, strokes)
    assert 0 < (dashed[inside] == 2).sum() < (after[inside] == 2).sum()


_acts = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1, 0, 1])), max_size=12)


@given(_acts, st.booleans(), st.integers(10, 45))
@settings(max_examples=25, deadline=None)
def test_patching_one_cell_gives_what_drawing_all_gives(
    acts: list[tuple[int, int]], letters: bool, edge: int
) -> None:
    sheet = sheet_of(edge)
    strokes = picture.Strokes.of(sheet.cells, letters=letters)
    assert strokes is not None
    drawn = picture.raster(sheet, strokes)
    for row, column in acts:
        sheet.judged[row] = 0
        if column >= 0:
            sheet.judged[row, column] = 1
        sheet.label[row], sheet.mine[row] = column, column >= 0
        sheet.disagreed[row] = column == 1
        sheet.shown = np.where(sheet.label >= 0, sheet.label, sheet.predicted)
        where, values = picture.patch(sheet, strokes, row)
        drawn[where] = values
        assert np.array_equal(drawn, picture.raster(sheet, strokes))


def test_the_frame_stays_in_the_image() -> None:
    sheet = sheet_of()
    strokes = picture.Strokes.of(sheet.cells)
    assert strokes is not None
    for row in range(4):
        y, x = picture.frame(strokes, tuple(sheet.boxes[row].tolist()))
        assert len(y) and y.min() >= 0 and x.min() >= 0
        assert (y < strokes.labels.shape[0]).all() and (x < strokes.labels.shape[1]).all()
        assert not (sheet.cells.labels[y, x] == row + 1).any()
    assert picture.frame_code(sheet) in picture.colors_of(sheet, on_light=False)


def test_known_cells_come_back_from_their_masks(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "p", "ana")
    journal.add_class("RBC")
    desk = Desk(journal, sheet_of())
    desk.set_class([1, 3], "rbc")
    image = rgb_image(np.zeros((48, 180, 3), np.uint8))
    plane = Plane("i" * 32)
    cells, ids = known_cells(journal.state, plane, (48, 180))
    assert len(cells) == 2 and set(ids) == set(journal.state.cells)
    for row, label in enumerate((2, 4)):
        y, x = np.nonzero(cells.labels == row + 1)
        assert np.array_equal(squares(edge=40)[y, x], np.full(len(y), label))
    again = Sheet(cells, plane, None, ids)
    second = Desk(journal, again)
    assert second.sheet.mine.all() and not second.strangers
    second.clear([0])
    assert journal.state.counts() == {"ana": {"rbc": 1}}
    with pytest.raises(CellsError) as caught:
        finish(prepare(Wanted(image, None, None), journal.state))
    assert caught.value.code == "REVIEW-NOCELLS"  # the image has another id: nothing is known of it
    journal.close()


def test_a_subject_keeps_what_did_not_change() -> None:
    cells = cells_of(squares())
    image = rgb_image(np.zeros((20, 68, 3), np.uint8))
    first = finish(prepare(Wanted(image, cells, None), None))
    told = predictions_of(cells, CHANCES, SCHEME)
    second = finish(prepare(Wanted(image, cells, told), None, first))
    assert second.strokes is first.strokes and second.limits is first.limits
    assert second.sheet.opinion is told and second.sheet.plane is first.sheet.plane
    other = finish(prepare(Wanted(image, cells_of(squares(edge=10)), told), None, second))
    assert other.strokes is not first.strokes


def test_what_the_queue_asks_for_is_known_before_the_window_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(squares())
    image = rgb_image(np.zeros((20, 68, 3), np.uint8))
    told = predictions_of(cells, CHANCES, SCHEME)
    journal = new_journal(tmp_path / "p", "ana")
    for name in SCHEME.names:
        journal.add_class(name)
    before = finish(prepare(Wanted(image, cells, told), None))
    Desk(journal, before.sheet).set_class([1], "wbc")
    subject = finish(prepare(Wanted(image, cells, told, annotator="ana"), journal.state, before))
    assert subject.sheet.mine.tolist() == [False, True, False, False]
    desk = Desk(journal, subject.sheet)
    with monkeypatch.context() as patch:
        patch.setattr(queue, "next_cells", None)  # the window would stumble over it
        assert subject.ranker.order(View()).tolist() == [3, 2, 0, 1]
    desk.set_class([3], "wbc")
    assert subject.ranker.order(View()).tolist() == Ranker(subject.sheet).order(View()).tolist()
    journal.close()


def test_words_about_a_cell_and_what_is_possible(tmp_path: Path) -> None:
    assert impossible(None, None, None)[0] == "There is nothing to review."
    assert "Classify cells" in cell_words(None, None)
    cells = cells_of(squares())
    image = rgb_image(np.zeros((20, 68, 3), np.uint8))
    subject = finish(prepare(Wanted(image, cells, predictions_of(cells, CHANCES, SCHEME)), None))
    journal = new_journal(tmp_path / "p", "b<o")
    for name in SCHEME.names:
        journal.add_class(name)
    Desk(journal, subject.sheet).set_class([0], "wbc")
    journal.close()
    journal = reopen(tmp_path / "p", "ana")
    subject.sheet.forget()
    desk = Desk(journal, subject.sheet)
    desk.set_class([0], "rbc")
    desk.toggle_flag([0], Flag.AMBIGUOUS)
    words = cell_words(subject, journal.state, 0)
    assert "predicted RBC 0.90" in words and "ana: RBC (human)" in words
    assert "b&lt;o: WBC" in words and "people disagree" in words and "flags: ambiguous" in words
    assert [(c.probability, c.judged) for c in chances(subject.sheet, 0)] == [
        (pytest.approx(0.9), 1),
        (pytest.approx(0.1), 0),
    ]
    desk.set_blind(True)
    hidden = cell_words(subject, journal.state, 0)
    assert "0.90" not in hidden and "b&lt;o" not in hidden and "ana: RBC" in hidden
    assert [c.probability for c in chances(subject.sheet, 0)] == [None, None]
    journal.close()


def test_progress_names_the_nearest_goals_first() -> None:
    names = {"rr": "rods & rings", "nu": "nucleoli"}
    assert progress_words({}, {}) == ""
    assert progress_words({}, names) == "The goal is reached for every class."
    assert progress_words({"nu": 50, "rr": 30}, names) == (
        "Still wanted: 30 more of rods & rings, 50 more of nucleoli"
    )


def test_news_say_how_many_and_from_whom() -> None:
    def events(*kinds_and_people: tuple[Kind, str]) -> list[Event]:
        return [
            Pen(Author(who, new_id(), new_id(), "1")).write(Draft(kind, "c", class_id="rbc"))
            for kind, who in kinds_and_people
        ]

    me = Author("me", new_id(), new_id(), "1")
    label = Kind.LABEL
    assert news_words([], me) == ""
    assert news_words(events((Kind.CELL, "Anna"), (Kind.RETRACT, "Anna")), me) == ""
    assert news_words(events((label, "Anna")), me) == "1 new decision from Anna"
    two = events((label, "Anna"), (Kind.SKIP, "Anna"), (Kind.COMMENT, "Ben"))
    assert news_words(two, me) == "3 new decisions from Anna and Ben"
    many = events(*[(label, who) for who in ("Anna", "Anna", "Ben", "Cy", "Di")])
    assert news_words(many, me) == "5 new decisions from Anna, Ben and 2 others"
    mine = events((label, "me"), (label, "Anna"))
    assert news_words(mine, me) == (
        "1 new decision from Anna, 1 new decision of yours from another computer"
    )
    assert (
        news_words(events((Kind.CLASS_ADDED, "Anna")), me) == "The classes were changed by others"
    )
