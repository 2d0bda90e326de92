"""Folds, package and card put together from networks that were never trained."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn import evaluate
from napari_cellcls.learn.evaluate import read_folds
from napari_cellcls.learn.job import Fitted, write_weights
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.learn.runs import score_folds
from napari_cellcls.models.package import read_package
from napari_cellcls.vocabulary import Progress
from tests.learn import toy
from training import make_malaria

pytestmark = pytest.mark.tensorflow


def write_run(folder: Path, recipe: Recipe) -> Path:
    """Write what ``cellcls train`` leaves of its folds, with random weights."""
    import keras

    from napari_cellcls.learn.classifier import build_classifier
    from napari_cellcls.models import networks, plan

    job = recipe.job()
    folder.mkdir()
    spec = networks.weight_spec(job.architecture, job.params)
    for seed, name in enumerate(("fold0", "fold1", ".")):
        keras.utils.set_random_seed(seed)
        backbone, model = build_classifier(job)
        kernel, bias = model.layers[-1].get_weights()
        write_weights(
            folder / name / "weights.safetensors",
            Fitted(plan.collect(backbone, spec), (kernel, bias), []),
        )
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    return folder


def in_this_process(data, folder, about, fold):
    """Score the folds here: starting TensorFlow once more would take longer than all the rest."""
    work = folder.parent / "work"
    work.mkdir()
    np.save(work / "images.npy", data.images, allow_pickle=False)
    np.save(work / "fold.npy", fold, allow_pickle=False)
    yield Progress(1, 1, "scored")
    with (work / "said.txt").open("w") as stream:
        score_folds(folder, work, stream)
    return np.load(work / "logits.npy", allow_pickle=False)


def test_folds_package_and_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy.write_malaria(tmp_path / "cell_images")
    recipe = toy.write_recipe(tmp_path / "toy.yaml")
    run = write_run(tmp_path / "run", recipe)
    folds, package, card = tmp_path / "folds", tmp_path / "m.cellpkg", tmp_path / "card.md"
    monkeypatch.setattr(evaluate, "_child_logits", in_this_process)
    monkeypatch.setattr(
        sys, "argv",
        ["make_malaria.py", str(run), "--data", str(data), "--recipe", str(tmp_path / "toy.yaml"),
         "--folds", str(folds), "--package", str(package), "--card", str(card)],
    )  # fmt: skip
    make_malaria.main()

    about = read_folds(folds)
    held_out = [set(entry["groups"]) for entry in about["folds"]]
    assert not held_out[0] & held_out[1] and held_out[0] | held_out[1] == set(toy.PATIENTS)
    assert about["protocol"].startswith("patient-disjoint 2-fold, 8 patients")
    numbers = json.loads((folds / "metrics.json").read_text())

    made = read_package(package)
    manifest = made.manifest
    assert (manifest.name, manifest.level) == ("malaria-thin-smear", "released")
    assert [c.name for c in manifest.classes] == list(toy.CLASSES)
    assert manifest.crop.size == toy.SIZE and manifest.crop.mask
    assert manifest.metrics.values["accuracy"].value == numbers["accuracy"]
    assert made.head[0].shape == (8, 2)
    assert made.reference["embeddings"].shape == (32, 8)
    assert np.bincount(made.reference["labels"]).tolist() == [16, 16]
    assert made.test_input.shape == (8, toy.SIZE, toy.SIZE, 3)
    assert made.test_output.shape == (8, 8)

    text = card.read_text(encoding="utf-8")
    assert f"{numbers['accuracy']:.4f}" in text and "mean ± SD of folds" in text
    assert "Not for diagnosis" in text and "patient-disjoint 2-fold" in text


def test_a_run_of_another_recipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy.write_recipe(tmp_path / "toy.yaml", phases=[{"epochs": 2}])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "job.json").write_text(json.dumps(asdict(recipe.job())))
    toy.write_recipe(tmp_path / "toy.yaml")
    monkeypatch.setattr(
        sys, "argv",
        ["make_malaria.py", str(tmp_path / "run"), "--data", str(tmp_path), "--recipe", str(tmp_path / "toy.yaml")],
    )  # fmt: skip
    with pytest.raises(SystemExit, match="The run was not made by"):
        make_malaria.main()
