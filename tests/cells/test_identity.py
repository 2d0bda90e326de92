"""Who is this image and this cell: ids from content alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_cellcls.cells.identity import Anchor, anchors, crop_sha, image_id, image_id_of_array
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import CellsError, ImageError

LABELS = arrays.arrays(np.uint8, (9, 11), elements=st.integers(0, 4)).filter(np.any)


@given(labels=LABELS)
def test_anchors_hold_the_masks(labels: np.ndarray):
    cells = cells_from_labels(labels)
    found = anchors(cells, "img", pixel_size_um=(0.5, 0.25))
    drawn = np.zeros_like(labels)
    for anchor in found:
        y0, x0, y1, x1 = anchor.bbox
        drawn[y0:y1, x0:x1][anchor.pixels()] = anchor.label
        assert anchor.area_px == (labels == anchor.label).sum()
        assert anchor.area_um2 == pytest.approx(anchor.area_px / 8)
        assert Anchor.from_json(json.loads(json.dumps(anchor.to_json()))) == anchor
    np.testing.assert_array_equal(drawn, labels)
    assert len({anchor.cell_id for anchor in found}) == len(found)


@given(labels=LABELS, shift=st.integers(1, 9))
def test_renumbering_changes_no_id(labels: np.ndarray, shift: int):
    renamed = np.where(labels > 0, (labels + shift) % 7 + (labels > 0) * 20, 0)
    one = {a.cell_id for a in anchors(cells_from_labels(labels), "img")}
    two = {a.cell_id for a in anchors(cells_from_labels(renamed), "img")}
    if len(np.unique(renamed)) == len(np.unique(labels)):
        assert one == two


def test_the_id_depends_on_image_plane_place_and_mask():
    base = Anchor("i", 1, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4")
    others = [
        Anchor("j", 1, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4"),
        Anchor("i", 1, (0, 1, 2, 3), 0.5, 1.5, 4, "0,4"),
        Anchor("i", 1, (0, 0, 2, 2), 0.5, 0.5, 3, "0,3,1"),
        Anchor("i", 1, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4", t=1),
        Anchor("i", 1, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4", scene="B"),
    ]
    assert len({base.cell_id, *(a.cell_id for a in others)}) == 6
    assert Anchor("i", 9, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4").cell_id == base.cell_id


@pytest.mark.parametrize(
    "change",
    [
        {"mask": "0,5"}, {"mask": ""}, {"mask": "x"}, {"mask": "5,-1"}, {"bbox": [0, 0, 2]},
        {"bbox": [0, 0, 0, 4]}, {"area_px": 3}, {"bbox": None}, {"pixel_size_um": 3},
        {"bbox": [-1, 0, 1, 2]},
    ],
)  # fmt: skip
def test_a_broken_anchor_says_so(change):
    whole = Anchor("i", 1, (0, 0, 2, 2), 0.5, 0.5, 4, "0,4").to_json()
    with pytest.raises(CellsError, match="CELLS-ANCHOR"):
        Anchor.from_json({**whole, **change})


@pytest.mark.parametrize("size", [0, 10, 7 * 2**20])
def test_image_ids_follow_the_content(tmp_path: Path, size: int):
    one = tmp_path / "a.tif"
    one.write_bytes(bytes(size))
    found = image_id(one)
    moved = tmp_path / "there" / "b.tiff"
    moved.parent.mkdir()
    one.rename(moved)
    assert image_id(moved) == found
    moved.write_bytes(bytes(size) + b"x")
    assert image_id(moved) != found
    if size:
        moved.write_bytes(bytes(size - 1) + b"x")
        assert image_id(moved) != found


def test_a_zarr_folder_has_an_id_too(tmp_path: Path):
    for name in ("a.zarr", "b.zarr"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / "zarr.json").write_text("{}")
        (tmp_path / name / "0" / "c0").write_bytes(b"chunk")
    assert image_id(tmp_path / "a.zarr") == image_id(tmp_path / "b.zarr")
    (tmp_path / "b.zarr" / "0" / "c0").write_bytes(b"chxnk")
    assert image_id(tmp_path / "a.zarr") != image_id(tmp_path / "b.zarr")


def test_an_image_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(ImageError, match="IMG-MISSING"):
        image_id(tmp_path / "x.tif")


def test_arrays_and_crops_have_ids():
    data = np.arange(600, dtype=np.uint16).reshape(2, 15, 20)
    assert image_id_of_array(data) != image_id_of_array(data.reshape(2, 20, 15))
    image = Image(data, (Channel("a"), Channel("b")), "x")
    big_endian = Image(data.astype(">u2"), image.channels, "y")
    box = (0, 0, 4, 4)
    assert crop_sha(image, box) == crop_sha(big_endian, box)
    changed = data.copy()
    changed[1, 2, 2] += 1
    assert crop_sha(Image(changed, image.channels, "x"), box) != crop_sha(image, box)
    assert crop_sha(Image(changed, image.channels, "x"), (12, 16, 14, 18), 1) == crop_sha(
        image, (12, 16, 14, 18), 1
    )
