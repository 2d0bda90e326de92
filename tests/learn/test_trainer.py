"""The trainer learns a toy set, resumes to the same weights, and refuses what cannot work."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.learn.checkpoint import Checkpoint
from napari_cellcls.learn.classifier import load_classifier, logits_of
from napari_cellcls.learn.job import Job, Training, read_weights, write_weights
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import DataError, ModelError, finish

pytestmark = pytest.mark.tensorflow

PARAMS = {"size": 16, "channels": 3, "embedding": 16}


@pytest.fixture
def toy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 160)
    images = rng.integers(40, 90, (160, 16, 16, 3))
    images[labels == 1, 5:11, 5:11, 2] += 120
    return images.astype(np.uint8), labels


def _job(**training: object) -> Job:
    spec = Training(**{"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, **training})
    return Job("malaria_cnn", PARAMS, 2, spec, Augmentation(flips=True))


@pytest.mark.parametrize("keep", ["last", "average", "best"])
def test_learns_a_toy_set(toy, tmp_path: Path, keep: str) -> None:
    images, labels = toy
    job = _job(epochs=6, keep=keep, average=0.8 if keep == "average" else 0.0)
    train, val = np.arange(120), np.arange(120, 160)
    steps = []
    fitted = finish(fit(images, labels, job, train=train, val=val), steps.append)
    assert steps[-1].done == steps[-1].total and "loss" in steps[-1].message
    assert len(fitted.history) == 6 and fitted.history[-1]["loss"] < fitted.history[0]["loss"]
    write_weights(tmp_path / "w.safetensors", fitted)
    model = load_classifier(job, read_weights(tmp_path / "w.safetensors", job))
    assert (logits_of(model, images, val).argmax(1) == labels[val]).mean() >= 0.95


def test_resuming_gives_the_same_weights(toy, tmp_path: Path) -> None:
    images, labels = toy
    job = _job(average=0.9, keep="average", head_dropout=0.3)
    whole = finish(fit(images, labels, job))
    task = fit(images, labels, job, out=tmp_path)
    for step in task:
        if step.message.startswith("epoch 2/"):
            break
    task.close()
    seen = []
    resumed = finish(fit(images, labels, job, out=tmp_path, resume=True), seen.append)
    assert seen[0].message.startswith("epoch 3")
    for name, value in whole.tensors().items():
        np.testing.assert_allclose(resumed.tensors()[name], value, atol=1e-6, err_msg=name)


def test_a_checkpoint_of_another_job_or_a_torn_one_is_not_used(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "a").save({"model": [np.ones(3)]}, {"epoch": 1})
    groups, state = Checkpoint(tmp_path, "a").load()
    assert state == {"epoch": 1} and np.array_equal(groups["model"][0], np.ones(3))
    assert Checkpoint(tmp_path, "b").load() is None
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    assert Checkpoint(tmp_path, "a").load() is None


def test_refusals(toy) -> None:
    images, labels = toy
    for change, code in (
        (lambda: fit(images[:, :8], labels, _job()), "DATA-SHAPE"),
        (lambda: fit(images, labels + 1, _job()), "DATA-LABEL"),
        (lambda: fit(images, labels, _job(), train=np.array([], int)), "DATA-EMPTY"),
        (lambda: fit(images, labels, _job(learning_rate=float("nan"), schedule="constant")), "TRAIN-NAN"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            finish(change())
        assert error.value.code == code


def test_weights_of_another_network_are_refused(toy, tmp_path: Path) -> None:
    fitted = finish(fit(*toy, _job(epochs=1)))
    write_weights(tmp_path / "w.safetensors", fitted)
    other = replace(_job(), params={**PARAMS, "embedding": 24})
    with pytest.raises(ModelError):
        read_weights(tmp_path / "w.safetensors", other)
