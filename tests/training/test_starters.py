"""From simulated cells to a package: both starters on a few cells, the smaller one trained for a moment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.classifier import build_classifier
from napari_cellcls.learn.job import Fitted, Job
from napari_cellcls.models import networks, plan, runtime
from napari_cellcls.models.package import read_package
from napari_cellcls.predict import predict_crops
from training import make_hela_starter, make_hpa_starter, train_fluorescence

pytestmark = pytest.mark.tensorflow

RECIPES = train_fluorescence.RECIPE.parent


def call(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, arguments)])
    module.main()  # type: ignore[attr-defined]


def trained(out: Path, recipe: str, cells: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train one epoch with few cells, changes of each batch instead of a bank."""
    text = (RECIPES / f"{recipe}.yaml").read_text().split("augmentation:")[0]
    (out / f"{recipe}.yaml").write_text(text + "license: CC0-1.0\ndata_terms: Drawn by a test.\n")
    call(
        train_fluorescence, monkeypatch,
        "--recipe", out / f"{recipe}.yaml", "--out", out / "run", "--cells", cells,
        "--epochs", 1, "--processes", 1,
    )  # fmt: skip
    return out / "run"


def untrained(job: Job, *rest: object) -> Fitted:
    """Stand in for the training: a network as it is built."""
    backbone, model = build_classifier(job)
    kernel, bias = model.layers[-1].get_weights()
    weights = plan.collect(backbone, networks.weight_spec(job.architecture, job.params))
    return Fitted(weights, (kernel, bias), [])


def made(out: Path, run: Path, script: object, monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    call(script, monkeypatch, run, "--bundled", out, "--card", out / "card.md", *more)
    return (out / "card.md").read_text()


def reproduces(path: Path) -> None:
    package = read_package(path)
    with runtime.open_engine(package, "onnxruntime", "cpu") as engine:
        assert np.abs(engine.embed(package.test_input) - package.test_output).max() < 1e-3


def test_hela_organelles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(tmp_path, "hela_organelles_starter", "20,10,20", monkeypatch)
    text = made(tmp_path, run, make_hela_starter, monkeypatch)
    manifest = read_package(tmp_path / "hela-organelles.cellpkg").manifest
    assert (manifest.name, manifest.level, manifest.cells) == (
        "hela-organelles", "starter", "whole",
    )  # fmt: skip
    assert [p.role.value for p in manifest.planes] == ["gray"]
    assert len(manifest.classes) == 10 and not manifest.multi_label and manifest.thresholds is None
    assert not manifest.metrics.independent and manifest.metrics.groups == 20
    assert manifest.metrics.values["macro_f1"].low is not None
    for words in (
        "learned from simulated images only", "no accuracy is claimed on real images",
        "| golgia and golgpp as one class | 0.", "most frequent class", "intensity histogram",
        "No real HeLa image was at hand",
    ):  # fmt: skip
        assert words in text, words
    assert "learned from simulated images only" in manifest.description
    reproduces(tmp_path / "hela-organelles.cellpkg")


def test_hpa_localization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_fluorescence, "_train", untrained)
    run = trained(tmp_path, "hpa_localization_starter", "20,12,12", monkeypatch)
    monkeypatch.setattr(make_hpa_starter, "on_real_cells", lambda package, data: "None at hand.")
    text = made(tmp_path, run, make_hpa_starter, monkeypatch)
    package = read_package(tmp_path / "hpa-localization.cellpkg")
    manifest = package.manifest
    assert (manifest.version, manifest.level, len(manifest.classes)) == ("2.0.0", "starter", 28)
    assert manifest.multi_label and len(manifest.thresholds) == 28
    assert [p.optional for p in manifest.planes] == [True, False, False, True]
    assert "None at hand." in text and "| fields with one protein |" in text
    assert "all zeros" in text and "learned from simulated images only" in text
    reproduces(tmp_path / "hpa-localization.cellpkg")
    with runtime.open_engine(package, "onnxruntime", "cpu") as engine:
        said = predict_crops(package.test_input, package, engine)
    row = make_hpa_starter.row_of("toy", said, [manifest.classes[0].name])
    assert row.startswith(f"| toy | {len(said)} | ")
