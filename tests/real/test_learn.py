"""The real malaria set: counts, patients, folds without leaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.datasets import BLOOD_CLASSES, open_dataset
from napari_cellcls.learn.datasets.known import antibody_of
from napari_cellcls.learn.protocols import SplitPlan, make_split
from napari_cellcls.learn.sides import SIDES, fractions, listed_sides, stratified_sides
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


def test_no_malaria_crop_is_a_copy_and_every_protocol_splits_the_set(shared_data: Path) -> None:
    data = finish(open_dataset(shared_data / "malaria_nih_50px.parquet", size=50))
    assert len(np.unique(data.hashes())) == len(data)
    published = finish(make_split(data, SplitPlan("random", val=0.2)))
    assert [len(r) for r in published.sides().values()] == [17_636, 4_410, 5_512]
    assert (
        "100.0 % of the test images have their patient on the training side" in published.notes[0]
    )
    for kind in ("grouped", "stratified"):
        split = finish(make_split(data, SplitPlan(kind, test=0.2, val=0.2)))  # type: ignore[arg-type]
        assert split.notes == ()
        for rows in split.sides().values():
            assert abs((data.labels[rows] == 0).mean() - 0.5) < 0.01


def test_blood_cells_are_grouped_by_photograph(shared_data: Path) -> None:
    data = finish(open_dataset(shared_data / "bccd", size=32))
    assert data.counts == {"RBC": 3348, "WBC": 301, "Platelets": 292}
    assert data.classes == BLOOD_CLASSES and len(np.unique(data.groups)) == 292
    assert "BloodImage_00338#12, BloodImage_00343#3" in data.notes[0]
    split = finish(make_split(data, SplitPlan("stratified", test=0.2, val=0.1)))
    for k in range(3):
        of_class = data.labels == k
        assert abs((data.labels[split.test] == k).sum() / of_class.sum() - 0.2) < 0.02


def test_antibodies_of_the_atlas_split_evenly_and_as_published(shared_data: Path) -> None:
    import pandas as pd

    table = pd.read_csv(shared_data / "hpa" / "hpav18.csv.gz")
    groups = np.array([antibody_of(i) for i in table["Id"]])
    assert len(np.unique(groups)) == 12_815 and (groups != "").all()
    labels = np.zeros((len(table), 28), np.uint8)
    for row, target in enumerate(table["Target"].astype(str)):
        labels[row, [int(n) for n in target.split()]] = 1
    side = stratified_sides(groups, labels, fractions(0.15, 0.15))
    test = labels[side == "test"].sum(0) / labels.sum(0)
    assert np.abs(test - 0.15).max() < 0.025
    names = {"training": "train", "validation": "valid", "test": "test"}
    lists = {
        s: tuple((shared_data / "hpa" / f"antibodies_{names[s]}.txt").read_text().split())
        for s in SIDES
    }
    published = listed_sides(groups, lists)
    assert {s: int((published == s).sum()) for s in SIDES}["test"] > 10_000
    check_leaks({s: np.flatnonzero(published == s) for s in SIDES}, groups=groups)
