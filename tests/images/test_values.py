import numpy as np
import pytest

from napari_cellcls.images.values import measure_range


@pytest.mark.parametrize(
    ("high", "full"), [(1.0, 1.0), (200.0, 255.0), (255.0, 255.0), (40000.0, 65535.0)]
)
def test_floating_point_colors_keep_the_scale_they_came_from(high, full):
    pixels = np.zeros((3, 2, 2), np.float32)
    (black, white), notes = measure_range(pixels, True, None, 0.0, high)
    assert (black, white) == (0.0, full)
    assert bool(notes) == (full > 1)


def test_other_floating_point_images_use_their_own_range():
    pixels = np.zeros((1, 2, 2), np.float32)
    (black, white), notes = measure_range(pixels, False, None, 3.0, 200.0)
    assert (black, white) == (3.0, 200.0)
    assert "taken as full scale" in notes[0]
