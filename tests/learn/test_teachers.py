"""Teachers: their doubt is learned, and those who saw the answers are refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.job import Fitted, Job, write_weights
from napari_cellcls.learn.splits import Split
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import jobs

pytestmark = pytest.mark.tensorflow
SPLIT = Split(np.arange(0, 40), np.arange(40, 50), np.arange(50, 60))


@pytest.fixture(scope="module")
def data() -> CellSet:
    images, labels = jobs.blobs(60)
    names = np.array([f"cell{k}" for k in range(60)])
    return CellSet(images, labels, ("no", "yes"), names, names)


def write_teacher(folder: Path, data: CellSet, job: Job, bias: float, train: range) -> Path:
    """Write a run whose network answers ``bias`` in favor of the second class, whatever it sees."""
    from napari_cellcls.learn.classifier import build_classifier
    from napari_cellcls.models import networks, plan

    backbone, _ = build_classifier(job)
    spec = networks.weight_spec(job.architecture, job.params)
    embedding = networks.embedding_size(job.architecture, job.params)
    head = (np.zeros((embedding, job.classes), np.float32), np.array([0, bias], np.float32))
    write_weights(folder / "weights.safetensors", Fitted(plan.collect(backbone, spec), head, []))
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    sides = {"training": data.names[list(train)].tolist(), "validation": [], "test": []}
    (folder / "split.json").write_text(json.dumps(sides))
    return folder


def test_labels_and_answers_are_mixed(tmp_path: Path, data: CellSet) -> None:
    from napari_cellcls.learn.teachers import soft_targets

    job = jobs.job()
    teachers = [
        write_teacher(tmp_path / f"t{k}", data, job, bias, range(40))
        for k, bias in enumerate((1.0, 3.0))
    ]
    made = finish(soft_targets(teachers, 0.25, data, SPLIT, job))
    answer = 1 / (1 + np.exp(-2.0))
    assert made[:40, 1] == pytest.approx(0.75 * data.labels[:40] + 0.25 * answer, abs=1e-5)
    assert made.sum(axis=1) == pytest.approx(1)
    # Nobody is asked about the cells that judge.
    assert np.array_equal(made[40:, 1], data.labels[40:])


def test_a_student_learns_the_doubt(data: CellSet) -> None:
    from napari_cellcls.learn.classifier import load_classifier, logits_of
    from napari_cellcls.learn.trainer import fit

    job = jobs.job()
    taught = np.eye(2, dtype=np.float32)[data.labels]
    sure = finish(fit(data.images, data.labels, job, train=SPLIT.train, soft=taught))
    unsure = finish(fit(data.images, data.labels, job, train=SPLIT.train, soft=0.5 + 0 * taught))
    spread = [
        np.ptp(logits_of(load_classifier(job, found.tensors()), data.images), axis=1).mean()
        for found in (sure, unsure)
    ]
    assert spread[0] > 3 * spread[1]


def test_a_teacher_who_saw_the_answers_is_refused(tmp_path: Path, data: CellSet) -> None:
    from napari_cellcls.learn.teachers import soft_targets

    teacher = write_teacher(tmp_path / "t", data, jobs.job(), 0, range(10, 52))
    with pytest.raises(DataError, match=r"has seen cells .* 12 of 20: cell40, cell41") as error:
        finish(soft_targets([teacher], 0.5, data, SPLIT, jobs.job()))
    assert error.value.code == "DATA-LEAK"


def test_other_questions_are_refused(tmp_path: Path, data: CellSet) -> None:
    from napari_cellcls.learn.teachers import soft_targets

    teacher = write_teacher(tmp_path / "t", data, jobs.job(), 0, range(40))
    several = replace(jobs.job(), multi_label=True)
    with pytest.raises(DataError, match="answers other questions") as error:
        finish(soft_targets([teacher], 0.5, data, SPLIT, several))
    assert error.value.code == "RUN-TEACHER"


@pytest.mark.parametrize("lost", ["job.json", "split.json", "weights.safetensors"])
def test_an_unfinished_run_is_refused(tmp_path: Path, data: CellSet, lost: str) -> None:
    from napari_cellcls.learn.teachers import soft_targets

    teacher = write_teacher(tmp_path / "t", data, jobs.job(), 0, range(40))
    (teacher / lost).unlink()
    with pytest.raises(DataError, match="no finished run to learn from") as error:
        finish(soft_targets([teacher], 0.5, data, SPLIT, jobs.job()))
    assert error.value.code == "RUN-MISSING" and str(error.value.path) == str(teacher)
