"""Numbers of a cell: known shapes, stain over uneven glass, and what may not change them."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.cells import descriptor
from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.descriptor import PER_PLANE, SHAPE, describe
from napari_cellcls.cells.scaling import over_background
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import CellsError


def disk(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """Return a mask of a disk."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) < radius


def field(labels: np.ndarray, seed: int = 0, scale: float | None = None) -> tuple[Image, Cells]:
    """Return two random planes and the cells of a label image."""
    data = np.random.default_rng(seed).integers(0, 255, (2, *labels.shape)).astype(np.uint8)
    image = Image(
        data, (Channel("dna"), Channel("actin")), "field",
        pixel_size_um=None if scale is None else (scale, scale),
    )  # fmt: skip
    return image, cells_from_labels(labels, image.pixel_size_um)


def named(image: Image, cells: Cells) -> dict[str, np.ndarray]:
    """Return the numbers by name."""
    found = describe(image, cells)
    assert found.values.shape == (len(cells), len(found.names)) and np.isfinite(found.values).all()
    return dict(zip(found.names, found.values.T))


def test_names_say_what_and_of_which_channel() -> None:
    found = describe(*field(disk((40, 40), 20, 20, 8).astype(int)))
    assert found.names[: len(SHAPE)] == SHAPE
    assert found.names[len(SHAPE)] == "dna_mean" and found.names[-1] == "actin_gradient"
    assert len(found.names) == len(SHAPE) + 2 * len(PER_PLANE)


def test_a_disk_is_round_and_a_rod_is_not() -> None:
    labels = disk((120, 200), 50, 50, 30).astype(int)
    labels[55:65, 100:180] = 2
    got = named(*field(labels))
    area, rod = np.pi * 30**2, 800
    assert np.exp(got["log_area"]) == pytest.approx([area, rod], rel=0.01)
    assert got["circularity"][0] == pytest.approx(1, abs=0.12) and got["circularity"][1] < 0.45
    assert got["solidity"] == pytest.approx([0.98, 1], abs=0.02)
    assert got["eccentricity"][0] < 0.1 and got["eccentricity"][1] > 0.98
    assert np.exp(got["log_major_axis"][0]) == pytest.approx(60, rel=0.02)
    assert got["extent"] == pytest.approx([np.pi / 4, 1], abs=0.03)
    assert np.exp(got["log_box_height"]) == pytest.approx([59, 10])


def test_lengths_are_in_micrometers() -> None:
    labels = disk((60, 60), 30, 30, 20).astype(int)
    plain, scaled = named(*field(labels)), named(*field(labels, scale=0.25))
    for name in SHAPE:
        power = {"log_area": 2}.get(name, 1 if name.startswith("log_") else 0)
        assert scaled[name] == pytest.approx(plain[name] + power * np.log(0.25), abs=1e-4), name


def test_a_bright_center_and_a_flat_plane() -> None:
    labels = disk((60, 60), 30, 30, 20).astype(int)
    image, cells = field(labels)
    data = np.zeros((2, 60, 60), np.float32)
    data[0] = 100 * disk((60, 60), 30, 30, 8)
    data[1] = 50 * (labels > 0)
    got = named(replace(image, data=data), cells)
    assert got["dna_center_minus_rim"][0] > 0.5 and got["dna_sd"][0] > 0.3
    assert got["actin_sd"][0] == pytest.approx(0, abs=1e-6)
    assert got["actin_mean"][0] == pytest.approx(1, abs=1e-6)


def test_stain_is_measured_over_uneven_glass() -> None:
    glass = 120 + 100 * np.linspace(0, 1, 200)[None, :] * np.ones((200, 1))
    labels = (disk((200, 200), 100, 40, 15) + 2 * disk((200, 200), 100, 160, 15)).astype(int)
    light = np.where(labels > 0, glass * np.exp(-0.5), glass)
    image = Image(
        np.repeat(light[None], 3, 0), tuple(Channel(n) for n in "rgb"), "smear", is_rgb=True
    )
    got = named(image, cells_from_labels(labels))
    assert got["g_mean"] == pytest.approx([0.5, 0.5], abs=0.04)
    corner = (slice(0, 20), slice(0, 20))
    assert over_background(image, (0, 1, 2))(corner) == pytest.approx(0, abs=0.05)


def test_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((90, 90), int)
    for k, (y, x) in enumerate([(10, 10), (45, 40), (70, 80), (20, 70)]):
        labels[disk((90, 90), y, x, 9)] = k + 1
    image, cells = field(labels)
    whole = describe(image, cells).values
    monkeypatch.setattr(descriptor, "_WINDOW", 30)
    lazy = replace(image, data=da.from_array(image.data, chunks=(1, 32, 32)))
    apart = describe(lazy, replace(cells, labels=da.from_array(labels, chunks=32))).values
    assert apart == pytest.approx(whole, abs=1e-5)


def test_cells_of_another_image_are_refused() -> None:
    image, _ = field(disk((30, 30), 15, 15, 5).astype(int))
    _, other = field(disk((40, 30), 15, 15, 5).astype(int))
    with pytest.raises(
        CellsError, match=r"labels are \(40, 30\) \(Y, X\), the image is \(30, 30\)"
    ):
        describe(image, other)


def test_no_cells_no_rows() -> None:
    image, cells = field(disk((30, 30), 15, 15, 5).astype(int))
    empty = replace(cells, table=cells.table.iloc[:0])
    assert describe(image, empty).values.shape == (0, len(SHAPE) + 2 * len(PER_PLANE))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(0, 3), st.booleans())
def test_turning_the_image_changes_nothing(seed: int, turns: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((48, 48), int)
    for k in range(3):
        y, x = rng.integers(8, 40, 2)
        labels[disk((48, 48), y, x, rng.uniform(1, 8)) & (labels == 0)] = k + 1
    if not labels.any():
        return
    image, _ = field(labels, seed)

    def moved(planes: np.ndarray) -> np.ndarray:
        found = np.rot90(planes, turns, axes=(-2, -1))
        return np.ascontiguousarray(found[..., ::-1] if mirrored else found)

    before = named(image, cells_from_labels(labels))
    after = named(replace(image, data=moved(image.data)), cells_from_labels(moved(labels)))
    swapped = {"log_box_height": "log_box_width", "log_box_width": "log_box_height"}
    for name, values in before.items():
        other = swapped.get(name, name) if turns % 2 else name
        assert after[other] == pytest.approx(values, abs=2e-3), name
