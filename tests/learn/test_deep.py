"""Deep fine-tune: what it learns from, its folder, its child, and what is left after each kind of end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn import deep
from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.deep_recipe import channels_of, deep_recipe, knows, share_of_validation
from napari_cellcls.learn.labels import Labels, labeled_cells
from napari_cellcls.learn.lesson import make_lesson, mixed
from napari_cellcls.learn.recipe import parse_recipe, read_recipe
from napari_cellcls.models.networks import full_params
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.models.registry import load
from napari_cellcls.project.project import Project
from napari_cellcls.vocabulary import DataError, ModelError, finish
from tests.learn import smears
from tests.models import make

SHORT = {"phases": [{"epochs": 2, "learning_rate": 0.003, "steps_per_epoch": 4}]}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made, _ = smears.project_of(tmp_path / "work")
    with made:
        yield made


@pytest.fixture
def base(tmp_path: Path) -> ModelPackage:
    return smears.base_model(tmp_path / "base.cellpkg")


def last_two(labels: Labels) -> list[str]:
    return sorted(set(labels.groups.tolist()))[-2:]


def test_a_lesson_holds_the_labels_and_the_bases_own_answers(
    project: Project, base: ModelPackage
) -> None:
    labels = labeled_cells(project.journal.state)
    lesson = finish(make_lesson(project, labels, base, (0, 1), multi_label=False))
    data = lesson.data
    assert len(lesson.rows) == len(labels) == 48 and data.classes == ("Alpha", "Beta")
    assert np.array_equal(data.matrix[:48], labels.targets[lesson.rows] == 1)
    assert np.array_equal(
        data.soft[:48], labels.targets[lesson.rows]
    )  # a person's word counts whole
    assert data.images.shape[1:] == (24, 24, 3) and data.images[:48].max() > 100
    replayed = data.soft[48:]
    assert lesson.replayed == len(replayed) and data.training_only.sum() == len(replayed)
    assert 0 < len(replayed) <= 24  # four cells of each image are free; the doubtful are left out
    assert (replayed.max(axis=1) >= 0.8).all() and np.allclose(replayed.sum(axis=1), 1, atol=1e-5)


def test_nothing_is_replayed_where_a_class_is_new_to_the_base(
    project: Project, base: ModelPackage
) -> None:
    labels = labeled_cells(project.journal.state)
    lesson = finish(make_lesson(project, labels, base, (0, None), multi_label=False))
    assert lesson.replayed == 0 and "a class that it does not know" in lesson.notes[0]


def test_a_label_counts_as_far_as_it_is_sure() -> None:
    targets = np.array([[1, 0, np.nan], [0, 1, 1]], np.float32)
    answer = np.array([[0.6, 0.4, np.nan], [0.6, 0.4, np.nan]], np.float32)
    found = mixed(targets, np.array([0.5, 1.0]), answer, True)
    assert found[0, :2] == pytest.approx([0.8, 0.2]) and np.isnan(found[0, 2])
    assert found[1].tolist() == [0, 1, 1]
    assert np.array_equal(mixed(targets, np.ones(2), answer[:, :0], False), targets, equal_nan=True)


def test_the_folder_of_a_training(project: Project, base: ModelPackage) -> None:
    folder = finish(deep.begin(project, base, last_two))
    assert deep.unfinished(project) == folder and not deep.is_finished(folder)
    recipe = read_recipe(folder / "recipe.yaml")
    assert recipe.start.sha256 == base.sha256 and recipe.classes == ("Alpha", "Beta")
    assert recipe.early_stopping is not None and recipe.input.channels == "rgb"
    assert (folder / "base.cellpkg").read_bytes() == base.path.read_bytes()
    data = finish(open_dataset(folder / "data", size=24, channels="rgb", classes=recipe.classes))
    sides = list(data.sides.values())
    assert [sides.count(s) for s in ("training", "validation", "test")] == [3, 1, 2]
    assert {g for g, s in data.sides.items() if s == "test"} == set(
        last_two(labeled_cells(project.journal.state))
    )
    about = json.loads((folder / "tune.json").read_text())
    assert len(about["cells"]) == 48 and about["base"] == "small-smear@1.0.0"
    deep.discard(folder)
    assert deep.unfinished(project) is None


def test_the_recipe_follows_the_base(base: ModelPackage) -> None:
    told = {"title": "T", "multi_label": False, "cells": 400, "validated": False}
    made = parse_recipe(deep_recipe(base, ["Alpha", "Beta"], {}, **told))
    assert len(made.phases) == 1 and made.phases[0].steps_per_epoch == 12
    assert made.early_stopping is None and made.augmentation.flips
    named = parse_recipe(deep_recipe(base, ["One", "Beta"], {"One": "Alpha"}, **told))
    assert len(named.phases) == 1
    new = parse_recipe(deep_recipe(base, ["Alpha", "Beta", "New"], {}, **told))
    assert [p.frozen for p in new.phases] == [True, False]
    for name in (
        "malaria-thin-smear",
        "hpa-localization",
        "hela-organelles",
        "blood-cells",
        "blank",
    ):
        package = load(name)
        classes = [c.name for c in package.manifest.classes] or ["a", "b"]
        more = {**told, "multi_label": package.manifest.multi_label}
        recipe = parse_recipe(deep_recipe(package, classes, {}, **more))
        ref = package.manifest.architecture
        assert recipe.job().params == full_params(ref.id, ref.params), name
    odd = make.manifest(inputs=[{"role": r, "name": r} for r in ("nucleus", "er", "protein")])
    with pytest.raises(ModelError) as refused:
        channels_of(odd)
    assert refused.value.code == "DEEP-CHANNELS"


def test_classes_are_known_by_id_then_by_name(base: ModelPackage) -> None:
    known = knows(base.manifest, ["alpha", "x", "y", "z"], ["Renamed", "Beta", "Beta", "New"])
    assert known == (0, 1, None, None)
    assert share_of_validation(["a", "b"], {"a": 0.1, "b": 0.2}) == []
    assert share_of_validation(list("abcdefghij"), {c: ord(c) for c in "abcdefghij"}) == ["a", "b"]


def test_labels_of_one_class_are_too_few(tmp_path: Path, base: ModelPackage) -> None:
    project, _ = smears.project_of(tmp_path / "one", images=1, labeled=0)
    with project, pytest.raises(DataError) as few:
        finish(deep.begin(project, base, last_two))
    assert few.value.code == "LEARN-FEW"


@pytest.mark.tensorflow
def test_a_training_in_its_own_process(project: Project, base: ModelPackage) -> None:
    folder = finish(deep.begin(project, base, last_two, changes=SHORT | {"early_stopping": None}))
    notes: list[str] = []
    done = finish(deep.train(folder, on_note=notes.append))
    assert done["event"] == "done" and "Starts from small-smear@1.0.0." in notes
    points = deep.curve(folder)
    assert [p.epoch for p in points] == [1, 2] and points[1].val_macro_f1 is not None
    assert deep.is_finished(folder)
    assert finish(deep.train(folder)) == {}  # nothing is trained twice
