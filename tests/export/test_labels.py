"""Label images keep every id, their pixel size, and a small dtype."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_cellcls.export.labels import write_labels
from tests.export import fakes


def test_ids_and_pixel_size_come_back(tmp_path: Path) -> None:
    cells, target = fakes.cells(), tmp_path / "f.labels.tif"
    write_labels(cells, target, (0.1, 0.2))
    with tifffile.TiffFile(target) as file:
        page = file.pages[0]
        assert page.compression.name == "ADOBE_DEFLATE"
        assert page.asarray().dtype == np.uint16
        np.testing.assert_array_equal(page.asarray(), cells.labels)
        assert 'PhysicalSizeX="0.2"' in file.ome_metadata
        assert 'PhysicalSizeY="0.1"' in file.ome_metadata
        assert page.tags["XResolution"].value == (50000, 1)


def test_without_pixel_size_none_is_claimed(tmp_path: Path) -> None:
    write_labels(fakes.cells(), tmp_path / "f.tif")
    with tifffile.TiffFile(tmp_path / "f.tif") as file:
        assert "PhysicalSize" not in file.ome_metadata


@pytest.mark.parametrize("lazy", [False, True])
def test_large_images_go_tile_by_tile(tmp_path: Path, lazy: bool) -> None:
    labels = np.zeros((2100, 700), np.int64)
    labels[5:2095, 600:699] = 70_000
    cells = replace(fakes.cells(), table=fakes.cells().table.assign(label=[1, 2, 3, 70_000]))
    stored = da.from_array(labels, chunks=(1000, 300)) if lazy else labels
    write_labels(replace(cells, labels=stored), tmp_path / "f.tif")
    with tifffile.TiffFile(tmp_path / "f.tif") as file:
        assert file.pages[0].tile == (512, 512)
        assert file.pages[0].dtype == np.uint32
        np.testing.assert_array_equal(file.pages[0].asarray(), labels)


def test_bytes_are_repeatable(tmp_path: Path) -> None:
    write_labels(fakes.cells(), tmp_path / "a.tif", (0.1, 0.1))
    write_labels(fakes.cells(), tmp_path / "b.tif", (0.1, 0.1))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
