"""Deep fine-tune: what it learns from, its folder, its child, and what is left after each kind of end."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.embed import embed_crops
from napari_cellcls.learn import deep
from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.deep_recipe import channels_of, deep_recipe, share_of_validation
from napari_cellcls.learn.holdout import held_out
from napari_cellcls.learn.labels import labeled_cells
from napari_cellcls.learn.lesson import Lesson, make_lesson, mixed
from napari_cellcls.learn.reading import open_cells
from napari_cellcls.learn.recipe import parse_recipe, read_recipe
from napari_cellcls.models.networks import full_params
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.models.registry import load
from napari_cellcls.models.runtime import open_engine
from napari_cellcls.project import versions
from napari_cellcls.project.project import Project
from napari_cellcls.review.lock import read_holder
from napari_cellcls.vocabulary import (
    RGB_ROLES,
    ChannelRole,
    DataError,
    InputPlane,
    TaskError,
    finish,
)
from tests.learn import glows, smears
from tests.learn.untouched import models_of, with_version

SHORT = {"phases": [{"epochs": 2, "learning_rate": 0.003, "steps_per_epoch": 4}]}


def lesson_of(
    project: Project, base: ModelPackage, knows: tuple[int | None, ...], **more: Any
) -> Lesson:
    labels = labeled_cells(project.journal.state)
    task = make_lesson(
        project, labels, base, ("Alpha", "Beta"), labels.targets, knows, multi_label=False, **more
    )
    return finish(task)


def test_a_lesson_holds_the_labels_and_the_bases_own_answers(
    project: Project, base: ModelPackage
) -> None:
    labels = labeled_cells(project.journal.state)
    lesson = lesson_of(project, base, (0, 1))
    data = lesson.data
    assert len(lesson.rows) == len(labels) == 48 and data.classes == ("Alpha", "Beta")
    assert np.array_equal(data.matrix[:48], labels.targets[lesson.rows] == 1)
    assert np.array_equal(
        data.soft[:48], labels.targets[lesson.rows]
    )  # a person's word counts whole
    assert data.images.shape[1:] == (24, 24, 3) and data.images[:48].max() > 100
    replayed = data.soft[48:]
    assert data.training_only.sum() == len(replayed) == len(lesson.known) - 48
    assert np.array_equal(lesson.known[48:], replayed) and np.isfinite(lesson.known).all()
    assert [one.role for one in lesson.inputs] == list(RGB_ROLES)
    assert 0 < len(replayed) <= 24  # four cells of each image are free; the doubtful are left out
    assert (replayed.max(axis=1) >= 0.8).all() and np.allclose(replayed.sum(axis=1), 1, atol=1e-5)


def test_nothing_is_replayed_where_a_class_is_new_to_the_base(
    project: Project, base: ModelPackage
) -> None:
    lesson = lesson_of(project, base, (0, None))
    assert len(lesson.data) == 48 and "a class that it does not know" in lesson.notes[0]
    assert np.isnan(lesson.known[:, 1]).all() and np.isfinite(lesson.known[:, 0]).all()
    # In groups held out they are looked at all the same: they show what is forgotten.
    groups = sorted(set(lesson.data.groups.tolist()))
    watching = lesson_of(project, base, (0, None), held=groups[:2])
    assert set(watching.data.groups[48:].tolist()) == set(groups[:2])


def test_a_class_that_would_be_forgotten_is_told_before_the_training(
    project: Project, base: ModelPackage
) -> None:
    journal = project.journal
    cells = sorted(journal.state.cells)
    gamma = journal.add_class("Gamma")
    for number, cell in enumerate(cells):
        journal.label(cell, gamma if number % 2 else "alpha")
    with pytest.raises(DataError, match="would forget Beta") as caught:
        finish(deep.begin(project, base))
    assert caught.value.code == "DEEP-FORGETS" and "fine-tune quickly" in caught.value.remedy
    assert deep.unfinished(project) is None
    for cell in cells[::3]:
        journal.label(cell, "beta")
    assert finish(deep.begin(project, base)).is_dir()


def test_a_label_counts_as_far_as_it_is_sure() -> None:
    targets = np.array([[1, 0, np.nan], [0, 1, 1]], np.float32)
    answer = np.array([[0.6, 0.4, np.nan], [0.6, 0.4, np.nan]], np.float32)
    found = mixed(targets, np.array([0.5, 1.0]), answer, True)
    assert found[0, :2] == pytest.approx([0.8, 0.2]) and np.isnan(found[0, 2])
    assert found[1].tolist() == [0, 1, 1]
    assert np.array_equal(mixed(targets, np.ones(2), answer[:, :0], False), targets, equal_nan=True)


def test_the_folder_of_a_training(project: Project, base: ModelPackage) -> None:
    folder = finish(deep.begin(project, base))
    assert deep.unfinished(project) == folder and not deep.is_finished(folder)
    recipe = read_recipe(folder / "recipe.yaml")
    assert recipe.start.sha256 == base.sha256 and recipe.classes == ("Alpha", "Beta")
    assert recipe.early_stopping is not None and recipe.input.channels == "rgb"
    assert (folder / "base.cellpkg").read_bytes() == base.path.read_bytes()
    data = finish(open_dataset(folder / "data", size=24, channels="rgb", classes=recipe.classes))
    sides = list(data.sides.values())
    assert [sides.count(s) for s in ("training", "validation", "test")] == [3, 1, 2]
    labels = labeled_cells(project.journal.state)
    held = labels.groups[held_out(labels, np.arange(len(labels)))]
    assert {g for g, s in data.sides.items() if s == "test"} == set(held.tolist())
    about = json.loads((folder / "tune.json").read_text())
    assert len(about["cells"]) == 48 and about["base"] == "small-smear@1.0.0"
    deep.discard(folder)
    assert deep.unfinished(project) is None


def test_the_recipe_follows_the_base(base: ModelPackage) -> None:
    told = {"title": "T", "multi_label": False, "cells": 400, "validated": False}
    color = base.manifest.planes
    made = parse_recipe(deep_recipe(base, ["Alpha", "Beta"], {}, color, **told))
    assert len(made.phases) == 1 and made.phases[0].steps_per_epoch == 12
    assert made.early_stopping is None and made.augmentation.flips and made.augmentation.hue
    named = parse_recipe(deep_recipe(base, ["One", "Beta"], {"One": "Alpha"}, color, **told))
    assert len(named.phases) == 1
    new = parse_recipe(deep_recipe(base, ["Alpha", "Beta", "New"], {}, color, **told))
    assert made.start.head == "kept" and new.start.head == "fitted"
    assert len(new.phases) == 1 and new.phases[0].keep_statistics and not new.phases[0].frozen
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
        inputs = package.manifest.planes or color
        recipe = parse_recipe(deep_recipe(package, classes, {}, inputs, **more))
        ref = package.manifest.architecture
        assert recipe.job().params == full_params(ref.id, ref.params), name
        assert recipe.job().each == 0 and not recipe.input.planes


def test_the_planes_of_a_network_follow_the_images(base: ModelPackage, tmp_path: Path) -> None:
    blank = glows.network(tmp_path / "blank.cellpkg")
    assert channels_of(blank.manifest, base.manifest.planes) == {"channels": "rgb"}
    roles = (ChannelRole.NUCLEUS, ChannelRole.PROTEIN, ChannelRole.ER)
    planes = [InputPlane(role, role.value) for role in roles]
    each = channels_of(blank.manifest, planes)
    assert each["channels"] == "each" and [p["role"] for p in each["planes"]] == [*roles]
    joint = channels_of(base.manifest, planes)
    assert joint["channels"] == "joint" and joint["planes"] == each["planes"]
    told = {"title": "T", "multi_label": False, "cells": 40, "validated": True}
    recipe = parse_recipe(deep_recipe(blank, ["a", "b"], {}, planes, **told))
    job = recipe.job()
    assert (job.each, job.input_shape, job.embedding_size) == (3, (24, 24, 3), 24)
    assert recipe.augmentation.flips and not recipe.augmentation.hue  # three planes, and no color
    assert recipe.inputs == roles and recipe.start.head == "fitted"


def test_a_fifth_of_the_groups_validates() -> None:
    assert share_of_validation({"a": 0.1, "b": 0.2}) == []
    assert share_of_validation({c: ord(c) for c in "abcdefghij"}) == ["a", "b"]


def test_labels_of_one_class_are_too_few(tmp_path: Path, base: ModelPackage) -> None:
    project, _ = smears.project_of(tmp_path / "one", images=1, labeled=0)
    with project, pytest.raises(DataError) as few:
        finish(deep.begin(project, base))
    assert few.value.code == "LEARN-FEW"


@pytest.mark.tensorflow
def test_from_labels_to_a_proven_version_in_a_process_of_its_own(
    project: Project, base: ModelPackage
) -> None:
    notes: list[str] = []
    folders: list[Path] = []
    task = deep.finetune_deep(
        project, base, changes=SHORT | {"early_stopping": None}, on_note=notes.append,
        on_folder=folders.append,
    )  # fmt: skip
    made = finish(task)
    assert "Starts from small-smear@1.0.0." in notes
    assert [p.epoch for p in deep.curve(folders[0])] == [1, 2]
    assert made.labels_used == 32 and made.held_out == 16
    assert made.verdict.cells == 16 and made.verdict.groups == 2
    assert {one.name for one in made.verdict.classes} == {"Alpha", "Beta"}
    package = read_package(made.package_path)
    manifest = package.manifest
    assert manifest.level == "tuned" and manifest.provenance.recipe == "deep/1"
    assert manifest.provenance.parent == "small-smear@1.0.0"
    assert package.weights_sha256 != base.weights_sha256
    with open_engine(package) as engine:  # ONNX Runtime gives what Keras gave, or it does not open
        assert np.allclose(engine.embed(package.test_input), package.test_output, atol=1e-3)
    found = versions.history(project)
    assert [one.label for one in found.versions] == [made.label]
    assert (versions.in_use(project) is not None) is made.promoted
    assert deep.unfinished(project) is None and not (folders[0] / "run" / "checkpoints").exists()
    # The same training runs elsewhere, from the folder alone.
    assert read_recipe(folders[0] / "recipe.yaml").start.package == "base.cellpkg"


@pytest.mark.tensorflow
def test_channel_by_channel_in_a_process_of_its_own(tmp_path: Path) -> None:
    blank = glows.network(tmp_path / "blank.cellpkg")
    short = {"epochs": 2, "steps_per_epoch": 3, "early_stopping": None}
    with glows.project_of(tmp_path / "work") as project:
        made = finish(deep.finetune_deep(project, blank, changes=short))
        package = read_package(made.package_path)
        manifest = package.manifest
        assert manifest.channel_policy == "each" and manifest.passes == 2
        assert [one.name for one in manifest.inputs] == ["DAPI", "Marker"]
        assert (
            manifest.cells == "fluorescence" and len(package.head[0]) > 2 * 8
        )  # measured numbers too
        assert package.weights_sha256 != blank.weights_sha256
        with open_engine(package) as engine:
            assert np.allclose(engine.embed(package.test_input), package.test_output, atol=1e-3)
        assert made.verdict.cells == 16 and made.labels_used == 32
        # What the child says of its crops is what the window says of the cells.
        folder = next(deep.runs_folder(project).iterdir())
        trained = read_package(folder / "run" / "model.cellpkg")
        data = finish(open_cells(read_recipe(folder / "recipe.yaml"), folder / "data"))
        scores = np.load(folder / "run" / "scores.npz")
        with open_engine(trained) as engine:
            seen = embed_crops(data.images[scores["rows"]] / np.float32(255), trained, engine)
        kernel, bias = trained.head
        assert np.allclose(seen @ kernel + bias, scores["logits"], atol=1e-3)


@pytest.mark.tensorflow
def test_canceled_or_killed_the_model_in_use_stays(project: Project, base: ModelPackage) -> None:
    long = {"phases": [{"epochs": 500, "learning_rate": 0.001, "steps_per_epoch": 20}]}
    before = with_version(project, base)
    folders: list[Path] = []
    task = deep.finetune_deep(
        project, base, changes=long | {"early_stopping": None}, on_folder=folders.append
    )
    with pytest.raises(TaskError) as killed:
        for _ in task:
            if folders and deep.is_at_work(folders[0]):
                os.kill(read_holder(folders[0] / "alive").pid, signal.SIGKILL)
    assert killed.value.code == "TASK-CHILD"
    folder = folders[0]
    assert models_of(project) == before and deep.unfinished(project) == folder
    again = deep.go_on(project, folder)
    for step in again:
        if "epoch" in step.message:
            break
    started = time.monotonic()
    again.close()
    assert time.monotonic() - started < 5
    assert not folder.exists() and models_of(project) == before
