"""Classes of a new version: matched by id, then by name; renamed, merged, removed and new ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.labels import labeled_cells
from napari_cellcls.learn.roster import matrix, removed, roster, same_classes
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.review.events import Draft, Kind
from napari_cellcls.review.journal import Journal
from tests.learn.test_labels import CELLS
from tests.models.make import package
from tests.review.make import new_journal


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    names = ("RBC", "WBC", "Platelets", "Debris")
    classes = [
        {"id": name.lower(), "name": name, "color": f"#00000{k}"} for k, name in enumerate(names)
    ]
    return package(tmp_path_factory.mktemp("model") / "m.cellpkg", classes=classes)


def journal_of(folder: Path, *classes: str) -> Journal:
    journal = new_journal(folder, "ana")
    for name in classes:
        journal.add_class(name)
    journal.record(
        [Draft(Kind.CELL, one.cell_id, one.image_id, payload=one.to_json()) for one in CELLS]
    )
    return journal


def test_ids_come_before_names_and_merged_classes_count_as_one(
    tmp_path: Path, model: ModelPackage
) -> None:
    journal = journal_of(tmp_path / "p", "Platelets", "Rbc", "Large", "Ring")
    journal.rename_class("rbc", "Erythrocyte")  # the id still says who it is
    journal.rename_class("large", "WBC")  # only the name does
    journal.merge_class("platelets", "ring")
    journal.label(CELLS[0].cell_id, "ring")
    journal.label(CELLS[1].cell_id, "large")
    labels = labeled_cells(journal.state)
    assert [one.id for one in labels.classes] == ["rbc", "large", "ring"]
    known = same_classes(model, labels, journal.state)
    assert known == {0: 0, 1: 1, 2: 2} and removed(model, known) == ["Debris"]
    who = roster(labels, np.arange(2), known, "Blood")
    assert who.names == ("Erythrocyte", "WBC", "Ring")
    assert [one.id for one in who.classes] == ["rbc", "large", "ring"]
    assert who.notes == ("Known from Blood alone, because nothing is labeled so: Erythrocyte.",)
    assert np.array_equal(matrix(known, who, 4), np.eye(4, 3))
    journal.close()


def test_what_cannot_be_learned_is_said(tmp_path: Path, model: ModelPackage) -> None:
    journal = journal_of(tmp_path / "p", "Ring", "Schizont", "Star")
    journal.label(CELLS[0].cell_id, "ring")
    journal.label(CELLS[1].cell_id, "schizont")
    labels = labeled_cells(journal.state)
    known = same_classes(model, labels, journal.state)
    assert known == {} and removed(model, known) == ["RBC", "WBC", "Platelets", "Debris"]
    who = roster(labels, np.array([0]), known, "Blood")
    assert who.names == ("Ring",) and who.columns == (0,)
    assert who.notes[0].startswith("All cells labeled Schizont are in images that are held out")
    assert who.notes[1] == "No cell is labeled Star: the model does not know it yet."
    journal.close()


def test_names_that_a_package_does_not_take_are_made_fit(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "p", "früh|spät", "A", "B")
    journal.rename_class("b", "A")
    for cell, one in zip(CELLS, journal.state.classes):
        journal.label(cell.cell_id, one)
    labels = labeled_cells(journal.state)
    who = roster(labels, np.arange(3), {}, "")
    assert who.names[0] == "früh/spät" and who.names[1] == "A"
    assert len(set(who.names)) == 3 and who.names[2].startswith("A (")
    assert all(one.id.isascii() and one.id.replace("_", "").isalnum() for one in who.classes)
    journal.close()
