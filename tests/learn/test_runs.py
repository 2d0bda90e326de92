"""A recipe from beginning to end: events as JSON lines, files of the run, coded refusals."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.files import sha256
from napari_cellcls.learn import runs
from napari_cellcls.learn.job import read_weights
from napari_cellcls.learn.recipe import parse_recipe
from tests.learn import toy


def train(data: Path, recipe: Path, out: Path, fold: int | None) -> tuple[int, list[dict]]:
    stream = io.StringIO()
    options = argparse.Namespace(recipe=recipe, data=data, out=out, fold=fold, resume=False)
    code = runs.train_command(options, stream)
    return code, [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return toy.write_malaria(tmp_path / "cell_images")


@pytest.mark.tensorflow
def test_two_folds_and_all_data_are_trained(data: Path, tmp_path: Path) -> None:
    recipe = toy.write_recipe(tmp_path / "toy.yaml")
    out = tmp_path / "run"
    for fold in (0, 1, None):
        code, events = train(data, tmp_path / "toy.yaml", out, fold)
        assert code == 0
        kinds = [e["event"] for e in events]
        assert kinds[0] == "data" and kinds[-1] == "done" and set(kinds[1:-1]) == {"progress"}
        assert events[0]["counts"] == {"Parasitized": 16, "Uninfected": 16}
        assert events[0]["groups"] == 8
        assert events[-2]["done"] == events[-2]["total"]
        path = Path(events[-1]["weights"])
        assert events[-1]["sha256"] == sha256(path)
        assert set(read_weights(path, recipe.job())) >= {"head/kernel", "head/bias"}
        assert bool(events[-1]["metrics"]) is (fold is not None)
    assert runs.job_from(json.loads((out / "job.json").read_text())) == recipe.job()
    rows = []
    for fold in (0, 1):
        with np.load(out / f"fold{fold}.npz", allow_pickle=False) as stored:
            assert stored["logits"].shape == (len(stored["rows"]), 2)
            rows.append(stored["rows"])
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(32))
    _score(out, data, tmp_path)


def _score(out: Path, data: Path, tmp_path: Path) -> None:
    """The process that scores folds gives the logits that the training noted."""
    from napari_cellcls.learn.datasets import open_dataset
    from napari_cellcls.vocabulary import finish

    recipe = parse_recipe(toy.recipe_content())
    about = toy.write_folds(tmp_path / "folds", recipe)
    fold = np.zeros(32, int)
    wanted = np.zeros((32, 2), np.float32)
    for entry in about["folds"]:
        path = tmp_path / "folds" / entry["file"]
        path.write_bytes((out / path.name).read_bytes())
        entry["sha256"] = sha256(path)
        with np.load(out / f"fold{entry['fold']}.npz", allow_pickle=False) as stored:
            fold[stored["rows"]] = entry["fold"]
            wanted[stored["rows"]] = stored["logits"]
    (tmp_path / "folds" / "folds.json").write_text(json.dumps(about))
    images = finish(open_dataset(data, size=toy.SIZE)).images
    work = tmp_path / "work"
    work.mkdir()
    np.save(work / "images.npy", images, allow_pickle=False)
    np.save(work / "fold.npy", fold, allow_pickle=False)
    stream = io.StringIO()
    assert runs.score_folds(tmp_path / "folds", work, stream) == 0
    assert [json.loads(line)["n"] for line in stream.getvalue().splitlines()] == [16, 16]
    got = np.load(work / "logits.npy", allow_pickle=False)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "fold", "code"),
    [
        ({"protocol": {"folds": 50}}, 0, "DATA-GROUPS"),
        ({"classes": ["Parasitized", "Ring"]}, 0, "DATA-LABEL"),
        ({"training": {"epoch": 1}}, None, "RECIPE-KEY"),
    ],
)
def test_refusals_are_the_last_event(
    data: Path, tmp_path: Path, changes: dict, fold: int | None, code: str
) -> None:
    import yaml

    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump({**toy.recipe_content(), **changes}))
    exit_code, events = train(data, path, tmp_path / "run", fold)
    assert exit_code == 4
    assert events[-1]["event"] == "error" and events[-1]["code"] == code
    assert events[-1]["what"] and events[-1]["why"] and events[-1]["remedy"]
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_missing_recipe_and_missing_data(data: Path, tmp_path: Path) -> None:
    toy.write_recipe(tmp_path / "toy.yaml")
    _, events = train(data, tmp_path / "none.yaml", tmp_path / "run", None)
    assert events[-1]["code"] == "RECIPE-MISSING"
    _, events = train(tmp_path / "gone", tmp_path / "toy.yaml", tmp_path / "run", None)
    assert [e["code"] for e in events] == ["DATA-MISSING"]


def test_a_random_split_shares_patients_but_no_image(data: Path, tmp_path: Path) -> None:
    from napari_cellcls.learn.datasets import open_dataset
    from napari_cellcls.vocabulary import finish

    cells = finish(open_dataset(data, size=toy.SIZE))
    recipe = parse_recipe({**toy.recipe_content(), "protocol": {"kind": "random", "val": 0.2}})
    split = runs.split_of(recipe, cells, None)
    assert len(split.train) + len(split.val) + len(split.test) == 32 and len(split.test) > 0
    recipe = parse_recipe(toy.recipe_content())
    split = runs.split_of(recipe, cells, 1)
    assert not set(cells.groups[split.train]) & set(cells.groups[split.test])
