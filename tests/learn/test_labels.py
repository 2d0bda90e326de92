"""Labels to learn from: only what is settled, weighed by how it came about, grouped by patient or image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.learn.labels import LOOKED_MS, group_of, labeled_cells, shares
from napari_cellcls.review.events import Draft, Flag, Kind, Source, Value
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.state import ImageState
from tests.review.make import new_journal

IMAGES = ("1" * 32, "2" * 32)


def anchor(number: int) -> Anchor:
    y = 4 * number
    return Anchor(IMAGES[number % 2], number, (y, 0, y + 2, 2), y + 0.5, 0.5, 4, "0,4")


CELLS = [anchor(n) for n in range(8)]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = new_journal(tmp_path / "p", "ana")
    for name in ("RBC", "WBC", "Platelet"):
        journal.add_class(name)
    found = [Draft(Kind.CELL, one.cell_id, one.image_id, payload=one.to_json()) for one in CELLS]
    journal.record(found)
    journal.record([Draft(Kind.IMAGE, image_id=IMAGES[0], payload={"name": "a", "patient": "P7"})])
    yield journal
    journal.close()


def test_how_a_label_came_about_is_what_it_weighs(journal: Journal) -> None:
    ids = [one.cell_id for one in CELLS]
    journal.label(ids[0], "rbc")
    journal.label(ids[1], "rbc", source=Source.ACCEPTED, ms_spent=LOOKED_MS)
    journal.label(ids[2], "wbc", source=Source.ACCEPTED, ms_spent=LOOKED_MS - 1)
    journal.label(ids[3], "wbc", source=Source.ACCEPTED)
    journal.label_many(ids[4:6], "wbc")
    journal.label(ids[6], "platelet", source=Source.IMPORTED)
    journal.label(ids[7], "wbc")
    journal.flag(ids[7], Flag.AMBIGUOUS)
    found = labeled_cells(journal.state)
    assert found.ids == tuple(ids) and found.anchors == tuple(CELLS)
    assert found.weights.tolist() == pytest.approx([1, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.5])
    assert found.testable.tolist() == [True, True, False, False, False, False, True, False]
    assert found.counts() == {"RBC": 2, "WBC": 5, "Platelet": 1}
    assert found.targets[0].tolist() == [1, 0, 0]
    assert found.groups[:2].tolist() == ["patient P7", f"image {IMAGES[1]}"]
    assert found.annotators == ("ana",) and found.left_out == {}
    rows = {key.image_id: rows.tolist() for key, rows in found.planes().items()}
    assert rows == {IMAGES[0]: [0, 2, 4, 6], IMAGES[1]: [1, 3, 5, 7]}


def test_what_is_not_settled_is_left_out_and_said(journal: Journal, tmp_path: Path) -> None:
    other = new_journal(tmp_path / "other", "bo")
    for name in ("RBC", "WBC"):
        other.add_class(name)
    journal.label(CELLS[0].cell_id, "rbc")
    other.label(CELLS[0].cell_id, "wbc")
    journal.label(CELLS[1].cell_id, "rbc")
    other.label(CELLS[1].cell_id, "rbc")
    other.label("f" * 32, "rbc")
    journal.merge(list(other.state.events))
    other.close()
    journal.label(CELLS[2].cell_id, "rbc")
    journal.flag(CELLS[2].cell_id, Flag.BAD_SEGMENTATION)
    journal.skip(CELLS[3].cell_id)
    found = labeled_cells(journal.state)
    assert found.ids == (CELLS[1].cell_id,) and found.annotators == ("ana", "bo")
    assert found.left_out == {
        "people disagree": 1,
        "nothing is known of their place": 1,
        "flagged as badly segmented": 1,
    }


def test_several_classes_are_judged_one_by_one(journal: Journal) -> None:
    journal.judge(CELLS[0].cell_id, {"rbc": Value.YES, "wbc": Value.NO})
    journal.judge(CELLS[1].cell_id, {"platelet": Value.NO})
    found = labeled_cells(journal.state, multi_label=True)
    expected = np.array([[1, 0, np.nan], [np.nan, np.nan, 0]])
    assert np.array_equal(found.targets, expected, equal_nan=True)
    one_class = labeled_cells(journal.state)
    assert one_class.ids == (CELLS[0].cell_id,)
    assert one_class.left_out == {"no class of the project": 1}


def test_merged_classes_are_one_and_the_hash_tells_labels_apart(journal: Journal) -> None:
    journal.label(CELLS[0].cell_id, "rbc")
    before = labeled_cells(journal.state)
    journal.label(CELLS[1].cell_id, "platelet")
    journal.merge_class("platelet", "wbc")
    found = labeled_cells(journal.state)
    assert [one.id for one in found.classes] == ["rbc", "wbc"]
    assert found.targets.tolist() == [[1, 0], [0, 1]]
    assert found.sha256 != before.sha256
    journal.undo()
    journal.undo()
    assert labeled_cells(journal.state).sha256 == before.sha256


def test_labels_taken_earlier_do_not_change(journal: Journal) -> None:
    journal.label(CELLS[0].cell_id, "rbc")
    taken = tuple(journal.state.cells.values())
    journal.label(CELLS[0].cell_id, "wbc")
    journal.label(CELLS[1].cell_id, "wbc")
    found = labeled_cells(journal.state, cells=taken)
    assert found.targets.tolist() == [[1, 0, 0]]


def test_nothing_decided_is_no_label(journal: Journal) -> None:
    found = labeled_cells(journal.state)
    assert len(found) == 0 and found.targets.shape == (0, 3) and found.planes() == {}


def test_the_highest_group_known_counts() -> None:
    images = {"i": ImageState("i", "x", {"slide": "S1", "patient": 12, "name": "x"})}
    assert group_of(images, "i") == "patient 12"
    assert group_of({"i": ImageState("i", "x", {"slide": "S1", "patient": ""})}, "i") == "slide S1"
    assert group_of({}, "i") == "image i"


def test_shares_depend_on_the_name_only() -> None:
    found = shares(["a", "b", "c"])
    assert found["a"] == shares(["a"])["a"] and all(0 <= v < 1 for v in found.values())
    many = np.array(list(shares(map(str, range(4000))).values()))
    assert (many < 0.25).mean() == pytest.approx(0.25, abs=0.02)
