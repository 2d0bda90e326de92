"""What the queue asks for first is remembered, and never shown for decisions that it was not asked with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.review import queue
from napari_cellcls.review.desk import Desk
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.order import Ranker, View
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.review.suggestions import Decided, Suggestions
from napari_cellcls.vocabulary import ClassScheme
from tests.review.make import new_journal
from tests.widgets.fakes import cells_of, predictions_of, squares

SCHEME = ClassScheme.from_names(("RBC", "WBC"))
CHANCES = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.4, 0.6]])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = new_journal(tmp_path / "p", "ana")
    for name in ("WBC", "Platelet"):
        made.add_class(name)
    yield made
    made.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Return what the queue is told of every time: the cells that wait for nobody."""
    seen: list[set[str]] = []
    plain = queue.next_cells

    def next_cells(cells: Any, judged: set[str], *more: Any, **named: Any) -> Any:
        seen.append(set(judged))
        return plain(cells, judged, *more, **named)

    monkeypatch.setattr(queue, "next_cells", next_cells)
    return seen


def sheet() -> Sheet:
    cells = cells_of(squares())
    return Sheet(cells, Plane("i" * 32, "smear"), predictions_of(cells, CHANCES, SCHEME))


def test_labels_are_counted_for_the_outputs_of_the_model(journal: Journal) -> None:
    desk = Desk(journal, sheet())
    desk.set_class([0, 3], "wbc")
    desk.set_class([1], "platelet")
    desk.skip([2])
    decided = Decided.of(desk.sheet)
    assert decided.closed.tolist() == [0, 1, 2, 3] and decided.labels.tolist() == [2, 1]
    assert decided.per_output(SCHEME) == (
        0,
        2,
    )  # the model has no platelets, the project no red cells


def test_the_same_question_is_asked_once(asked: list[set[str]]) -> None:
    ranker = Ranker(sheet())
    ranker.look_ahead()
    first = ranker.order(View()).tolist()
    assert first == [1, 3, 2, 0] and ranker.order(View(class_id="nobody")).tolist() == []
    assert asked == [set()]


def test_an_answer_to_other_decisions_is_not_used(journal: Journal, asked: list[set[str]]) -> None:
    desk = Desk(journal, sheet())
    ranker = Ranker(desk.sheet)
    ranker.look_ahead()
    desk.set_class([1], "wbc")
    assert ranker.order(View()).tolist() == Ranker(desk.sheet).order(View()).tolist()
    assert ranker.order(View())[-1] == 1 and asked == [set(), {"1"}, {"1"}]
    desk.undo()
    assert ranker.order(View()).tolist() == [1, 3, 2, 0] and asked[3:] == [set()]


def test_a_model_that_is_not_shown_may_suggest() -> None:
    ranker = Ranker(sheet())
    ranker.suggestions = Suggestions(4, SCHEME, CHANCES[[1, 0, 2, 3]])
    assert ranker.order(View()).tolist() == [0, 3, 2, 1]
    assert Suggestions(0).first(Decided(np.zeros(0, np.int64), (), np.zeros(0))) == ()
