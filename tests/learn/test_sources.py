"""What a run held out: its folds joined, its images found again, everything wrong with it told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_cellcls.learn import sources
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.vocabulary import DataError, ModelError, finish
from tests.learn import judged, toy
from tests.models import make

VAL = {"protocol": {"kind": "grouped", "folds": 2, "val": 0.2}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return judged.write_data(tmp_path / "cell_images")


@pytest.fixture
def cells(data: Path) -> CellSet:
    return finish(open_dataset(data, size=toy.SIZE, classes=toy.CLASSES))


@pytest.fixture
def run(tmp_path: Path, cells: CellSet) -> Path:
    for fold in range(2):
        judged.write_run(tmp_path / "run", cells, judged.by_patient(cells, fold), fold=fold, seed=fold, **VAL)  # fmt: skip
    return tmp_path / "run"


def refused(run: Path, data: Path) -> DataError:
    with pytest.raises(DataError) as error:
        finish(sources.of_run(run, data))
    return error.value


def test_folds_are_joined(run: Path, data: Path, cells: CellSet) -> None:
    held = finish(sources.of_run(run, data))
    assert sorted(held.rows.tolist()) == list(range(len(cells))) and held.folds == [0, 1]
    number = np.array([int(g[1:]) for g in held.group_names.tolist()])
    assert np.array_equal(number % 2, held.fold)
    assert held.protocol == "patient-disjoint 2-fold, 8 groups (patient)"
    assert held.groups == "apart" and held.group_words == "patient" and held.model == "Toy"
    assert held.tuned_on == "the validation side"
    for fold, (rows, logits) in held.val.items():
        assert len(rows) == len(logits) == 6
        assert set(cells.groups[rows]) == {"C7" if fold == 0 else "C8"}
        assert not np.isin(rows, held.train[fold]).any()
    assert held.history[0] == judged.EPOCHS and "Starts from random." in held.notes


def test_images_are_found_again_after_others_were_added(run: Path, data: Path) -> None:
    before = finish(sources.of_run(run, data))
    for path in sorted((data / "Parasitized").iterdir())[:2]:
        path.with_name(f"C0{path.name}").write_bytes(path.read_bytes())
    after = finish(sources.of_run(run, data))
    assert before.names.tolist() == after.names.tolist()
    assert np.array_equal(before.truth, after.truth) and len(after.data) == len(before.data) + 2


def test_missing_images_are_named(run: Path, data: Path) -> None:
    gone = sorted((data / "Uninfected").iterdir())[0]
    gone.unlink()
    error = refused(run, data)
    assert error.code == "RUN-DATA" and gone.name in error.why and "1 of" in error.why


def test_a_random_split_is_said_to_flatter(tmp_path: Path, cells: CellSet, data: Path) -> None:
    order = np.random.default_rng(0).permutation(len(cells))
    sides = {"training": order[:30], "validation": order[30:38], "test": order[38:]}
    judged.write_run(tmp_path / "r", cells, sides, protocol={"kind": "random", "val": 0.2})
    held = finish(sources.of_run(tmp_path / "r", data))
    assert held.groups == "shared" and held.folds == [0]
    assert held.protocol == (
        "random split, 20% held out: images of one patient on both sides, so this flatters the model"
    )


def test_a_patient_on_both_sides_stops(tmp_path: Path, cells: CellSet, data: Path) -> None:
    order = np.random.default_rng(0).permutation(len(cells))
    sides = {"training": order[:30], "validation": order[30:38], "test": order[38:]}
    judged.write_run(tmp_path / "r", cells, sides)
    error = refused(tmp_path / "r", data)
    assert error.code == "DATA-LEAK" and "group" in error.what and "C" in error.why


def test_an_image_judged_by_two_folds_stops(run: Path, cells: CellSet, data: Path) -> None:
    judged.write_run(run, cells, judged.by_patient(cells, 0), fold=1, **VAL)
    error = refused(run, data)
    assert error.code == "DATA-LEAK" and "thinF" in error.why


def test_a_run_on_all_data_has_nothing_to_judge(tmp_path: Path, cells: CellSet, data: Path) -> None:
    none = np.arange(0)
    sides = {"training": np.arange(len(cells)), "validation": none, "test": none}
    judged.write_run(tmp_path / "r", cells, sides)
    error = refused(tmp_path / "r", data)
    assert error.code == "RUN-ALL" and "--fold" in error.remedy


def test_folds_of_different_recipes_are_not_mixed(run: Path, data: Path) -> None:
    path = run / "fold1" / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "batch_size": 8}))
    error = refused(run, data)
    assert error.code == "RUN-MIXED" and error.why == "fold1 differ from fold0"


DAMAGED = [
    (name, content)
    for name in ("run.json", "split.json", "scores.npz")
    for content in (None, b"", b"{", b"[]")
]


@pytest.mark.parametrize(("name", "content"), [*DAMAGED, ("split.json", b'{"test": []}')])
def test_unfinished_and_damaged_runs(
    run: Path, data: Path, name: str, content: bytes | None
) -> None:
    path = run / "fold0" / name
    path.unlink() if content is None else path.write_bytes(content)
    error = refused(run, data)
    assert error.code == "RUN-MISSING" and error.path == str(path.parent)
    assert "Error" not in error.why and error.why


def test_scores_of_other_images_are_noticed(run: Path, data: Path) -> None:
    path = run / "fold1" / "split.json"
    sides = json.loads(path.read_text())
    sides["test"] = sides["test"][1:]
    path.write_text(json.dumps(sides))
    error = refused(run, data)
    assert (
        error.code == "RUN-MISSING"
        and "names 23 test images" in error.why
        and "(24, 2)" in error.why
    )


def test_answers_that_are_not_numbers(run: Path, data: Path) -> None:
    path = run / "fold1" / "scores.npz"
    with np.load(path) as stored:
        content = dict(stored)
    content["logits"][0, 0] = np.nan
    np.savez(path, **content)
    assert "not numbers" in refused(run, data).why


def test_a_folder_without_a_run(tmp_path: Path, data: Path) -> None:
    assert not sources.is_run(tmp_path) and not sources.is_run(tmp_path / "gone")
    assert refused(tmp_path, data).code == "RUN-MISSING"


def test_names_in_two_folders_are_told_apart(cells: CellSet, data: Path) -> None:
    from dataclasses import replace

    twice = replace(cells, names=np.tile(cells.names[:24], 2))
    places = sources._Places(twice, data)
    stored = np.arange(30, 40)
    assert places.rows(twice.names[stored].tolist(), stored).tolist() == stored.tolist()
    rest = places.rows(twice.names[30:40].tolist())
    assert rest.tolist() == (stored - 24).tolist(), "the other image of each name is left"


def test_a_model_of_other_planes_is_refused(tmp_path: Path, data: Path) -> None:
    made = make.manifest()
    inputs = tuple(made.inputs[:2])
    with pytest.raises(ModelError) as error:
        sources._channels(made.model_copy(update={"inputs": inputs}))
    assert error.value.code == "MODEL-INPUTS"
    assert sources._channels(made) == "rgb"
    assert sources._channels(made.model_copy(update={"inputs": inputs[:1]})) == "gray"


def test_labels_that_the_model_does_not_know(tmp_path: Path, data: Path) -> None:
    package = make.package(tmp_path / "small.cellpkg")
    with pytest.raises(DataError) as error:
        finish(sources.of_model(package, data, engine="auto", device="auto"))
    assert error.value.code == "DATA-LABEL"
    assert error.value.what == "The labels of the data are not the classes of the model."
    assert error.value.why.startswith(f"{package.manifest.label}: unknown: Parasitized, Uninfected")
    assert "classes: Alpha, Beta" in error.value.why and "recipe" not in error.value.remedy
