from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cellcls.cells.platelets import cut_platelets

WIDE = 36
Y, X = np.mgrid[:120, :120]


def disc(y: int, x: int, radius: float) -> np.ndarray:
    return np.asarray(np.hypot(Y - y, X - x) < radius)


@pytest.mark.parametrize(("x", "cut"), [(84, True), (80, True), (64, False), (72, False)])
def test_a_platelet_at_the_side_is_cut_off_and_one_inside_stays(x: int, cut: bool) -> None:
    spot = disc(60, x, 6)
    labels = (disc(60, 60, 18) | spot).astype(np.int32)
    got, first = cut_platelets(labels, spot, WIDE)
    assert first == 2
    assert (got[60, x] == 2) == cut
    assert got[60, 50] == 1
    assert ndi.label(got == 1)[1] == 1
    if not cut:
        np.testing.assert_array_equal(got, labels)


def test_a_platelet_that_touches_nothing_is_left_alone() -> None:
    spot = disc(60, 60, 6)
    got, first = cut_platelets(spot.astype(np.int32), spot, WIDE)
    assert first == 2 and got.max() == 1


def test_dust_and_white_cells_are_not_platelets() -> None:
    for radius in (1, 15):
        spot = disc(60, 78 + radius, radius)
        labels = (disc(60, 60, 18) | spot).astype(np.int32)
        np.testing.assert_array_equal(cut_platelets(labels, spot, WIDE)[0], labels)


def test_without_purple_nothing_changes() -> None:
    labels = disc(60, 60, 18).astype(np.int32)
    got, first = cut_platelets(labels, np.zeros_like(labels, bool), WIDE)
    assert got is labels and first == 2
