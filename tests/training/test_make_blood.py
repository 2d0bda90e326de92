"""Folds, package and card of the blood cells, put together from networks that were never trained."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn import evaluate
from napari_cellcls.learn.evaluate import read_folds
from napari_cellcls.models.package import read_package
from tests.learn import sets, toy
from tests.training.test_make_malaria import in_this_process, write_run
from training import found_blood, make_blood

pytestmark = pytest.mark.tensorflow


def some_cells(data: Path, folder: Path, recipe: object) -> found_blood.Found:
    """Return six cells of two photographs: finding them is tested elsewhere."""
    truth = np.array([0, 1, 2, 0, 1, -1])
    names = np.array(["field0", "field0", "field0", "field1", "field1", "field1"])
    return found_blood.Found(
        np.eye(3)[truth], truth, np.ones(6), names, np.array([0] * 3 + [1] * 3)
    )


def test_folds_package_and_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sets.write_boxes(tmp_path / "bccd", fields=8)
    recipe = toy.write_recipe(
        tmp_path / "toy.yaml", data="folders", classes=["RBC", "WBC", "Platelets"], positive=None,
        crop={"frame": "square", "margin": 0.5},
    )  # fmt: skip
    run = write_run(tmp_path / "run", recipe)
    folds, package, card = tmp_path / "folds", tmp_path / "b.cellpkg", tmp_path / "card.md"
    monkeypatch.setattr(evaluate, "_child_logits", in_this_process)
    monkeypatch.setattr(found_blood, "judge", some_cells)
    monkeypatch.setattr(
        sys, "argv",
        ["make_blood.py", str(run), "--data", str(data), "--recipe", str(tmp_path / "toy.yaml"),
         "--folds", str(folds), "--package", str(package), "--card", str(card)],
    )  # fmt: skip
    make_blood.main()

    about = read_folds(folds)
    held_out = [set(entry["groups"]) for entry in about["folds"]]
    assert not held_out[0] & held_out[1] and len(held_out[0] | held_out[1]) == 8
    assert about["protocol"].startswith("image-disjoint 2-fold, 8 images")
    assert (about["frame"], about["margin"]) == ("square", 0.5)
    numbers = json.loads((folds / "metrics.json").read_text())
    assert json.loads((folds / "found.json").read_text())["without_a_box"]["Platelets"] == 1

    manifest = read_package(package).manifest
    assert (manifest.name, manifest.level, manifest.cells) == ("blood-cells", "released", "blood")
    assert manifest.crop.frame == "square" and not manifest.crop.mask
    assert set(manifest.metrics.per_class) == {"rbc", "wbc", "platelets"}
    recall = manifest.metrics.per_class["wbc"]["sensitivity"]
    assert recall.value == numbers["classes"]["WBC"]["sensitivity"] and recall.n == 8
    text = card.read_text(encoding="utf-8")
    assert f"{numbers['accuracy']:.4f}" in text and "image-disjoint 2-fold" in text
    assert "Not for diagnosis" in text and "How it was chosen" in text
