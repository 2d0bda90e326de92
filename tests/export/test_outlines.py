"""Outlines: the way from a mask to its outlines and back is exact."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_cellcls.export.outlines import mask_of, polygons


@given(mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=8)), y=st.integers(0, 9))
def test_there_and_back_is_the_same_mask(mask, y):
    found, (top, left) = mask_of(polygons(mask, (y, 3)))
    whole = np.zeros((20, 20), bool)
    whole[top : top + found.shape[0], left : left + found.shape[1]] = found
    expected = np.zeros((20, 20), bool)
    expected[y : y + mask.shape[0], 3 : 3 + mask.shape[1]] = mask
    assert np.array_equal(whole, expected)


def test_a_ring_has_a_hole_and_an_island():
    mask = np.ones((7, 7), bool)
    mask[1:6, 1:6] = False
    mask[3, 3] = True
    found = polygons(mask)
    assert [len(polygon) for polygon in found] == [2, 1]
    assert found[0][0].tolist() == [[0, 0], [7, 0], [7, 7], [0, 7]]
    assert sorted(found[0][1].tolist()) == [[1, 1], [1, 6], [6, 1], [6, 6]]
    assert found[1][0].tolist() == [[3, 3], [4, 3], [4, 4], [3, 4]]


def test_pixels_that_touch_at_a_corner_are_two_polygons():
    assert len(polygons(np.eye(2, dtype=bool))) == 2


def test_corners_between_pixels_take_the_pixels_whose_centers_are_inside():
    triangle = np.array([[0.2, 0.2], [4.2, 0.2], [0.2, 4.2]])
    mask, origin = mask_of([[triangle]])
    assert origin == (0, 0)
    assert mask.astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert mask_of([[triangle]], (2, 2))[0].tolist() == [[True, True], [True, True]]
    assert mask_of([[triangle - 9]])[0].size == 0
    assert mask_of([[triangle[:2]]])[0].size == 0
