"""The real malaria set: counts, patients, folds without leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.splits import check_leaks, grouped_folds
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.real


def test_the_malaria_set_splits_by_patient(shared_data: Path) -> None:
    data = finish(open_dataset(shared_data / "malaria_nih_50px.parquet", size=50))
    assert data.counts == {"Parasitized": 13_779, "Uninfected": 13_779}
    assert len(np.unique(data.groups)) == 200
    assert (data.extra["fuhad2020"] == "confirmed").sum() == 26_161
    fold = grouped_folds(data.groups, data.labels)
    sides = {f"fold {k}": np.flatnonzero(fold == k) for k in range(5)}
    check_leaks(sides, groups=data.groups, hashes=data.hashes(), names=data.names)
    for rows in sides.values():
        assert 5_200 < len(rows) < 5_800
        assert abs((data.labels[rows] == 0).mean() - 0.5) < 0.01


def test_original_size_crops_are_read(shared_data: Path) -> None:
    folder = shared_data / "malaria_nih_original_size"
    if not folder.is_dir():
        pytest.skip("no crops in original size")
    from napari_cellcls.learn.datasets import _decode, _Row, patient_of

    for path in sorted(folder.glob("*.png"))[:40]:
        image = _decode(_Row(path.name, "", patient_of(path.name), path), 50)
        assert image is not None and image.shape == (50, 50, 3) and (image.max(-1) == 0).any()
