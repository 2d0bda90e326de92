"""Real files: the Human Protein Atlas field, blood smears, original malaria crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls._reader import get_reader
from napari_cellcls.images.collections import find_images, open_ref, scan
from napari_cellcls.images.read import open_image

pytestmark = pytest.mark.real


def test_atlas_field_is_one_image_of_four_channels(shared_data: Path) -> None:
    field = shared_data / "hpa" / "field"
    refs = find_images(field)
    assert [ref.name for ref in refs] == ["57_F11_1"]
    image = open_ref(refs[0])
    assert image.data.shape == (4, 1728, 1728)
    assert [c.role.value for c in image.channels] == ["microtubules", "protein", "nucleus", "er"]
    assert [c.color for c in image.channels] == ["#ff0000", "#00ff00", "#0000ff", "#ffff00"]
    blue = open_image(field / "57_F11_1_blue.png")
    np.testing.assert_array_equal(image.planes((2,)), blue.planes())
    reader = get_reader(str(field / "57_F11_1_red.png"))
    assert reader is not None
    layers = reader(str(field / "57_F11_1_red.png"))
    assert [options["colormap"] for _, options, _ in layers] == ["red", "green", "blue", "yellow"]


def test_every_smear_opens(shared_data: Path) -> None:
    found = scan(shared_data / "bccd" / "images")
    assert len(found.refs) == 292
    for ref in found.refs[::20]:
        image = open_ref(ref)
        assert image.is_rgb
        assert image.data.shape == (3, 480, 640)
        assert image.notes == ()


def test_original_crops_palettes_included(shared_data: Path) -> None:
    found = scan(shared_data / "malaria_nih_original_size")
    assert len(found.refs) == 200
    for ref in found.refs:
        image = open_ref(ref)
        assert image.is_rgb, ref.paths
        assert image.value_range == (0.0, 255.0)
