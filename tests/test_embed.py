"""Descriptors: the same twice, kept once, made anew when anything they follow from has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_cellcls import embed, shelf
from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.embed import Descriptors, describe_cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.models import runtime
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.registry import load
from napari_cellcls.vocabulary import finish


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path))
    return shelf.folder()


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


def made(image: Image, cells: Cells, engine: Engine) -> Descriptors:
    return finish(describe_cells(image, cells, load("blank"), engine=engine))


def test_the_second_time_they_come_from_disk_and_are_the_same(cache: Path, engine: Engine) -> None:
    image, cells = field()
    one, two = (made(image, cells, engine) for _ in range(2))
    assert (one.cached, two.cached) == (0, 4)
    assert np.array_equal(one.values, two.values) and one.blocks == two.blocks == (1280, 31)
    assert one.values.shape == (4, 1311) and one.values.dtype == np.float32
    assert one.embeddings.shape == (4, 1280)
    assert one.weights_sha256 == load("blank").weights_sha256
    assert len(list(cache.iterdir())) == 1


def test_nothing_is_kept_when_that_is_not_wanted(cache: Path, engine: Engine) -> None:
    image, cells = field()
    task = describe_cells(image, cells, load("blank"), engine=engine, cache=False)
    kept = made(image, cells, engine)
    assert np.array_equal(finish(task).values, kept.values) and kept.cached == 0


def test_cells_known_already_are_not_looked_at_again(engine: Engine) -> None:
    """Thirty labeled cells and all cells of the window, numbered in another way, share the disk."""
    image, cells = field()
    two = made(image, replace(cells, table=cells.table.iloc[[1, 3]]), engine)
    renumbered = cells_from_labels(np.where(cells.labels > 0, 9 - cells.labels, 0))
    every = made(image, renumbered, engine)
    assert (two.cached, every.cached) == (0, 2)
    assert np.array_equal(every.values[[2, 0]], two.values)
    assert made(image, cells, engine).cached == 4


def test_no_engine_is_opened_for_known_cells(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, cells = field()
    made(image, cells, engine)
    monkeypatch.setattr(embed, "_open", lambda package: pytest.fail("opened"))
    assert finish(describe_cells(image, cells, load("blank"))).cached == 4


def test_every_channel_is_looked_at_by_itself_without_color(engine: Engine) -> None:
    image, cells = field(rgb=False)
    assert made(image, cells, engine).blocks == (3 * 1280, 31)


@pytest.mark.parametrize("what", ["pixels", "cells", "plane", "scale"])
def test_any_change_makes_them_anew(engine: Engine, what: str) -> None:
    image, cells = field()
    made(image, cells, engine)
    kept = 0
    if what == "pixels":
        image, _ = field(seed=1)
    elif what == "cells":
        labels = np.asarray(cells.labels).copy()
        labels[20, 20] = 0
        cells, kept = cells_from_labels(labels), 3
    elif what == "plane":
        image = replace(image, z=3)
    else:
        image = replace(image, pixel_size_um=(0.1, 0.1))
    assert made(image, cells, engine).cached == kept


def test_what_lies_outside_the_cell_does_not_matter(engine: Engine) -> None:
    image, cells = field()
    other = np.array(image.data)
    other[:, 40:48, 40:48] = 90  # dirt on the glass, between the cells
    one = made(image, cells, engine)
    two = made(replace(image, data=other), cells, engine)
    scale = np.abs(one.values[:, :1280]).mean()
    assert np.abs(one.values - two.values)[:, :1280].mean() < 0.05 * scale


def test_a_damaged_file_is_made_anew(cache: Path, engine: Engine) -> None:
    image, cells = field()
    one = made(image, cells, engine)
    path = next(cache.iterdir())
    path.write_bytes(path.read_bytes()[:100])
    two = made(image, cells, engine)
    assert two.cached == 0 and np.array_equal(one.values, two.values)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    cache: Path, engine: Engine
) -> None:
    image, cells = field()
    cache.parent.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.write_text("not a folder")
    assert made(image, cells, engine).values.shape == (4, 1311)


def test_an_image_whose_file_is_gone_is_described_without_the_disk(
    cache: Path, engine: Engine
) -> None:
    image, cells = field()
    gone = replace(image, path=str(cache / "gone.tif"))
    assert np.array_equal(made(gone, cells, engine).values, made(image, cells, engine).values)
    assert made(gone, cells, engine).cached == 0


def test_the_folder_is_bounded(
    cache: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "LIMIT_BYTES", 15_000)
    for seed in range(3):
        image, cells = field(seed)
        made(image, cells, engine)
    assert len(list(cache.glob("*.npz"))) == 1
    assert made(image, cells, engine).cached == 4  # the newest one stays


def test_a_file_is_bounded_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_FILE_BYTES", 3 * (2 * 1280 + 4 * 31 + 16))
    image, cells = field()
    made(image, replace(cells, table=cells.table.iloc[:2]), engine)
    made(image, replace(cells, table=cells.table.iloc[2:]), engine)
    assert made(image, cells, engine).cached == 3  # the oldest row made room


def test_lazy_images_give_the_same(engine: Engine) -> None:
    image, cells = field()
    lazy = replace(image, data=da.from_array(image.data, chunks=(1, 40, 40)), z=1)
    one, two = made(image, cells, engine), made(lazy, cells, engine)
    assert two.cached == 0 and two.values == pytest.approx(one.values, abs=0.02)


def test_lazy_labels_are_the_same_cells(engine: Engine) -> None:
    image, cells = field()
    made(image, cells, engine)
    lazy = replace(cells, labels=da.from_array(np.asarray(cells.labels), chunks=(40, 40)))
    assert made(image, lazy, engine).cached == 4


def test_no_cells(engine: Engine) -> None:
    image, cells = field()
    none = replace(cells, table=cells.table.iloc[:0])
    assert made(image, none, engine).values.shape == (0, 1311)
