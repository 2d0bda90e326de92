"""Labels carried over a new segmentation: survivors keep theirs, all others are listed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellcls.cells.carry import carry
from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.vocabulary import CellsError


def disks(centers: list[tuple[float, float]], radius: float = 7, size: int = 120) -> np.ndarray:
    labels = np.zeros((size, size), np.int32)
    yy, xx = np.mgrid[:size, :size]
    for label, (y, x) in enumerate(centers, 1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = label
    return labels


def anchors_of(labels: np.ndarray) -> dict[int, Anchor]:
    return {a.label: a for a in anchors(cells_from_labels(labels), "img")}


GRID = [(y, x) for y in range(15, 120, 30) for x in range(15, 120, 30)]


@settings(max_examples=25)
@given(data=st.data())
def test_survivors_are_found_and_nothing_is_linked_wrongly(data):
    """Shifted by up to 1.5 pixels, grown or shrunk by 12 %, some dropped, split or merged."""
    old = disks(GRID)
    fate = data.draw(
        st.lists(st.sampled_from(["same"] * 6 + ["drop", "split"]), min_size=16, max_size=16)
    )
    order = data.draw(st.permutations(range(1, 41)))
    new = np.zeros_like(old)
    truth = {}
    yy, xx = np.mgrid[:120, :120]
    for i, ((y, x), what) in enumerate(zip(GRID, fate)):
        dy, dx = data.draw(st.tuples(*[st.floats(-1.5, 1.5)] * 2))
        disk = (yy - y - dy) ** 2 + (xx - x - dx) ** 2 <= (
            7 * data.draw(st.floats(0.88, 1.12))
        ) ** 2
        if what == "same":
            truth[i + 1] = order[i]
            new[disk] = order[i]
        elif what == "split":
            new[disk & (xx < x)] = order[i]
            new[disk & (xx > x + 1)] = order[16 + i]
    known = anchors_of(old)
    result = carry(list(known.values()), new)
    kept = {
        a.label: result.kept[a.cell_id].label for a in known.values() if a.cell_id in result.kept
    }
    assert kept == truth
    kinds = {item.cell_id: item.kind for item in result.review}
    for i, what in enumerate(fate):
        if what != "same":
            assert kinds[known[i + 1].cell_id] == {"drop": "lost", "split": "split"}[what]


@given(st.data())
def test_the_same_masks_are_the_same_cells(data):
    labels = data.draw(
        st.builds(lambda seed: ndimage.label(np.random.default_rng(seed).random((40, 40)) > 0.7)[0],
                  st.integers(0, 99))
    )  # fmt: skip
    known = anchors_of(labels)
    shuffled = np.concatenate([[0], 1 + np.random.default_rng(0).permutation(labels.max())])[labels]
    result = carry(list(known.values()), shuffled)
    assert result.review == ()
    for label, anchor in known.items():
        assert result.kept[anchor.cell_id].iou == 1
        assert result.kept[anchor.cell_id].label == shuffled[labels == label][0]


def test_two_cells_that_became_one_are_listed():
    old = disks([(30, 30), (30, 46)])
    new = np.where(old > 0, 5, 0)
    result = carry(list(anchors_of(old).values()), new)
    assert result.kept == {}
    assert [item.kind for item in result.review] == ["merge", "merge"]
    assert {c.label for item in result.review for c in item.candidates} == {5}


def test_the_larger_half_of_a_split_is_not_taken_for_the_cell():
    old = disks([(30, 30)], 10)
    new = old.copy()
    new[:, 35:][old[:, 35:] > 0] = 2
    (item,) = carry(list(anchors_of(old).values()), new).review
    assert item.kind == "split"
    assert item.candidates[0].iou > 0.5


def test_a_crumb_beside_a_cell_is_no_split():
    old = disks([(30, 30)], 10)
    new = old.copy()
    new[:, 39:][old[:, 39:] > 0] = 2
    (kept,) = carry(list(anchors_of(old).values()), new).kept.values()
    assert kept.label == 1


def test_a_crescent_keeps_its_label():
    labels = disks([(60, 60)], 30)
    labels[disks([(60, 70)], 28) > 0] = 0
    (kept,) = carry(list(anchors_of(labels).values()), labels).kept.values()
    assert kept.iou == 1


def test_far_smaller_and_far_larger_masks_are_listed():
    old = disks([(60, 60)], 20)
    for radius, kind in ((12, "moved"), (33, "moved"), (5, "lost")):
        (item,) = carry(list(anchors_of(old).values()), disks([(60, 60)], radius)).review
        assert item.kind == kind


def test_labels_of_another_size_are_refused():
    known = list(anchors_of(disks([(100, 100)])).values())
    with pytest.raises(CellsError, match="CELLS-SIZE"):
        carry(known, np.zeros((50, 50), int))
    assert carry([], np.zeros((5, 5), int)).kept == {}
    assert [i.kind for i in carry(known, np.zeros((120, 120), int)).review] == ["lost"]
