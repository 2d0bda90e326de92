"""Which labeled cells a cell looks like, without a window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import describe_cells, recall_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.review.sheet import FLAGS, Plane, Sheet
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import finish
from napari_cellcls.widgets.review.alike import look_alike
from napari_cellcls.widgets.review.likeness import (
    Answer,
    Others,
    Question,
    compared_words,
    head_words,
    labels_of,
)
from tests.learn import smears

from .fakes import cells_of, rgb_image, squares

PLANE = ("i" * 32, "", 0, 0)


def question(names: dict[int, str], row: int, count: int = 24) -> Question:
    """Ask about cells of three kinds, 0, 1, 2, 0, 1, 2, ... that the network tells apart."""
    labels = squares(tuple(range(1, count + 1)))
    kinds = np.random.default_rng(0).normal(size=(3, 16)) * 6
    seen = kinds[np.arange(count) % 3] + np.random.default_rng(1).normal(size=(count, 16))
    told = tuple(names.get(k, "") for k in range(count))
    image = rgb_image(np.repeat(labels[..., None], 3, 2).astype(np.uint8))
    colors = ("#d55e00",) * count
    return Question(
        row, image, cells_of(labels), PLANE, told, colors, seen.astype(np.float32), None
    )


def test_the_nearest_are_of_its_kind_and_never_the_cell_itself() -> None:
    names = {k: "ABC"[k % 3] for k in range(12)}
    found = finish(look_alike(question(names, row=3)))
    assert [one.name for one in found.examples[:3]] == ["A", "A", "A"]
    rows = [one.row for one in found.examples]
    assert len(rows) == 5 and set(rows[:3]) == {0, 6, 9}
    likeness = [one.likeness for one in found.examples]
    assert likeness == sorted(likeness, reverse=True) and 0 < likeness[-1] < likeness[0] < 1
    assert likeness[2] > 1.1 * likeness[3]  # the others are of other kinds
    assert (found.here, found.elsewhere, found.unknown) == (11, 0, 0)
    assert compared_words(found) == "Compared with 11 labeled cells."
    assert head_words(found, 4, "A") == (
        "Cell 4 is called A because it looks like these labeled cells: 3 of 5 are A."
    )
    assert head_words(found, 4, "B").startswith("Cell 4 is called B, yet it looks like these")
    assert head_words(found, 4, "").startswith("Cell 4 looks like these labeled cells")


def test_one_label_is_enough_and_a_far_one_is_called_so() -> None:
    near = finish(look_alike(question({0: "A"}, row=3)))
    far = finish(look_alike(question({1: "B"}, row=3)))
    assert near.examples[0].likeness > 1.1 * far.examples[0].likeness
    told = head_words(near, 4, "")
    assert told == "Cell 4 looks like this labeled cell: it is A."
    unlike = Answer((replace(far.examples[0], likeness=0.1),), here=1)
    assert head_words(unlike, 4, "") == (
        "No labeled cell looks much like cell 4. The nearest: it is B."
    )


def test_what_is_missing_is_said() -> None:
    alone = finish(look_alike(question({3: "A"}, row=3)))
    assert not alone.examples and compared_words(alone) == ""
    assert "this is the only labeled cell" in alone.missing
    nobody = finish(look_alike(question({}, row=3)))
    assert nobody.missing.endswith("no cell is labeled yet. Label some cells, then ask again.")
    asked = replace(question({0: "A"}, row=3), embeddings=None)
    assert finish(look_alike(asked)).missing == (
        "What the model sees in these cells is not known yet: classify them, then ask again."
    )
    hole = question({0: "A"}, row=3)
    assert hole.embeddings is not None
    hole.embeddings[3] = np.nan
    assert "in this cell is not known" in finish(look_alike(hole)).missing


def test_bad_outlines_are_no_examples() -> None:
    cells = cells_of(squares())
    sheet = Sheet(cells, Plane("i" * 32))
    sheet.expect((ClassState("a", "Alpha", "#d55e00"), ClassState("b", "Beta", "#0072b2")))
    sheet.judged[[0, 2], [1, 1]], sheet.label[[0, 2]] = 1, 1
    sheet.flags[2] = 1 << FLAGS.index("bad_segmentation")
    names, colors = labels_of(sheet)
    assert names == ("Beta", "", "", "") and colors[0] == "#0072b2"


def test_cells_of_other_images_count_once_they_are_described(tmp_path: Path) -> None:
    project, paths = smears.project_of(tmp_path, images=3)
    base = smears.base_model(tmp_path / "base.cellpkg")
    here, there = (open_image(path) for path in paths[:2])
    cells = finish(find_cells(here, "smear"))
    found, _ = recall_cells(here, cells, base)
    assert not found.any()
    described = finish(describe_cells(here, cells, base))
    found, seen = recall_cells(here, cells, base)
    assert found.all() and np.array_equal(seen, described.embeddings)
    with project:
        states = tuple(project.journal.state.cells.values())
        image_id = next(iter(project.journal.state.images))
        others = Others(project, states, {})
        unnamed = ("",) * len(cells)
        asked = Question(
            0, here, cells, (image_id, "", 0, 0), unnamed, unnamed, None, base, others=others
        )
        before = finish(look_alike(asked))
        assert (before.unknown, others.known) == (16, {})
        assert "16 labeled cells of other images could not be compared" in before.missing
        finish(describe_cells(there, finish(find_cells(there, "smear")), base))
        after = finish(look_alike(asked))
        assert (after.here, after.elsewhere, after.images, after.unknown) == (0, 8, 1, 8)
        assert {one.image for one in after.examples} == {"field1.png"} and len(others.known) == 1
        for one in after.examples:
            assert one.row is None and one.name in ("Alpha", "Beta")
            assert one.picture is not None and one.picture.ndim == 3 and np.ptp(one.picture) > 50
        told = compared_words(after)
        assert told.startswith(
            "Compared with 8 labeled cells, 8 of them in 1 other image. 8 labeled"
        )
        paths[1].unlink()  # known by now, but for the picture
        assert {one.picture is None for one in finish(look_alike(asked)).examples} == {True}
