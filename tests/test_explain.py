"""Explanations: alike cells are those made alike, heat lies where the cell differs and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.explain import heat_of, most_alike
from napari_cellcls.vocabulary import CellsError, ModelError, finish
from tests.models import make
from tests.test_predict import rgb_image, square_cells

BLOCKS = (30, 5)


def kinds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors of three kinds of cells, the measured numbers a thousand times larger."""
    centers = np.random.default_rng(1).normal(size=(3, 35)) * 4
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    unit = np.where(np.arange(35) < 30, 1, 1000)
    return (centers[kind] + rng.normal(size=(n, 35))) * unit, kind


@pytest.mark.parametrize("examples", [8, 200])
def test_the_most_alike_are_of_the_same_kind(examples: int) -> None:
    cells, kind = kinds(40, 0)
    seen, known = kinds(examples, 2)
    found = most_alike(cells, seen, BLOCKS, count=1)
    assert (known[found.rows[:, 0]] == kind).mean() > 0.95
    every = most_alike(cells, seen, BLOCKS, count=5)
    assert every.rows.shape == (40, 5) and (np.diff(every.distances, axis=1) >= 0).all()


def test_a_cell_is_most_like_itself() -> None:
    seen, _ = kinds(60, 3)
    found = most_alike(seen[:4], seen, BLOCKS)
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3]
    assert found.distances[:, 0] == pytest.approx(0, abs=0.02)
    assert most_alike(seen[:4], seen[:3], BLOCKS).rows.shape == (4, 3)
    assert most_alike(seen[:0], seen, BLOCKS).rows.shape == (0, 8)


def test_classes_that_differ_in_one_direction_are_not_drowned() -> None:
    rng = np.random.default_rng(4)
    kind = np.arange(200) % 10 == 0  # a rare one, where the model sees a difference
    seen = rng.normal(size=(200, 60)) * 0.3
    seen[:, 0] += 6 * kind
    found = most_alike(seen[kind], seen, (60, 0), count=6)
    assert kind[found.rows[:, 1:]].mean() > 0.95


def test_heat_lies_where_the_cell_differs(tmp_path: Path) -> None:
    package = make.package(tmp_path / "m.cellpkg")
    data = np.full((3, 200, 200), 150, np.uint8)
    data[:, 64:70, 84:88] = 30  # a dark spot in the upper left of the cell at (64, 84)
    image, cells = replace(rgb_image(), data=data), square_cells()
    label = int(cells.labels[66, 86])
    found = finish(heat_of(image, cells, label, package))
    assert found.origin == (64, 84) and found.values.shape == (2, 14, 14)
    heat = np.abs(found.values[0])
    assert heat[:7, :7].max() > 5 * heat[10:, 10:].max()
    assert found.values[0] == pytest.approx(-found.values[1], rel=1e-3, abs=1e-4)  # two classes
    plain = finish(heat_of(image, cells, int(cells.labels[5, 5]), package))
    assert np.abs(plain.values).max() < 1e-4


def test_heat_is_the_cells_own_where_the_model_sees_nothing_else(tmp_path: Path) -> None:
    crop = {"size": 24, "frame": "square", "margin": 0.3, "mask": True}
    package = make.package(
        tmp_path / "m.cellpkg", crop=crop, descriptor="embedding+cell/1", level="tuned"
    )
    image, cells = rgb_image(), square_cells()
    label = int(cells.ids[0])  # its frame reaches beyond the image
    found = finish(heat_of(image, cells, label, package))
    y, x = found.origin
    assert min(y, x) < 4
    outside = np.ones(found.values.shape[1:], bool)
    outside[4 - y : 18 - y, 4 - x : 18 - x] = False
    assert (found.values[:, outside] == 0).all() and np.abs(found.values).max() > 0


def test_what_cannot_be_explained_is_said_at_once(tmp_path: Path) -> None:
    image, cells = rgb_image(), square_cells()
    package = make.package(tmp_path / "m.cellpkg")
    with pytest.raises(CellsError, match="cell 5 is not among the 100 cells"):
        heat_of(image, cells, 5, package)
    blank = make.package(tmp_path / "b.cellpkg", classes=[], inputs=[], channel_policy="each")
    with pytest.raises(ModelError, match="MODEL-NO-CLASSES"):
        heat_of(image, cells, int(cells.ids[0]), blank)
