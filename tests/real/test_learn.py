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
    from napari_cellcls.learn.datasets import Entry, InputSpec, patient_of
    from napari_cellcls.learn.datasets.decode import crop

    for path in sorted(folder.glob("*.png"))[:40]:
        entry = Entry(path.name, ("",), patient_of(path.name), (path,))
        image, _ = crop(entry, InputSpec(50))
        assert image.shape == (50, 50, 3) and (image.max(-1) == 0).any()


def test_folders_as_published_are_the_same_cells(shared_data: Path, tmp_path: Path) -> None:
    """The layout of the published archive: class folders and patient tables without a header."""
    import csv
    import io

    import pandas as pd
    from PIL import Image

    table = pd.read_parquet(
        shared_data / "malaria_nih_50px.parquet", columns=["name", "label", "patient", "image"]
    )
    table = table.groupby("label").sample(150, random_state=0)
    root = tmp_path / "cell_images"
    for label, rows in table.groupby("label"):
        (root / str(label)).mkdir(parents=True)
        for name, image in zip(rows["name"], rows["image"]):
            Image.open(io.BytesIO(image)).convert("RGB").save(root / str(label) / name)
        path = root / f"patientid_cellmapping_{str(label).lower()}.csv"
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows(zip(rows["patient"], rows["name"]))
    table.to_parquet(tmp_path / "part.parquet")
    folders = finish(open_dataset(root, size=50))
    parquet = finish(open_dataset(tmp_path / "part.parquet", size=50))
    assert folders.counts == {"Parasitized": 150, "Uninfected": 150}
    order = [np.lexsort((d.names, d.labels)) for d in (folders, parquet)]
    for field in ("names", "labels", "groups", "images"):
        ours, theirs = (getattr(d, field)[o] for d, o in zip((folders, parquet), order))
        assert np.array_equal(ours, theirs), field
