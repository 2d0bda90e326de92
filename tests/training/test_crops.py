"""Training crops: cut by the product's rule, labels in step, fields kept apart."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari_cellcls.cells.crops", reason="the crop rule is not there yet")

from training.simulate import crops, fluorescence


@pytest.fixture(scope="module")
def part() -> crops.CropSet:
    return crops.field_crops(12)


def test_crops_have_the_shape_of_the_network_input(part: crops.CropSet) -> None:
    n = len(part.labels)
    assert n >= 4
    assert part.crops.shape == (n, 96, 96, 4)
    assert part.crops.dtype == np.uint8
    assert part.labels.shape == (n, len(fluorescence.PATTERNS))
    assert (part.labels.sum(1) >= 1).all()
    assert (part.fields == 12).all()


def test_outside_the_cell_is_black(part: crops.CropSet) -> None:
    assert ((part.crops == 0).all(-1).mean((1, 2)) > 0.05).all()


def test_protein_and_nucleus_are_visible(part: crops.CropSet) -> None:
    assert (part.crops[..., 2].max((1, 2)) > 60).mean() > 0.8
    assert (part.crops[..., 1].max((1, 2)) > 20).mean() > 0.8


def test_a_set_is_filled_in_order_of_its_seeds() -> None:
    found = crops.collect(40, 12, processes=1)
    assert len(found.labels) == 12
    assert found.fields[0] == 40
    assert (np.diff(found.fields) >= 0).all()
