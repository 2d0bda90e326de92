"""Every published recipe trains from the layout in which people have its data, two epochs of a tiny set.

The networks of many layers take minutes to build: set ``CELLCLS_BIG_NETWORKS=1`` to run them too.
"""

from __future__ import annotations

import argparse
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn import runs
from napari_cellcls.learn.recipe import read_recipe
from napari_cellcls.models.package import read_package
from tests.learn import sets, toy

pytestmark = pytest.mark.tensorflow

# Recipe -> parameters with the head as published (None: not published), and the values changed here.
SMALL = {
    "hela_allconv": (1_369_738, []),
    "hela_cnn": (None, []),
    "hela_cnn_l2": (157_034, []),
    "malaria_cnn": (310_732, []),
    "hpa_cnn": (5_217_340, ["input.size=40"]),
    "hpa_cnn_bn": (None, ["input.size=32"]),
}
BIG = {
    "hela_mobilenetv2": (2_270_794, ["input.size=32"]),
    "hpa_resnet50": (None, ["input.size=32"]),
    "hpa_resnet50_oversampled": (None, ["input.size=32"]),
    "hpa_resnet152_oversampled": (None, ["input.size=32"]),
    "hpa_inception_resnet_v2": (58_742_664, ["input.size=75"]),
    "hpa_vgg16": (20_103_656, ["input.size=75"]),
    "malaria_vgg16_features": (None, ["input.size=32"]),
}
RARE = "8 9 10 15 17 20 27"


def write_data(recipe: str, root: Path) -> Path:
    """Write some labelled images in the original layout of a recipe's data."""
    if recipe.startswith("hela"):
        return sets.write_hela(root, images=4)
    if recipe.startswith("hpa"):
        labels = [str(i % 28) + (f" {RARE}" if i % 5 == 0 else " 25") for i in range(28)]
        return sets.write_hpa(root, {f"{i}_1_A1_{i % 3}": t for i, t in enumerate(labels)}, edge=80)
    return toy.write_malaria(root, cells=3)


def train(recipe: str, tmp_path: Path, changes: list[str]) -> Path:
    options = argparse.Namespace(
        recipe=recipe, data=write_data(recipe, tmp_path / "data"), out=tmp_path / "run", fold=None,
        resume=False, micro_batch=None, teacher=None,
        set=["phases.*.epochs=2",
             "phases.*.steps_per_epoch=2", "batch_size=8", *changes],
    )  # fmt: skip
    stream = io.StringIO()
    code = runs.train_command(options, stream)
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert code == 0, last
    return tmp_path / "run"


def check(recipe: str, run: Path, parameters: int | None) -> None:
    from napari_cellcls.models import networks

    asked = read_recipe(recipe)
    job = asked.job()
    total, _ = networks.parameter_count(job.architecture, job.params, job.classes)
    assert parameters is None or total == parameters
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert len(history) == 2 * len(asked.phases)
    assert all(np.isfinite(value) for entry in history for value in entry.values())
    package = read_package(run / "model.cellpkg").manifest
    assert package.scheme.names == asked.classes and package.multi_label == job.multi_label
    assert package.architecture.id == job.architecture and not package.metrics.independent
    about = json.loads((run / "run.json").read_text())
    assert about["metrics"]["n"] == about["sides"]["test"] > 0
    if asked.pretrained == "imagenet":
        assert any(note.startswith("Starts from") for note in about["notes"])


@pytest.mark.parametrize("recipe", SMALL)
def test_small_networks(recipe: str, tmp_path: Path) -> None:
    parameters, changes = SMALL[recipe]
    check(recipe, train(recipe, tmp_path, changes), parameters)


@pytest.mark.skipif(
    not os.environ.get("CELLCLS_BIG_NETWORKS"), reason="minutes; set CELLCLS_BIG_NETWORKS=1"
)
@pytest.mark.parametrize("recipe", BIG)
def test_big_networks(recipe: str, tmp_path: Path) -> None:
    parameters, changes = BIG[recipe]
    check(recipe, train(recipe, tmp_path, changes), parameters)


def test_these_are_all_thirteen() -> None:
    assert len(SMALL | BIG) == 13
