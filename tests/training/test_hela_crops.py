"""Network inputs of simulated HeLa images: cut as the product cuts them, classes in turn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from training.simulate import hela, hela_crops

from napari_cellcls import cli
from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.collections import find_images, open_ref
from napari_cellcls.learn.metrics import one_hot, scored
from napari_cellcls.vocabulary import finish


def test_classes_come_in_turn() -> None:
    found = hela_crops.collect(30, 4, processes=1)
    assert found.labels.tolist() == [0, 1, 2, 3]
    assert found.fields.tolist() == [30, 31, 32, 33]
    assert found.crops.shape == (4, 112, 112, 1) and found.crops.dtype == np.uint8
    assert ((found.crops > 200).sum((1, 2, 3)) > 20).all()
    again = hela_crops.image_crop(31)
    assert np.array_equal(again.crops[0], found.crops[1])


def test_a_file_on_disk_gives_the_same_crop(tmp_path: Path) -> None:
    for name, whole in (("cut", False), ("uncut", True)):
        picture = hela.simulate(7, "lysosome", 16, cut_out=not whole)
        tifffile.imwrite(tmp_path / f"{name}.tif", picture)
        (ref,) = find_images([tmp_path / f"{name}.tif"])
        image = open_ref(ref)
        cells = finish(find_cells(image, "whole"))
        rule = (hela_crops.CROP, hela_crops.NORMALIZATION)
        assert np.allclose(cut(image, cells, *rule, (0,)), hela_crops.crop_of(picture), atol=1e-6)


def test_without_the_cut_the_background_stays_and_the_cell_is_the_same() -> None:
    cell, photograph = (hela.simulate(3, "er", 8, cut_out=c).astype(int) for c in (True, False))
    assert (photograph[cell > 0] == cell[cell > 0]).all()
    assert (photograph > 0).mean() > 0.6 > (cell > 0).mean()


def test_both_golgi_proteins_as_one_class() -> None:
    a, b = (hela_crops.CLASSES.index(name) for name in hela_crops.GOLGI)
    truth = np.array([a, b, 0])
    p = np.full((3, 10), 0.02)
    p[:, b], p[2, 0] = 0.5, 0.9
    of = scored(p, one_hot(truth, 10))
    assert (of.said & of.truth).any(1).tolist() == [False, True, True]
    title, joined = hela_crops.second_look(of, hela_crops.image_crop(0))
    assert title == "golgia and golgpp as one class"
    assert joined.truth.shape == (3, 9)
    assert (joined.said & joined.truth).any(1).all()
    assert np.allclose(joined.probabilities.sum(1), p.sum(1))


def test_the_bundled_model_names_easy_images_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("dna", "mitochondria", "nucleolus")
    for name in names:
        tifffile.imwrite(tmp_path / f"{name}.tif", hela.simulate(9_000_001, name))
    images = [str(tmp_path / f"{name}.tif") for name in names]
    out = tmp_path / "out"
    assert cli.main(["classify", *images, "--model", "hela-organelles", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "trained on simulated images, no accuracy claim on real" in printed.out + printed.err
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert [row["cells"]["found_by"] for row in summary["images"]] == ["whole"] * 3
    said = {n: pd.read_csv(out / f"{n}.cells.csv")["predicted"].tolist() for n in names}
    assert said == {name: [name] for name in names}
