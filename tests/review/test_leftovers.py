"""Labels that a new segmentation has no single cell for, as they follow from the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.review.desk import Desk
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.leftovers import Leftovers, find_leftovers, is_done
from napari_cellcls.review.masks import carry_over
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.vocabulary import finish
from tests.review.make import new_journal
from tests.widgets.fakes import cells_of, squares

PLANE = Plane("i" * 32, "smear")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = new_journal(tmp_path / "p", "ana")
    for name in ("RBC", "WBC"):
        made.add_class(name)
    yield made
    made.close()


def changed() -> np.ndarray:
    """Return squares 1..4 of which 1 is two halves (1 and 9), 2 and 3 are one (2), and 4 is as it was."""
    labels = squares(edge=20)
    labels[4:24, 13:15] = 0
    labels[4:24, 15:24][labels[4:24, 15:24] == 1] = 9
    labels[labels == 3] = 2
    labels[12:16, 44:56] = 2
    return labels


def desks(journal: Journal, labels: np.ndarray) -> tuple[Desk, Desk]:
    """Label all cells on the first segmentation, take them over to the other; return both desks."""
    before = Desk(journal, Sheet(cells_of(squares(edge=20)), PLANE))
    before.set_class([0, 1, 2, 3], "rbc")
    after = Desk(journal, Sheet(cells_of(labels), PLANE))
    return before, after


def found(desk: Desk) -> Leftovers:
    state, sheet = desk.journal.state, desk.sheet
    return finish(find_leftovers(state, sheet.cells, sheet.plane, desk.strangers))


def test_kinds_places_and_cells(journal: Journal):
    _, after = desks(journal, changed())
    assert len(after.strangers) == 3
    first = found(after)
    assert first.keepable == 0  # cell 4 has the same mask, so it is known already
    assert [(i.kind, i.label, tuple(sorted(i.rows))) for i in first.items] == [
        ("split", 1, (0, 3)),
        ("merge", 2, (1,)),
        ("merge", 3, (1,)),
    ]
    assert first.items[0].box == (4, 4, 24, 24)
    carry_over(journal, after.sheet.cells, PLANE.image_id)
    assert found(after) == first


def test_an_entry_ends_when_all_its_cells_are_decided_and_undo_brings_it_back(journal: Journal):
    _, after = desks(journal, changed())
    split, one, other = found(after).items

    def done() -> list[bool]:
        return [is_done(item, journal.state, after.sheet) for item in (split, one, other)]

    assert done() == [False, False, False]
    after.set_class([0], "rbc")
    assert done() == [False, False, False]  # its other half waits
    after.skip([3])
    assert done() == [True, False, False]
    after.undo()
    assert done() == [False, False, False]
    after.set_class([1], "wbc")
    assert done() == [False, True, True]
    after.clear([1])
    assert done() == [False, False, False]


def test_a_label_that_came_with_the_mask_is_no_decision_about_the_entry(journal: Journal):
    labels = squares(edge=20)
    labels[4:24, 4:10] = 0  # three quarters of cell 1: kept
    before = Desk(journal, Sheet(cells_of(squares(edge=20)), PLANE))
    before.set_class([0], "rbc")
    after = Desk(journal, Sheet(cells_of(labels), PLANE))
    assert found(after).keepable == 1
    carry_over(journal, after.sheet.cells, PLANE.image_id)
    cell_id = after.sheet.known_id(0)
    assert cell_id is not None and after.sheet.mine[0]
    assert not journal.state.is_decided_here(cell_id)
    after.set_class([0], "wbc")
    assert journal.state.is_decided_here(cell_id)


def test_a_lost_one_is_set_aside_by_an_event_and_undo_takes_that_back(journal: Journal):
    labels = squares(edge=20)
    labels[labels == 2] = 0
    _, after = desks(journal, labels)
    [lost] = found(after).items
    assert (lost.kind, lost.rows) == ("lost", ()) and not is_done(lost, journal.state, after.sheet)
    after.set_aside(lost.cell_id)
    assert is_done(lost, journal.state, after.sheet)
    heard: list[int] = []
    after.renewed.connect(lambda: heard.append(1))
    assert after.undo().text == "Undone: 1 cell set aside" and heard == [1]
    assert not is_done(lost, journal.state, after.sheet)
    assert journal.state.cell(lost.cell_id) is not None  # its label was never touched
    after.redo()
    assert is_done(lost, journal.state, after.sheet)
