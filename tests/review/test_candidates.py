"""Which labels may be wrong and which cells wait for a second person, on a sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cellcls.review.candidates import Judged, second_rows, suspect_rows, too_few
from napari_cellcls.review.desk import Desk
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.vocabulary import finish
from tests.review.make import new_journal, reopen
from tests.widgets.fakes import cells_of, squares

NAMES = ("RBC", "WBC", "Platelet")


def clouds(of: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return points ``(N, 4)`` of which those with one number lie together."""
    points = np.random.default_rng(seed).normal(0, 0.3, (len(of), 4))
    points[np.arange(len(of)), of] += 4
    return points


def judged(labels: np.ndarray) -> np.ndarray:
    table = np.zeros((len(labels), len(NAMES)), np.int8)
    have = labels >= 0
    table[np.flatnonzero(have), labels[have]] = 1
    return table


def test_what_is_missing_is_said():
    none = Judged(np.zeros((30, 0), np.int8), (), False)
    assert "classify the cells first" in too_few(none, None)
    assert "20 labeled cells" in too_few(none, np.zeros((30, 4)))
    one = Judged(judged(np.zeros(30, int)), NAMES, False)
    assert "5 in each of two classes" in too_few(one, np.zeros((30, 4)))
    two = Judged(judged(np.arange(30) % 2), NAMES, False)
    assert too_few(two, np.zeros((30, 4))) == ""
    several = Judged(two.judged, NAMES, True)
    assert "5 times yes and 5 times no" in too_few(several, np.zeros((30, 4)))


def test_wrong_labels_are_found_and_rare_classes_are_left_alone():
    truth = np.arange(60) % 2
    given = truth.copy()
    given[[6, 31]] = 1 - given[[6, 31]]
    given[50] = 2  # the only one: nothing to compare it with
    given[55:] = -1
    found = finish(suspect_rows(Judged(judged(given), NAMES, False), clouds(truth)))
    assert sorted(found.rank) == [6, 31]
    assert found.notes == {6: "cells like it are mostly RBC", 31: "cells like it are mostly WBC"}


def test_several_classes_are_judged_one_by_one():
    truth = np.arange(60) % 2
    table = np.zeros((60, 3), np.int8)
    table[:, 1] = np.where(truth == 1, 1, -1)
    table[:, 0] = 1  # never no: not compared
    table[[4, 9], 1] *= -1
    found = finish(suspect_rows(Judged(table, NAMES, True), clouds(truth)))
    assert sorted(found.rank) == [4, 9]
    assert found.notes == {4: "cells like it are mostly not WBC", 9: "cells like it are mostly WBC"}


def test_the_second_sees_what_exactly_one_other_labeled(tmp_path: Path):
    def sheet() -> Sheet:
        return Sheet(cells_of(squares()), Plane("i" * 32))

    journal = new_journal(tmp_path / "p", "ana")
    journal.add_class("RBC")
    desk = Desk(journal, sheet())
    desk.set_class([0, 1, 2], "rbc")
    assert second_rows(desk.sheet, journal.state, "ana", 1.0).rank == {}
    journal.close()
    journal = reopen(tmp_path / "p", "ben")
    desk = Desk(journal, sheet())
    assert sorted(second_rows(desk.sheet, journal.state, "ben", 1.0).rank) == [0, 1, 2]
    assert second_rows(desk.sheet, journal.state, "ben", 0.0).rank == {}
    desk.set_class([0], "rbc")
    desk.skip([1])
    assert sorted(second_rows(desk.sheet, journal.state, "ben", 1.0).rank) == [2]
    assert sorted(second_rows(desk.sheet, journal.state, "cy", 1.0).rank) == [1, 2]
    journal.close()
