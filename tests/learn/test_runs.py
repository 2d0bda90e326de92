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
from napari_cellcls.learn.job import job_from, read_weights
from napari_cellcls.learn.reading import split_of
from napari_cellcls.learn.recipe import Recipe, parse_recipe, read_recipe
from napari_cellcls.learn.steps import Optimizing
from napari_cellcls.models.package import read_package
from tests.learn import toy


def train(
    data: Path, recipe: Path | str, out: Path, fold: int | None = None, **more: object
) -> tuple[int, list[dict]]:
    stream = io.StringIO()
    told = {
        "resume": False,
        "set": None,
        "micro_batch": None,
        "teacher": None,
        "stopped": lambda: False,
        **more,
    }
    stopped = told.pop("stopped")
    options = argparse.Namespace(recipe=str(recipe), data=data, out=out, fold=fold, **told)
    code = runs.train_command(options, stream, stopped)
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
        kinds = [e["event"] for e in events if e["event"] != "progress"]
        assert kinds == ["data", "notes", "start", "notes", "done"]
        about = next(e for e in events if e["event"] == "data")
        assert about["counts"] == {"Parasitized": 16, "Uninfected": 16} and about["groups"] == 8
        assert events[-2]["done"] == events[-2]["total"]
        path = Path(events[-1]["weights"])
        assert path == (out if fold is None else out / f"fold{fold}") / "weights.safetensors"
        assert events[-1]["sha256"] == sha256(path)
        assert set(read_weights(path, recipe.job())) >= {"head/kernel", "head/bias"}
        assert bool(events[-1]["metrics"]) is (fold is not None)
    assert job_from(json.loads((out / "job.json").read_text())) == recipe.job()
    rows = []
    for fold in (0, 1):
        with np.load(out / f"fold{fold}" / "scores.npz", allow_pickle=False) as stored:
            assert stored["logits"].shape == (len(stored["rows"]), 2)
            rows.append(stored["rows"])
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(32))
    _look_at_the_folder(out / "fold0", recipe)
    _score(out, data, tmp_path)


def _look_at_the_folder(folder: Path, recipe: Recipe) -> None:
    assert read_recipe(folder / "recipe.yaml") == recipe
    sides = json.loads((folder / "split.json").read_text())
    assert {k: len(v) for k, v in sides.items()} == {"training": 16, "validation": 0, "test": 16}
    assert all(name.endswith(".png") for name in sides["training"])
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in history] == [1]
    assert set(history[0]) >= {"loss", "accuracy", "macro_f1", "learning_rate", "seconds"}
    about = json.loads((folder / "run.json").read_text())
    assert about["seed"] == 1 and about["sides"]["test"] == 16 and about["software"]["keras"]
    package = read_package(folder / "model.cellpkg")
    manifest = package.manifest
    assert manifest.name == "toy" and manifest.crop == recipe.crop and manifest.cells == "smear"
    assert manifest.metrics.values["accuracy"].value == about["metrics"]["accuracy"]
    assert manifest.metrics.independent and "fold 0 of 2" in manifest.metrics.protocol
    assert list((folder / "checkpoints").glob("00001-*.safetensors"))


@pytest.mark.tensorflow
def test_a_stopped_run_goes_on_and_a_used_folder_is_refused(data: Path, tmp_path: Path) -> None:
    toy.write_recipe(tmp_path / "toy.yaml", phases=[{"epochs": 3, "learning_rate": 0.002}])
    out, whole = tmp_path / "run", tmp_path / "whole"
    begun = out / "fold0" / "history.jsonl"
    code, events = train(data, tmp_path / "toy.yaml", out, 0, stopped=begun.exists)
    assert code == 130 and events[-1]["event"] == "stopped"
    assert events[-1]["folder"] == str(out / "fold0")
    code, events = train(data, tmp_path / "toy.yaml", out, 0)
    assert (code, events[-1]["code"]) == (4, "RUN-EXISTS") and "--resume" in events[-1]["remedy"]
    code, events = train(data, tmp_path / "toy.yaml", out, 0, resume=True)
    assert code == 0
    assert any(n.startswith("Goes on after") for e in events for n in e.get("notes", ()))
    code, straight = train(data, tmp_path / "toy.yaml", whole, 0)
    assert straight[-1]["sha256"] == events[-1]["sha256"]
    before = (out / "fold0" / "recipe.yaml").read_bytes()
    more = {"resume": True, "set": ["seed=5"]}
    code, events = train(data, tmp_path / "toy.yaml", out, 0, **more)
    assert (code, events[-1]["code"]) == (4, "RUN-CHANGED")
    assert (out / "fold0" / "recipe.yaml").read_bytes() == before


@pytest.mark.tensorflow
def test_values_of_the_recipe_can_be_set(data: Path, tmp_path: Path) -> None:
    toy.write_recipe(tmp_path / "toy.yaml")
    changes = ["phases.0.epochs=2", "batch_size=8"]
    code, _ = train(data, tmp_path / "toy.yaml", tmp_path / "run", set=changes)
    assert code == 0
    assert read_recipe(tmp_path / "run" / "recipe.yaml").batch_size == 8
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 2


@pytest.mark.tensorflow
def test_too_little_memory_is_an_event_of_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.write_recipe(tmp_path / "toy.yaml")
    train_batch = Optimizing._train

    def short(self, crops, targets, weights):
        if len(targets) > 4:
            raise MemoryError("no room")
        return train_batch(self, crops, targets, weights)

    monkeypatch.setattr(Optimizing, "_train", short)
    code, events = train(data, tmp_path / "toy.yaml", tmp_path / "run", 0)
    assert code == 5 and events[-1]["event"] == "memory" and events[-1]["micro_batch"] == 16
    code, events = train(
        data, tmp_path / "toy.yaml", tmp_path / "run", 0, resume=True, micro_batch=4
    )
    assert code == 0
    about = json.loads((tmp_path / "run" / "fold0" / "run.json").read_text())
    assert (about["micro_batch"], about["batch"]) == (4, 16)


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
        run = out / f"fold{entry['fold']}"
        path.write_bytes((run / "weights.safetensors").read_bytes())
        entry["sha256"] = sha256(path)
        with np.load(run / "scores.npz", allow_pickle=False) as stored:
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
        ({"epoch": 1}, None, "RECIPE-KEY"),
        ({"protocol": {"folds": 2}}, 2, "RECIPE-VALUE"),
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
    split = finish(split_of(recipe, cells, None))
    assert len(split.train) + len(split.val) + len(split.test) == 32 and len(split.test) > 0
    recipe = parse_recipe(toy.recipe_content())
    split = finish(split_of(recipe, cells, 1))
    assert not set(cells.groups[split.train]) & set(cells.groups[split.test])


def test_a_run_can_be_stopped_while_the_data_are_read(data: Path, tmp_path: Path) -> None:
    toy.write_recipe(tmp_path / "toy.yaml")
    code, events = train(data, tmp_path / "toy.yaml", tmp_path / "run", stopped=lambda: True)
    assert code == 130 and [e["event"] for e in events] == ["stopped"]


def test_a_folder_that_cannot_be_written_is_an_error(data: Path, tmp_path: Path) -> None:
    toy.write_recipe(tmp_path / "toy.yaml")
    (tmp_path / "run").write_text("a file")
    code, events = train(data, tmp_path / "toy.yaml", tmp_path / "run")
    assert (code, events[-1]["code"]) == (4, "RUN-WRITE")
    assert "run" in events[-1]["path"] and "--out" in events[-1]["remedy"]
