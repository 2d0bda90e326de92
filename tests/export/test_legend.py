"""Letters are unique, and the legend lists what occurs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.export.legend import legend_items
from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import ClassScheme
from tests.export import fakes


def test_letters() -> None:
    assert class_marks(fakes.SCHEME.names) == ("P", "U")
    assert class_marks(("RBC", "WBC", "Ring", "R")) == ("R", "W", "Ri", "R2")


@given(st.lists(st.text(max_size=5), max_size=40))
def test_letters_are_unique(names: list[str]) -> None:
    signs = class_marks(tuple(names))
    assert len(set(signs)) == len(names)
    assert all(signs)


def test_entries() -> None:
    guess = fakes.predictions()
    guess.assigned[3] = False
    items = [text for _, text in legend_items(guess, ("P", "U"), "#202020", 2)]
    assert items == [
        "P  Parasitized: 1 (25.0 %)",
        "U  Uninfected: 2 (50.0 %)",
        "no class: 1",
        "left out: 2",
    ]


def test_of_few_classes_those_absent_are_gray() -> None:
    guess = fakes.predictions((False, False, False, False))
    items = legend_items(guess, ("P", "U"), "#202020", 1)
    assert [text for _, text in items] == [
        "P  Parasitized: 0",
        "U  Uninfected: 4 (100.0 %)",
        "left out: 1",
    ]
    assert items[1][0] == fakes.SCHEME.classes[1].color
    assert items[0][0] != fakes.SCHEME.classes[0].color


def test_without_cells_no_class_is_listed() -> None:
    assert legend_items(fakes.predictions(()), ("P", "U"), "#202020", 0) == []


def test_of_many_classes_only_those_present_are_listed() -> None:
    scheme = ClassScheme.from_names([f"class {i}" for i in range(28)], multi_label=True)
    assigned = np.zeros((4, 28), bool)
    assigned[:, 5], assigned[0, 2] = True, True
    items = legend_items(
        fakes.predictions(scheme=scheme, assigned=assigned), class_marks(scheme.names), "#fff", 0
    )
    assert [text.split("  ")[1] for _, text in items] == [
        "class 5: 4 (100.0 %)",
        "class 2: 1 (25.0 %)",
    ]
