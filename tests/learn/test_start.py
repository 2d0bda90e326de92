"""A training that goes on from a model package: same classes, others, and the wrong package."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.datasets.cut import write_cut
from napari_cellcls.learn.recipe import Recipe, parse_recipe
from napari_cellcls.learn.start import open_start, start_of
from napari_cellcls.models.package import ModelPackage, read_package, write_package
from napari_cellcls.vocabulary import DataError
from tests.learn.jobs import blobs
from tests.models import make

ARCH = {"id": "malaria_cnn", "params": {"size": 16, "channels": 3, "embedding": 8}}


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    made = make.manifest(architecture=ARCH, temperature=2.0, crop={"size": 16, "frame": "square"})
    return write_package(tmp_path / "base.cellpkg", made, **make.parts(made))


def recipe_for(package: ModelPackage, classes: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    return {
        "name": "tuned", "title": "Tuned", "data": "project", "architecture": ARCH, "classes": list(classes),
        "start": {"package": "base.cellpkg", "sha256": package.sha256},
        "input": {"size": 16, "channels": "rgb"}, "crop": {"frame": "square"}, "multi_label": False,
        "phases": [{"epochs": 1, "learning_rate": 1e-9}], "protocol": {"kind": "listed"}, **changes,
    }  # fmt: skip


def recipe(package: ModelPackage, *classes: str, **changes: Any) -> Recipe:
    return parse_recipe(recipe_for(package, classes, **changes))


def test_the_head_follows_the_classes_by_name(package: ModelPackage) -> None:
    start = start_of(package, ("New", "Beta", "Alpha"))
    kernel, bias = package.head
    assert np.array_equal(start.head[0][:, 1:], kernel[:, ::-1] / 2)
    assert np.array_equal(start.head[1][1:], bias[::-1] / 2)
    assert not start.head[0][:, 0].any() and start.head[1][0] == 0
    assert start_of(replace(package, head=None), ("a", "b")).head is None


def test_another_package_or_network_is_refused(package: ModelPackage, tmp_path: Path) -> None:
    asked = recipe(package, "Alpha", "Beta")
    found = open_start(asked, tmp_path, asked.job())
    assert found.label == "small@1.0.0" and asked.job().start == package.sha256
    other = recipe(package, "Alpha", "Beta", start={"package": "base.cellpkg", "sha256": "0" * 64})
    with pytest.raises(DataError, match="the recipe names 000000000000") as refused:
        open_start(other, tmp_path, other.job())
    assert refused.value.code == "RECIPE-START"
    wider = recipe(package, "Alpha", "Beta", architecture={**ARCH, "params": {"embedding": 16}})
    with pytest.raises(DataError, match="other parameters"):
        open_start(wider, tmp_path, wider.job())
    with pytest.raises(DataError, match="both say where the network starts"):
        recipe(package, "Alpha", "Beta", pretrained="imagenet")


def cut_cells(folder: Path, classes: tuple[str, ...]) -> CellSet:
    images, labels = blobs(60)
    groups = np.array([f"field, {k % 6}" for k in range(60)])
    sides = dict(zip(np.unique(groups), ["training"] * 4 + ["validation", "test"], strict=True))
    soft = np.eye(len(classes), dtype=np.float32)[labels] * 0.8 + 0.1
    names = np.array([f"c{k}" for k in range(60)])
    made = CellSet(
        images, labels, classes, groups, names, sides=sides, soft=soft, group_kind="image"
    )
    write_cut(folder, made, multi_label=False)
    return made


def run_of(folder: Path, content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Train in this process; return the last event and all notes."""
    from napari_cellcls.learn import runs

    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    stream = io.StringIO()
    options = argparse.Namespace(
        recipe=str(path), data=folder / "data", out=folder / "run", fold=None, resume=False,
        set=None, micro_batch=None, teacher=None,
    )  # fmt: skip
    assert runs.train_command(options, stream) == 0, stream.getvalue()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    return events[-1], [note for event in events for note in event.get("notes", ())]


@pytest.mark.tensorflow
def test_a_run_goes_on_from_the_package(package: ModelPackage, tmp_path: Path) -> None:
    cut_cells(tmp_path / "data", ("Alpha", "Beta"))
    done, notes = run_of(tmp_path, recipe_for(package, ("Alpha", "Beta")))
    assert "Starts from small@1.0.0." in notes
    assert done["metrics"]["n"] == 10
    made = read_package(done["model"])
    # With next to no learning rate the network stays what it was, its statistics aside.
    for name, weight in package.weights.items():
        if "moving" not in name:
            assert np.allclose(made.weights[name], weight, atol=1e-5), name
    assert np.allclose(made.head[0], package.head[0] / 2, atol=1e-5)


@pytest.mark.tensorflow
def test_the_head_can_be_fitted_before_the_network_learns(
    package: ModelPackage, tmp_path: Path
) -> None:
    cut_cells(tmp_path / "data", ("Alpha", "New"))
    content = recipe_for(package, ("Alpha", "New"))
    content["start"]["head"] = "fitted"
    content["phases"][0]["keep_statistics"] = True
    done, notes = run_of(tmp_path, content)
    assert "The head is fitted on 40 cells before the network learns." in notes
    made = read_package(done["model"])
    for name, weight in package.weights.items():
        assert np.allclose(made.weights[name], weight, atol=1e-5), name
    assert made.head[0][:, 1].any() and done["metrics"]["accuracy"] >= 0.8
