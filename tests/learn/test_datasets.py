"""Labeled sets from the layouts in which people have them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_cellcls.learn.datasets import CellSet, open_dataset, patient_of
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import toy


def _png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 10), (value, 20, 30)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cell_images"
    for label, value in (("Parasitized", 100), ("Uninfected", 200)):
        (root / label).mkdir(parents=True)
        for patient in (1, 2):
            name = f"C{patient}thinF_IMG_{label}_cell_1.png"
            (root / label / name).write_bytes(_png(value + patient))
        (root / label / "Thumbs.db").write_bytes(b"x")
    return root


def _open(path: Path, **options: object) -> CellSet:
    return finish(open_dataset(path, size=8, **options))


def test_malaria_folders(folder: Path) -> None:
    data = _open(folder)
    assert data.classes == ("Parasitized", "Uninfected")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.groups.tolist() == ["C1", "C2", "C1", "C2"]
    assert data.images.shape == (4, 8, 8, 3) and data.images[2, 0, 0].tolist() == [201, 20, 30]
    assert _open(folder.parent).names.tolist() == data.names.tolist()


def test_patient_tables_have_no_header(folder: Path) -> None:
    (folder / "Parasitized" / "odd.png").write_bytes(_png(5))
    with pytest.raises(DataError, match="patient of an image is not known"):
        _open(folder)
    (folder / "patientid_cellmapping_parasitized.csv").write_text("C9P4thinF,odd.png\n")
    assert "C9" in _open(folder).groups.tolist()


def test_the_first_row_of_a_patient_table_counts(tmp_path: Path) -> None:
    data = finish(open_dataset(toy.write_malaria(tmp_path / "cell_images"), size=toy.SIZE))
    assert data.counts == {"Parasitized": 16, "Uninfected": 16}
    assert data.groups[data.names == "IMG_1_cell_0.png"].tolist() == ["C1", "C1"]
    assert set(data.groups) == set(toy.PATIENTS)


def test_parquet(tmp_path: Path) -> None:
    rows = [{"name": f"{i}.png", "label": "ab"[i], "patient": f"C{i}", "fuhad2020": "ok", "image": _png(i)} for i in (0, 1)]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "cells.parquet")
    data = _open(tmp_path / "cells.parquet")
    assert data.counts == {"a": 1, "b": 1} and data.extra["fuhad2020"].tolist() == ["ok", "ok"]


def test_the_cache_is_used_and_renewed(folder: Path, tmp_path: Path) -> None:
    first = _open(folder, cache=tmp_path / "cache")
    assert isinstance(first.images, np.memmap)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    (folder / "Uninfected" / "C3_new.png").write_bytes(_png(9))
    assert len(_open(folder, cache=tmp_path / "cache").labels) == 5


def test_unreadable_images_are_named(folder: Path) -> None:
    (folder / "Uninfected" / "C3_torn.png").write_bytes(_png(9)[:40])
    with pytest.raises(DataError, match=r"1 of 5: C3_torn\.png") as error:
        _open(folder)
    assert error.value.code == "DATA-UNREADABLE"


def test_unknown_and_absent_classes(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"unknown: Uninfected \(first: C1.*; without any cell: Ring"
    ) as error:
        _open(folder, classes=("Parasitized", "Ring"))
    assert error.value.code == "DATA-LABEL"


@pytest.mark.parametrize(("make", "code"), [(None, "DATA-MISSING"), ("empty", "DATA-LAYOUT"), ("text", "DATA-LAYOUT")])  # fmt: skip
def test_other_places(tmp_path: Path, make: str | None, code: str) -> None:
    path = tmp_path / "place"
    if make == "empty":
        path.mkdir()
    elif make == "text":
        path.write_text("no table")
    with pytest.raises(DataError) as error:
        _open(path)
    assert error.value.code == code


def test_one_patient_under_several_cameras() -> None:
    assert patient_of("C47P8thin_Original_Motic_IMG_1.png") == "C47"
    assert patient_of("C47P8thinOriginalOlympusCX21_IMG_2.png") == "C47"
    assert patient_of("odd.png") == ""
