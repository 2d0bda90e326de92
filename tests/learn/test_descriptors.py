"""Descriptors: the same twice, kept once, made anew when anything they follow from has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.learn import descriptors as room
from napari_cellcls.learn.descriptors import descriptors, leveled
from napari_cellcls.models import runtime
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.registry import load
from napari_cellcls.vocabulary import finish


@pytest.fixture(scope="module")
def engine() -> Engine:
    with runtime.open_engine(load("blank")) as opened:
        yield opened


def field(seed: int = 0, rgb: bool = True) -> tuple[Image, Cells]:
    """Return a bright field with four stained disks, or three fluorescent planes, and its cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:90, :90]
    labels = np.zeros((90, 90), int)
    for k, (a, b) in enumerate([(20, 20), (20, 65), (65, 20), (65, 65)]):
        labels[np.hypot(y - a, x - b) < 12 + k] = k + 1
    data = 230 - (labels > 0) * (60 + 10 * labels) + rng.integers(-4, 5, (3, 90, 90))
    names = ("red", "green", "blue")
    image = Image(data.astype(np.uint8), tuple(Channel(n) for n in names), "field", is_rgb=rgb)
    return image, cells_from_labels(labels)


def made(image: Image, cells: Cells, cache: Path, engine: Engine) -> room.Descriptors:
    return finish(descriptors(image, cells, load("blank"), engine=engine, cache=cache))


def test_the_second_time_they_come_from_disk_and_are_the_same(
    tmp_path: Path, engine: Engine
) -> None:
    image, cells = field()
    one, two = (made(image, cells, tmp_path, engine) for _ in range(2))
    assert (one.cached, two.cached) == (False, True)
    assert np.array_equal(one.values, two.values) and one.blocks == two.blocks == (1280, 31)
    assert one.values.shape == (4, 1311) and one.values.dtype == np.float32
    assert len(list(tmp_path.iterdir())) == 1


def test_every_channel_is_looked_at_by_itself_without_color(tmp_path: Path, engine: Engine) -> None:
    image, cells = field(rgb=False)
    assert made(image, cells, tmp_path, engine).blocks == (3 * 1280, 31)


@pytest.mark.parametrize("what", ["pixels", "cells", "plane", "scale"])
def test_any_change_makes_them_anew(tmp_path: Path, engine: Engine, what: str) -> None:
    image, cells = field()
    made(image, cells, tmp_path, engine)
    if what == "pixels":
        image, _ = field(seed=1)
    elif what == "cells":
        labels = np.asarray(cells.labels).copy()
        labels[20, 20] = 0
        cells = cells_from_labels(labels)
    elif what == "plane":
        image = replace(image, z=3)
    else:
        image = replace(image, pixel_size_um=(0.1, 0.1))
    assert not made(image, cells, tmp_path, engine).cached


def test_what_lies_outside_the_cell_does_not_matter(tmp_path: Path, engine: Engine) -> None:
    image, cells = field()
    other = np.array(image.data)
    other[:, 40:48, 40:48] = 90  # dirt on the glass, between the cells
    one = made(image, cells, tmp_path, engine)
    two = made(replace(image, data=other), cells, tmp_path, engine)
    scale = np.abs(one.values[:, :1280]).mean()
    assert np.abs(one.values - two.values)[:, :1280].mean() < 0.05 * scale


def test_a_damaged_file_is_made_anew(tmp_path: Path, engine: Engine) -> None:
    image, cells = field()
    one = made(image, cells, tmp_path, engine)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:100])
    two = made(image, cells, tmp_path, engine)
    assert not two.cached and np.array_equal(one.values, two.values)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, engine: Engine
) -> None:
    image, cells = field()
    (tmp_path / "file").write_text("not a folder")
    assert made(image, cells, tmp_path / "file", engine).values.shape == (4, 1311)


def test_the_folder_is_bounded(tmp_path: Path, engine: Engine) -> None:
    for seed in range(3):
        image, cells = field(seed)
        finish(
            descriptors(image, cells, load("blank"), engine=engine, cache=tmp_path, limit=15_000)
        )
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert made(image, cells, tmp_path, engine).cached  # the newest one stays


def test_lazy_images_give_the_same(tmp_path: Path, engine: Engine) -> None:
    image, cells = field()
    lazy = replace(image, data=da.from_array(image.data, chunks=(1, 40, 40)))
    assert np.asarray(leveled(lazy).data) == pytest.approx(leveled(image).data, abs=1e-6)
    one = made(image, cells, tmp_path / "a", engine).values
    two = made(lazy, cells, tmp_path / "b", engine).values
    assert two == pytest.approx(one, abs=0.02)


def test_no_cells(tmp_path: Path, engine: Engine) -> None:
    image, cells = field()
    none = replace(cells, table=cells.table.iloc[:0])
    assert made(image, none, tmp_path, engine).values.shape == (0, 1311)
