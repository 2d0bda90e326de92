from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from napari_cellcls.cells import segment
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import CellsError, ChannelRole, finish

RGB = tuple(Channel(n) for n in ("red", "green", "blue"))


def smear(shape: tuple[int, int], centers: list[tuple[int, int]], radius: int = 20) -> np.ndarray:
    """Draw pink rings on pale glass; the last two centers may touch."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    density = np.zeros(shape)
    for cy, cx in centers:
        distance = np.hypot(y - cy, x - cx) / radius
        density = np.maximum(
            density, np.where(distance < 1, 0.5 - 0.3 * np.exp(-((distance / 0.4) ** 2)), 0)
        )
    density = ndi.gaussian_filter(density, 1)
    noise = np.random.default_rng(0).normal(0, 1, (3, *shape))
    return np.clip(
        np.stack([225 * np.exp(-0.3 * density), 220 * np.exp(-density), 215 * np.exp(-0.6 * density)])
        + noise, 0, 255,
    ).astype(np.uint8)  # fmt: skip


def grid(rows: int, columns: int, pitch: int = 60) -> list[tuple[int, int]]:
    return [(40 + pitch * i, 40 + pitch * j) for i in range(rows) for j in range(columns)]


def test_each_red_cell_is_one_object_also_when_they_touch() -> None:
    centers = [*grid(4, 5), (300, 100), (300, 138)]
    cells = finish(find_cells(Image(smear((340, 340), centers), RGB, "s", True), "smear"))
    assert len(cells) == 22
    under = [int(cells.labels[y, x]) for y, x in centers]
    assert len(set(under)) == 22 and 0 not in under
    assert cells.table["area_px"].between(900, 1700).all()
    assert not cells.table["border"].any()


def test_a_purple_cell_is_rejected() -> None:
    data = smear((340, 340), grid(4, 5)).astype(float)
    y, x = np.mgrid[:340, :340]
    data[:, np.hypot(y - 300, x - 200) < 28] = np.array([90, 40, 170])[:, None]
    cells = finish(find_cells(Image(data.astype(np.uint8), RGB, "s", True), "smear"))
    assert cells.rejected is not None and cells.rejected.counts() == {"white cell": 1}
    assert cells.labels[300, 200] == 0 and len(cells) == 20


def all_blood() -> np.ndarray:
    """Draw twenty red cells, one white cell, one free platelet and one dark gray speck."""
    data = smear((340, 340), grid(4, 5)).astype(float)
    y, x = np.mgrid[:340, :340]
    data[:, np.hypot(y - 300, x - 200) < 28] = np.array([90, 40, 170])[:, None]
    data[:, np.hypot(y - 300, x - 60) < 5] = np.array([140, 110, 190])[:, None]
    data[:, np.hypot(y - 300, x - 100) < 5] = np.array([110, 105, 105])[:, None]
    return data.astype(np.uint8)


def test_blood_takes_white_cells_and_platelets_as_cells() -> None:
    image = Image(all_blood(), RGB, "s", True)
    red, blood = (finish(find_cells(image, method)) for method in ("smear", "blood"))
    assert (len(red), len(blood)) == (20, 22)
    assert blood.method == "blood" and blood.rejected is not None
    assert "white cell" not in blood.rejected.counts() and "platelet" not in blood.rejected.counts()
    # Red cells keep their outlines and numbers; the others come after them.
    np.testing.assert_array_equal(np.where(blood.labels > 20, 0, blood.labels), red.labels)
    white, platelet = int(blood.labels[300, 200]), int(blood.labels[300, 60])
    assert {white, platelet} == {21, 22} and blood.labels[300, 100] == 0
    area = blood.table.set_index("label")["area_px"]
    assert area[white] > 2000 and 60 < area[platelet] < 200
    assert not (blood.rejected.labels.astype(bool) & (blood.labels > 0)).any()


def test_blood_by_tiles_gives_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finish(find_cells(Image(all_blood(), RGB, "s", True), "blood"))
    monkeypatch.setattr(segment, "_CORE", 150)
    lazy = Image(da.from_array(all_blood(), chunks=(3, 150, 200)), RGB, "s", True)
    tiled = finish(find_cells(lazy, "blood"))
    assert len(whole) == 22
    np.testing.assert_array_equal(tiled.labels > 0, whole.labels > 0)


def test_no_blood_cell_is_said_in_words() -> None:
    blank = Image(np.full((3, 120, 120), 200, np.uint8), RGB, "s", True)
    cells = finish(find_cells(blank, "blood"))
    assert len(cells) == 0 and cells.method == "blood"
    assert cells.notes[-1].startswith("no cells found: ")


def test_tiles_give_the_same_cells_as_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = smear((420, 420), grid(6, 6))
    whole = finish(find_cells(Image(data, RGB, "s", True), "smear"))
    monkeypatch.setattr(segment, "_CORE", 150)
    lazy = Image(da.from_array(data, chunks=(3, 150, 200)), RGB, "s", True)
    tiled = finish(find_cells(lazy, "smear"))
    assert len(whole) == 36
    np.testing.assert_array_equal(tiled.labels > 0, whole.labels > 0)
    left, right = (c.table.sort_values(["y", "x"])[["y", "x", "area_px"]] for c in (whole, tiled))
    np.testing.assert_allclose(left, right)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["normal", "poisson", "blank"]))
def test_noise_gives_no_cells_and_says_why(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    data = {
        "normal": rng.normal(100, 10, (1, 120, 130)),
        "poisson": rng.poisson(20, (1, 120, 130)).astype(np.uint8),
        "blank": np.full((1, 120, 130), seed, np.uint16),
    }[kind]
    for method in ("smear", "fluorescence"):
        cells = finish(find_cells(Image(data, (Channel("x"),), "n"), method))  # type: ignore[arg-type]
        assert len(cells) == 0 and cells.notes[-1].startswith("no cells found: ")


def test_a_cut_out_cell_and_fluorescence_are_no_smear_and_say_so() -> None:
    y, x = np.mgrid[:60, :64]
    crop = np.where(np.hypot(y - 30, x - 32) < 29, 150, 0).astype(np.uint8)[None].repeat(3, 0)
    cells = finish(find_cells(Image(crop, RGB, "c", True), "smear"))
    assert len(cells) == 0 and cells.notes[-1].endswith("the method for that is whole")
    glow = np.stack([nuclei() / 2, nuclei(), nuclei()]).clip(1, 255).astype(np.uint8)
    cells = finish(find_cells(Image(glow, RGB, "f", True), "smear"))
    assert len(cells) == 0 and "most of the image is black" in cells.notes[-1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3)])
def test_tiny_images_are_no_error(shape: tuple[int, int]) -> None:
    for method in ("smear", "blood", "fluorescence", "whole"):
        finish(find_cells(Image(np.ones((1, *shape), np.uint8), (Channel("x"),), "n"), method))  # type: ignore[arg-type]


def nuclei(shape: tuple[int, int] = (300, 300)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = np.zeros(shape)
    for k, (cy, cx) in enumerate([(60, 60), (60, 104), (200, 70), (220, 220)]):
        plane[np.hypot(y - cy, x - cx) < 22] = 80 + 30 * k
    return ndi.gaussian_filter(plane, 1.5) + np.random.default_rng(1).poisson(5, shape)


def test_touching_nuclei_are_split_and_cells_grow_around_them() -> None:
    dapi = nuclei()
    image = Image(dapi[None], (Channel("DAPI", ChannelRole.NUCLEUS),), "f")
    cells = finish(find_cells(image, "fluorescence"))
    assert len(cells) == 4
    assert cells.table["area_px"].min() > 1.3 * np.pi * 22**2
    body = ndi.gaussian_filter((dapi > 40).astype(float), 12) * 200
    channels = (*image.channels, Channel("tub", ChannelRole.MICROTUBULES))
    with_body = finish(find_cells(Image(np.stack([dapi, body]), channels, "f"), "fluorescence"))
    assert len(with_body) == 4


def test_unknown_channels_are_asked_for() -> None:
    image = Image(np.zeros((2, 40, 40)), (Channel("a"), Channel("b")), "f")
    with pytest.raises(CellsError, match="CELLS-CHANNEL") as caught:
        finish(find_cells(image, "fluorescence"))
    assert "0 a, 1 b" in caught.value.why


def test_unknown_method_and_option() -> None:
    image = Image(np.zeros((1, 40, 40)), (Channel("a"),), "f")
    with pytest.raises(CellsError, match="CELLS-METHOD"):
        finish(find_cells(image, "magic"))  # type: ignore[arg-type]
    with pytest.raises(CellsError, match="CELLS-METHOD"):
        finish(find_cells(image, "smear", sigma=3))


def test_whole_leaves_black_corners_out() -> None:
    y, x = np.mgrid[:50, :40]
    disc = ((y - 24.5) / 25) ** 2 + ((x - 19.5) / 20) ** 2 < 1
    data = np.where(disc, 150, 0).astype(np.uint8)[None].repeat(3, 0)
    cells = finish(find_cells(Image(data, RGB, "c", True), "whole"))
    assert len(cells) == 1 and cells.table.loc[0, "area_px"] == disc.sum()
    assert not cells.table.loc[0, "border"]
    full = finish(find_cells(Image(data + 1, RGB, "c", True), "whole"))
    assert full.table.loc[0, "area_px"] == 2000
