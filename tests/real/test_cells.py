from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import CropSpec, Normalization

pytestmark = pytest.mark.real


def test_a_pasted_crop_comes_back_as_in_the_50_pixel_set(shared_data: Path) -> None:
    from PIL import Image as Picture
    from pyarrow import parquet

    paths = sorted((shared_data / "malaria_nih_original_size").glob("*.png"))[::5]
    table = parquet.read_table(
        shared_data / "malaria_nih_50px.parquet",
        columns=["name", "image"],
        filters=[("name", "in", [p.name for p in paths])],
    )
    known = dict(zip(table["name"].to_pylist(), table["image"].to_pylist()))
    for path in paths:
        crop = np.asarray(Picture.open(path).convert("RGB"))
        height, width = crop.shape[:2]
        field = np.full((3, height + 60, width + 40), 190, np.uint8)
        labels = np.zeros(field.shape[1:], np.int32)
        mask = crop.any(axis=-1)
        place = (slice(30, 30 + height), slice(20, 20 + width))
        field[:, place[0], place[1]][:, mask] = crop[mask].T
        labels[place][mask] = 4
        image = Image(field, tuple(Channel(n) for n in "rgb"), "field", True)
        spec = CropSpec(50, "box", mask=True)
        got = cut(image, cells_from_labels(labels), spec, Normalization(), (0, 1, 2))[0] * 255
        wanted = np.asarray(Picture.open(io.BytesIO(known[path.name])).convert("RGB"))
        assert np.abs(got - wanted).max() < 1
