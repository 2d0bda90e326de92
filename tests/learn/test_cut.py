"""Cells cut for a fine-tune: written, read back, and refused when they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.datasets.cut import is_cut, read_cut, write_cut
from napari_cellcls.vocabulary import DataError, finish

SHAPE = (8, 8, 4)


def cells(n: int = 12, multi_label: bool = False) -> CellSet:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    soft = rng.random((n, 3)).astype(np.float32)
    if multi_label:
        labels = rng.integers(0, 2, (n, 3)).astype(np.uint8)
        soft[0, 0] = np.nan
    groups = np.array([f'a "field", {k % 4}' for k in range(n)])
    only = np.array(["1" if k > 8 else "" for k in range(n)])
    return CellSet(
        rng.integers(0, 255, (n, *SHAPE)).astype(np.uint8), labels, ("x", "y", "z"), groups,
        np.array([f"cell {k}" for k in range(n)]), {"training_only": only}, group_kind="image",
        layout="cells of a project", sides=dict.fromkeys(np.unique(groups), "training"), soft=soft,
    )  # fmt: skip


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_written_is_read(tmp_path: Path, multi_label: bool) -> None:
    made = cells(multi_label=multi_label)
    write_cut(tmp_path / "data", made, multi_label=multi_label)
    assert is_cut(tmp_path / "data") and not is_cut(tmp_path)
    found = finish(open_dataset(tmp_path / "data", size=8, channels="rgby"))
    for name in ("images", "labels", "groups", "names", "training_only"):
        assert np.array_equal(getattr(found, name), getattr(made, name)), name
    assert np.array_equal(found.soft, made.soft, equal_nan=True)
    assert found.sides == made.sides and found.group_kind == "image"
    turned = read_cut(tmp_path / "data", SHAPE, ("z", "x", "y"))
    assert np.array_equal(turned.matrix, made.matrix[:, [2, 0, 1]])
    assert np.array_equal(turned.soft, made.soft[:, [2, 0, 1]], equal_nan=True)
    assert np.array_equal(turned.take(np.array([3])).soft, turned.soft[[3]])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_cut(tmp_path, cells(), multi_label=False)
    with pytest.raises(DataError) as shape:
        read_cut(tmp_path, (8, 8, 3), None)
    with pytest.raises(DataError, match="x, y, z; the recipe names x, y, w") as label:
        read_cut(tmp_path, SHAPE, ("x", "y", "w"))
    assert (shape.value.code, label.value.code) == ("DATA-SHAPE", "DATA-LABEL")
    about = json.loads((tmp_path / "cells.json").read_text())
    for change in ({"format": "other"}, {"labels": about["labels"][1:]}, {"names": ["a"]}):
        (tmp_path / "cells.json").write_text(json.dumps({**about, **change}))
        with pytest.raises(DataError) as torn:
            read_cut(tmp_path, SHAPE, None)
        assert torn.value.code == "DATA-UNREADABLE"
