"""Plain numbers: the same from measured numbers, crops and batches, and what lies outside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.descriptor import describe
from napari_cellcls.models import habits
from tests.models import make
from tests.test_embed import field


def test_size_and_planes_are_taken_from_measured_numbers() -> None:
    image, cells = field()
    described = describe(image, cells)
    found = habits.of_measured(described.values)
    names = list(described.names)
    boxes = cells.table[["bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1"]].to_numpy()
    assert np.exp(found[:, 0]) == pytest.approx((boxes[:, 2:] - boxes[:, :2]).max(axis=1))
    means = [described.values[:, names.index(f"{c}_mean")] for c in ("red", "green", "blue")]
    assert found[:, 1:] == pytest.approx(np.stack(means, axis=1))


def test_batches_come_back_in_the_order_of_the_cells() -> None:
    _, cells = field()
    batches = [np.array([[2, 0.2], [0, 0.0]]), np.array([[3, 0.3], [1, 0.1]])]
    found = habits.of_batches(batches, cells)
    assert found[:, 1].tolist() == [0.0, 0.1, 0.2, 0.3]
    none = cells.table.iloc[:0]
    assert habits.of_batches([], type(cells)(cells.labels, none, "test")).shape == (0, 1)


def test_crops_are_as_large_as_their_longer_side() -> None:
    crops = np.full((2, 8, 8, 3), 0.25, np.float32)
    crops[1, ..., 2] = 1
    found = habits.of_crops(crops, np.array([[10, 20], [40, 30]]))
    assert np.exp(found[:, 0]) == pytest.approx([20, 40])
    assert found[:, 1:].tolist() == [[0.25] * 3, [0.25, 0.25, 1.0]]


SEEN = np.random.default_rng(0).normal([3.0, 0.5, 0.5], [0.1, 0.1, 0.1], (200, 3))


@pytest.mark.parametrize(
    ("moved", "larger", "planes"),
    [((0, 0, 0), None, None), ((0.1, 0.1, -0.1), None, None), ((0.7, 0, 0), 2.0, (0, 0)),
     ((-0.7, 0, 0), 0.5, (0, 0)), ((0, 0.4, -0.4), None, (1, -1))],
)  # fmt: skip
def test_what_lies_outside_is_told(
    moved: tuple[float, ...], larger: float | None, planes: tuple[int, ...] | None
) -> None:
    shift = habits.shift_of(SEEN, SEEN[:50] + moved)
    if planes is None:
        assert shift is None
        return
    assert shift is not None and shift.planes == planes
    assert shift.larger == (None if larger is None else pytest.approx(larger, rel=0.1))


def test_too_few_cells_say_nothing() -> None:
    far = SEEN + 5
    assert habits.shift_of(SEEN, far[:9]) is None and habits.shift_of(SEEN[:19], far) is None
    assert habits.shift_of(None, far) is None


def test_crops_resized_before_do_not_know_their_size() -> None:
    seen = np.column_stack([np.full(200, np.log(50)), SEEN[:, 1:]])
    assert habits.shift_of(seen, SEEN) is None


def test_what_a_package_knows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain = {"plain": rng.normal(size=(30, 4)).astype(np.float32)}
    package = make.package(tmp_path / "a.cellpkg", reference=plain)
    assert habits.of_package(package) == pytest.approx(plain["plain"])
    full = rng.normal(size=(30, 16 + 31)).astype(np.float32)
    reference = {"embeddings": full, "labels": np.zeros(30, int)}
    tuned = make.package(tmp_path / "b.cellpkg", reference=reference, descriptor="embedding+cell/1")
    assert habits.of_package(tuned) == pytest.approx(habits.of_measured(full[:, 16:]))
    assert habits.of_package(make.package(tmp_path / "c.cellpkg")) is None
    odd = make.package(tmp_path / "d.cellpkg", reference={"plain": np.zeros((30, 2))})
    assert habits.of_package(odd) is None
