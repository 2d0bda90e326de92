from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.cells import crops as crops_module
from napari_cellcls.cells.crops import cut, iter_crops
from napari_cellcls.cells.scaling import channel_limits
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import CellsError, CropSpec, Normalization

FULL = Normalization()


def make_image(data: np.ndarray, **extra: object) -> Image:
    return Image(data, tuple(Channel(f"c{k}") for k in range(len(data))), "test", **extra)  # type: ignore[arg-type]


def plain_crop(
    plane: np.ndarray, mask: np.ndarray, box: tuple[int, int, int, int], size: int
) -> np.ndarray:
    y0, x0, y1, x1 = box
    part = (plane * mask)[y0:y1, x0:x1].astype(float)
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y = np.clip((i + 0.5) * part.shape[0] / size - 0.5, 0, part.shape[0] - 1)
            x = np.clip((j + 0.5) * part.shape[1] / size - 0.5, 0, part.shape[1] - 1)
            a, b = int(y), int(x)
            c, d = min(a + 1, part.shape[0] - 1), min(b + 1, part.shape[1] - 1)
            top = part[a, b] * (1 - x + b) + part[a, d] * (x - b)
            low = part[c, b] * (1 - x + b) + part[c, d] * (x - b)
            out[i, j] = top * (1 - y + a) + low * (y - a)
    return out / 255


@settings(max_examples=15, deadline=None)
@given(
    y=st.integers(0, 25), x=st.integers(0, 25), high=st.integers(1, 20), wide=st.integers(1, 20),
    size=st.integers(1, 12), mask=st.booleans(),
)  # fmt: skip
def test_box_is_the_plain_rule(y: int, x: int, high: int, wide: int, size: int, mask: bool) -> None:
    data = np.random.default_rng(high).integers(0, 256, (1, 30, 30), np.uint8)
    labels = np.zeros((30, 30), np.int32)
    labels[y : y + high, x : x + wide] = 5
    labels[y, x] = 6 if high > 1 and wide > 1 else 5
    box = (y, x, min(y + high, 30), min(x + wide, 30))
    cells = cells_from_labels(labels)
    got = cut(make_image(data), cells, CropSpec(size, "box", mask=mask), FULL, (0,), np.array([0]))
    own = labels == 5 if mask else np.ones((30, 30), bool)
    np.testing.assert_allclose(got[0, ..., 0], plain_crop(data[0], own, box, size), atol=1e-5)


def test_outside_the_image_is_fill() -> None:
    labels = np.zeros((10, 10), np.int32)
    labels[0:4, 0:4] = 1
    image = make_image(np.full((1, 10, 10), 255, np.uint8))
    spec = CropSpec(8, "square", margin=0.5, fill=0.25)
    crop = cut(image, cells_from_labels(labels), spec, FULL, (0,))[0, ..., 0]
    assert crop[0, 0] == 0.25 and crop[-1, -1] == 1.0
    assert (crop[:2] == 0.25).all() and (crop[2:, 2:] == 1.0).all()


def test_window_follows_the_pixel_size() -> None:
    ramp = np.tile(np.arange(100, dtype=np.uint8), (100, 1))[None]
    labels = np.zeros((100, 100), np.int32)
    labels[45:55, 45:55] = 1
    spec = CropSpec(10, "window", extent_um=10.0, extent_px=40)
    cells = cells_from_labels(labels)
    crop = cut(make_image(ramp, pixel_size_um=(0.5, 0.5)), cells, spec, FULL, (0,))
    np.testing.assert_allclose(crop[0, 0, :, 0] * 255, 40.5 + 2 * np.arange(10), atol=1e-4)
    wide = cut(make_image(ramp), cells, spec, FULL, (0,))
    np.testing.assert_allclose(np.diff(wide[0, 0, :, 0]) * 255, 4, atol=1e-4)


def test_a_physical_window_needs_a_pixel_size() -> None:
    labels = np.ones((5, 5), np.int32)
    with pytest.raises(CellsError, match="CELLS-SCALE"):
        cut(
            make_image(np.zeros((1, 5, 5), np.uint8)),
            cells_from_labels(labels),
            CropSpec(4, "window", extent_um=3),
            FULL,
            (0,),
        )


def test_square_is_square_on_the_slide() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:20] = 1
    ramp = np.tile(np.arange(40, dtype=np.uint8)[:, None], (1, 40))[None]
    image = make_image(ramp, pixel_size_um=(1.0, 2.0))
    crop = cut(image, cells_from_labels(labels), CropSpec(10, "square"), FULL, (0,))[0, ..., 0]
    np.testing.assert_allclose(np.diff(crop[:, 0]) * 255, 2, atol=1e-4)


class Watched:
    """An array that remembers the largest block read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, data.ndim
        self.largest = 0

    def __getitem__(self, key: object) -> np.ndarray:
        part = self.data[key]  # type: ignore[index]
        self.largest = max(self.largest, part.size)
        return part


def test_tile_by_tile_equals_whole_and_reads_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops_module, "_TILE", 64)
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (2, 400, 400), np.uint8)
    labels = np.zeros((400, 400), np.int64)
    for k, (y, x) in enumerate(rng.integers(0, 380, (120, 2))):
        labels[y : y + 15, x : x + 12] = (k + 1) * 10**8
    watched = Watched(data)
    lazy = make_image(da.from_array(watched, chunks=(2, 50, 50), asarray=False))  # type: ignore[arg-type]
    read = []
    planes = Image.planes
    monkeypatch.setattr(Image, "planes", lambda *a: read.append(planes(*a)) or read[-1])
    cells = cells_from_labels(da.from_array(labels, chunks=(90, 70)))
    spec = CropSpec(20, "square", margin=0.2, mask=True, fill=0.1)
    seen, got = [], np.zeros((len(cells), 20, 20, 2), np.float32)
    for rows, part in iter_crops(lazy, cells, spec, FULL, (1, 0), batch_size=32):
        assert len(rows) <= 32
        seen.extend(rows.tolist())
        got[rows] = part
    assert sorted(seen) == list(range(len(cells)))
    assert watched.largest <= 2 * 50 * 50
    assert max(part.size for part in read) <= 2 * 100 * 100
    monkeypatch.setattr(crops_module, "_TILE", 10**6)
    whole = cut(make_image(data), cells_from_labels(labels), spec, FULL, (1, 0))
    np.testing.assert_array_equal(got, whole)


def test_limits() -> None:
    data = np.stack([np.arange(10000).reshape(100, 100), np.full((100, 100), 7)]).astype(np.uint16)
    image = make_image(data, value_range=(0.0, 4095.0))
    assert channel_limits(image, FULL, (0, 1)).tolist() == [[0, 4095], [0, 4095]]
    limits = channel_limits(image, Normalization("percentile", 1, 99), (0, 1))
    np.testing.assert_allclose(limits[0], [99.99, 9899.01], rtol=1e-5)
    crop = cut(
        image,
        cells_from_labels(np.ones((100, 100), int)),
        CropSpec(5),
        Normalization("percentile"),
        (1, None),
    )
    assert not crop.any()


def test_a_channel_that_is_not_there() -> None:
    with pytest.raises(CellsError, match="CELLS-CHANNEL"):
        channel_limits(make_image(np.zeros((1, 4, 4))), FULL, (1,))
