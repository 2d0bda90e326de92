"""A training run stops at what was planted in its data, with the name of the offender."""

from __future__ import annotations

import argparse
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from napari_cellcls.learn import runs
from napari_cellcls.learn.reading import open_cells, split_of
from napari_cellcls.vocabulary import finish
from tests.learn import toy


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return toy.write_malaria(tmp_path / "cell_images")


def refused(data: Path, tmp_path: Path, **protocol: object) -> dict[str, str]:
    """Run a training that must stop before the network starts; return its last event."""
    told = {"kind": "grouped", "folds": 2, "seed": 1, **protocol}
    toy.write_recipe(tmp_path / "toy.yaml", protocol=told)
    options = argparse.Namespace(
        recipe=str(tmp_path / "toy.yaml"), data=data, out=tmp_path / "run",
        fold=0 if told["kind"] == "grouped" else None, resume=False, set=None, micro_batch=None, teacher=None,
    )  # fmt: skip
    stream = io.StringIO()
    assert runs.train_command(options, stream, lambda: False) == 4
    event: dict[str, str] = json.loads(stream.getvalue().splitlines()[-1])
    assert event["event"] == "error"
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    return event


def across(data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a crop trained on and one of the test side of fold 0."""
    protocol = {"kind": "grouped", "folds": 2, "seed": 1}
    recipe = toy.write_recipe(tmp_path / "toy.yaml", protocol=protocol)
    cells = finish(open_cells(recipe, data))
    split = finish(split_of(recipe, cells, 0))
    rows = (split.train[0], split.test[0])
    trained, tested = (
        data / cells.classes[cells.labels[r]] / str(cells.names[r]) for r in rows
    )  # fmt: skip
    return trained, tested


def test_one_patient_on_both_sides(data: Path, tmp_path: Path) -> None:
    lines = [f"{p},{'test' if i % 2 else 'training'}" for i, p in enumerate(toy.PATIENTS)]
    (data / "sides.csv").write_text("\n".join([*lines, "C3,test"]))
    event = refused(data, tmp_path, kind="listed")
    assert event["code"] == "DATA-LEAK"
    assert event["why"] == "C3 is on the training side and on the test side"


def test_one_duplicate_crop(data: Path, tmp_path: Path) -> None:
    trained, tested = across(data, tmp_path)
    shutil.copyfile(trained, tested)
    event = refused(data, tmp_path)
    assert event["code"] == "DATA-LEAK" and event["what"].startswith("The same image is on the")
    assert trained.name in event["why"] and tested.name in event["why"]


def test_one_duplicate_crop_turned_and_saved_again(data: Path, tmp_path: Path) -> None:
    trained, tested = across(data, tmp_path)
    Image.open(trained).transpose(Image.Transpose.ROTATE_270).save(tested)
    event = refused(data, tmp_path)
    assert event["code"] == "DATA-LEAK" and "The same image (nearly) is on" in event["what"]
    assert trained.name in event["why"] and tested.name in event["why"]


def test_one_unreadable_image(data: Path, tmp_path: Path) -> None:
    torn = next((data / "Uninfected").iterdir())
    torn.write_bytes(torn.read_bytes()[:50])
    event = refused(data, tmp_path)
    assert event["code"] == "DATA-UNREADABLE" and torn.name in event["why"]
