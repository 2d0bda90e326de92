"""The desk: what keys do, without a window. Four square cells, a model that knows two of three classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.review.desk import Desk, next_open
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import Flag, Value
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.keys import class_keys, is_possible
from napari_cellcls.review.order import Ranker, Section, Show, Sort, View
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import ClassScheme
from tests.review.make import new_journal, reopen
from tests.widgets.fakes import cells_of, predictions_of, squares

SCHEME = ClassScheme.from_names(("RBC", "WBC"))
# Cells 1 and 2 are called RBC, 3 and 4 WBC; cell 2 is the most doubtful.
CHANCES = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.4, 0.6]])
SEVERAL = ClassScheme(SCHEME.classes, multi_label=True)


def sheet(opinion: bool = True, scheme: ClassScheme = SCHEME, blind: bool = False) -> Sheet:
    cells = cells_of(squares())
    told = predictions_of(cells, CHANCES, scheme) if opinion else None
    made = Sheet(cells, Plane("i" * 32, "smear"), told)
    made.blind = blind
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = new_journal(tmp_path / "p", "ana")
    for name in ("RBC", "WBC", "Platelet"):
        made.add_class(name)
    yield made
    made.close()


def label_of(desk: Desk, row: int) -> str:
    column = int(desk.sheet.label[row])
    return desk.sheet.classes[column].id if column >= 0 else ""


def test_a_decision_stores_place_and_what_was_shown(journal: Journal):
    desk = Desk(journal, sheet())
    assert desk.sheet.predicted.tolist() == desk.sheet.shown.tolist() == [0, 0, 1, 1]
    heard: list[tuple[int, ...]] = []
    desk.decided.connect(heard.append)
    desk.look_at(1)
    desk.set_class([1], "platelet")
    assert heard == [(1,)]
    assert label_of(desk, 1) == "platelet"
    assert desk.sheet.shown.tolist() == [0, 2, 1, 1]
    [(cell_id, cell)] = journal.state.cells.items()
    event = cell.decisions["ana"].event
    assert event is not None
    assert (event.source, event.shown_class, event.shown_model) == (
        "human",
        "rbc",
        "two-classes@1.0.0",
    )
    assert event.shown_prob == pytest.approx(0.55)
    assert event.ms_spent is not None and event.ms_spent < 60_000
    assert journal.state.anchor(cell_id)["label"] == 2
    assert desk.sheet.is_open().tolist() == [True, False, True, True]


def test_accepting_is_a_decision_of_its_own_and_never_repeated(journal: Journal):
    desk = Desk(journal, sheet())
    assert desk.accept([0]) == 1
    assert desk.accept([0]) == 0
    assert desk.accept([0, 2, 3], bulk=True) == 2
    assert [label_of(desk, row) for row in range(4)] == ["rbc", "", "wbc", "wbc"]
    sources = [c.decisions["ana"].event.source for c in journal.state.cells.values()]
    assert sorted(sources) == ["accepted", "bulk", "bulk"]
    desk.set_class([0, 1], "wbc")
    assert desk.sheet.source.tolist() == [2, 2, 2, 2]  # several at once: bulk
    assert desk.undo().text == "Undone: 2 cells WBC"
    assert [label_of(desk, row) for row in range(4)] == ["rbc", "", "wbc", "wbc"]


def test_undo_and_redo_reach_across_restarts_and_say_what_they_did(tmp_path: Path):
    folder = tmp_path / "p"
    journal = new_journal(folder, "ana")
    journal.add_class("RBC")
    desk = Desk(journal, sheet())
    desk.set_class([0], "rbc")
    desk.skip([1])
    assert desk.toggle_flag([2], Flag.BAD_SEGMENTATION)
    journal.close()
    journal = reopen(folder, "ana")
    desk = Desk(journal, sheet())
    assert (label_of(desk, 0), bool(desk.sheet.skipped[1])) == ("rbc", True)
    step = desk.undo()
    assert (step.rows, step.text) == ((2,), "Undone: 1 cell flagged bad segmentation")
    assert desk.undo().text == "Undone: 1 cell skipped"
    assert not desk.sheet.flags.any() and not desk.sheet.skipped.any()
    step = desk.undo()
    assert (step.rows, step.text) == ((0,), "Undone: 1 cell RBC")
    assert desk.redo().rows == (0,)
    assert label_of(desk, 0) == "rbc"
    renewed: list[bool] = []
    desk.renewed.connect(lambda: renewed.append(True))
    for _ in range(2):
        desk.undo()
    assert renewed == [True] and desk.sheet.classes == ()  # the class itself was taken back
    assert desk.undo().text == "There is nothing to undo."
    journal.close()


def test_several_classes_are_judged_yes_no_or_not_at_all(journal: Journal):
    desk = Desk(journal, sheet(scheme=SEVERAL), multi_label=True)
    for expected in (1, -1, 0, 1):
        desk.set_class([0], "platelet")
        assert desk.sheet.judged[0].tolist() == [0, 0, expected]
    assert desk.accept([1]) == 1  # shown: RBC; the model does not know platelets
    assert desk.sheet.judged[1].tolist() == [1, -1, 0]
    assert desk.sheet.effective()[1].tolist() == [True, False, False]
    desk.judge([1], "wbc", Value.YES)
    assert desk.sheet.judged[1].tolist() == [1, 1, 0]
    desk.clear([1])
    assert not desk.sheet.judged[1].any() and not desk.sheet.mine[1]


def test_blind_hides_predictions_and_others(tmp_path: Path):
    journal = new_journal(tmp_path / "p", "bo")
    journal.add_class("RBC")
    journal.add_class("WBC")
    Desk(journal, sheet()).set_class([3], "rbc")
    journal.close()
    journal = reopen(tmp_path / "p", "ana")
    desk = Desk(journal, sheet())
    assert desk.sheet.shown.tolist() == [0, 0, 1, 0]
    assert desk.sheet.by["bo"].tolist() == [False, False, False, True]
    desk.set_blind(True)
    assert desk.sheet.shown.tolist() == [-1] * 4 and desk.counts() == {}
    assert desk.accept([0, 3]) == 0
    desk.set_class([3], "wbc")
    own = next(iter(journal.state.cells.values())).decisions["ana"].event
    assert own is not None and own.shown_model is None
    assert not desk.sheet.disagreed.any()
    desk.set_blind(False)
    assert desk.sheet.disagreed.tolist() == [False, False, False, True]
    assert label_of(desk, 3) == "wbc"  # my word for me
    journal.close()


def test_accepting_what_another_person_said(tmp_path: Path):
    journal = new_journal(tmp_path / "p", "bo")
    journal.add_class("RBC")
    Desk(journal, sheet(opinion=False)).set_class([3], "rbc")
    journal.close()
    journal = reopen(tmp_path / "p", "ana")
    desk = Desk(journal, sheet(opinion=False))
    assert desk.accept([0, 3]) == 1
    assert desk.counts() == {"ana": {"rbc": 1}, "bo": {"rbc": 1}}
    assert desk.missing(3) == {"rbc": 1}
    journal.close()


def test_a_read_only_project_refuses_and_shows(tmp_path: Path):
    first = new_journal(tmp_path / "p", "bo")
    first.add_class("RBC")
    Desk(first, sheet()).set_class([0], "rbc")
    first.flush()
    second = reopen(tmp_path / "p", "ana")
    desk = Desk(second, sheet())
    assert label_of(desk, 0) == "rbc"
    for act in (
        lambda: desk.set_class([1], "rbc"),
        lambda: desk.skip([0]),
        lambda: desk.accept([1]),
    ):
        with pytest.raises(JournalError) as caught:
            act()
        assert caught.value.code == "JOURNAL-INUSE" and "bo" in caught.value.why
    assert label_of(desk, 1) == ""
    second.close()
    first.close()


def test_labels_on_another_segmentation_are_named(journal: Journal):
    Desk(journal, sheet()).set_class([0], "rbc")
    other = Sheet(cells_of(squares(edge=11)), Plane("i" * 32, "smear"))
    desk = Desk(journal, other)
    assert len(desk.strangers) == 1 and not desk.sheet.mine.any()
    again = Desk(journal, sheet(opinion=False))
    assert not again.strangers and again.sheet.mine.tolist() == [True, False, False, False]
    elsewhere = Desk(journal, Sheet(cells_of(squares()), Plane("i" * 32, "smear", z=1)))
    assert not elsewhere.strangers and not elsewhere.sheet.mine.any()


def test_order_filters_and_sections(journal: Journal):
    desk = Desk(journal, sheet())
    ranker = Ranker(desk.sheet)

    def rows(**view: object) -> list[int]:
        return ranker.order(View(**view)).tolist()  # type: ignore[arg-type]

    assert rows(sort=Sort.DOUBT) == [1, 3, 2, 0]
    assert rows(sort=Sort.CONFIDENCE) == [0, 2, 3, 1]
    assert rows(sort=Sort.PLACE) == [0, 1, 2, 3]
    assert sorted(rows()) == [0, 1, 2, 3]
    assert rows(class_id="wbc", sort=Sort.PLACE) == [2, 3]
    desk.set_class([0], "wbc")
    desk.skip([2])
    desk.toggle_flag([3], Flag.AMBIGUOUS)
    assert rows(class_id="wbc", sort=Sort.PLACE) == [0, 2, 3]
    assert rows(show=Show.OPEN, sort=Sort.PLACE) == [1, 3]
    assert rows(show=Show.LABELED) == rows(show=Show.HUMAN) == rows(annotator="ana") == [0]
    assert rows(show=Show.SKIPPED) == [2] and rows(show=Show.AMBIGUOUS) == [3]
    assert rows(show=Show.BULK) == rows(annotator="bo") == []
    assert set(rows()[-2:]) == {0, 2}  # decided ones come last
    view = View(Sort.CLASS)
    order = ranker.order(view)
    assert ranker.sections(view, order) == [Section(0, 0, 1), Section(1, 1, 3)]
    assert ranker.sections(View(), order) == []
    assert not ranker.knows_likeness
    assert next_open(desk.sheet.is_open(), np.array([0, 1, 2, 3]), 1) == 3
    assert next_open(desk.sheet.is_open(), np.array([0, 1, 2, 3]), 3) == 1
    desk.set_class([1, 3], "rbc")
    assert next_open(desk.sheet.is_open(), np.arange(4), None) is None


def test_keys_are_given_once():
    def classes(*keys: str) -> list[ClassState]:
        return [ClassState(f"c{k}", f"C{k}", "#000000", key) for k, key in enumerate(keys)]

    assert class_keys(classes("", "1", "")) == {"c0": "2", "c1": "1", "c2": "3"}
    assert class_keys(classes("w")) == {"c0": "1"}  # "Why?" has it
    assert class_keys(classes("R", "r", "s")) == {"c0": "r", "c1": "1", "c2": "2"}
    assert len(class_keys(classes(*[""] * 60))) == 29
    assert [is_possible(k) for k in ("0", "s", "B", "12", "", "é", "x", "9")] == [False] * 6 + [
        True
    ] * 2


def test_the_last_word_ends_a_disagreement_and_can_be_taken_back(tmp_path: Path):
    journal = new_journal(tmp_path / "p", "bo")
    for name in ("RBC", "WBC"):
        journal.add_class(name)
    Desk(journal, sheet()).set_class([0, 1], "rbc")
    journal.close()
    journal = reopen(tmp_path / "p", "ana")
    desk = Desk(journal, sheet())
    desk.set_class([0], "wbc")
    assert desk.sheet.disagreed.tolist() == [True, False, False, False]
    assert desk.settle([0, 1]) == 1
    assert not desk.sheet.disagreed.any() and label_of(desk, 0) == "wbc"
    desk.set_class([0], "rbc")
    assert label_of(desk, 0) == "wbc"  # settled: the last word is shown, my opinion is kept
    desk.undo()
    assert desk.undo().text == "Undone: 1 cell WBC"
    assert desk.sheet.disagreed[0]
    desk.comment([1], "torn")
    [cell] = [c for c in journal.state.cells.values() if c.comments]
    assert (cell.comments[0].annotator, cell.comments[0].text) == ("ana", "torn")
    journal.close()


def test_a_view_without_filters_shows_every_cell():
    from napari_cellcls.review.order import without_filters

    ranker = Ranker(sheet())
    narrow = View(Sort.AREA, Show.LABELED, "rbc", "ana", True, (1,))
    assert not len(ranker.order(narrow))
    wide = without_filters(narrow)
    assert len(ranker.order(wide)) == 4 and (wide.sort, wide.sections) == (Sort.AREA, True)
