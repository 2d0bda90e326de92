"""One step: the rate of the schedule, the batch in parts, the memory that does not suffice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.job import Oversample, Phase
from napari_cellcls.learn.steps import MemoryShort, Optimizing, learning_rate
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import finish
from tests.learn.jobs import blobs, job


def test_schedules() -> None:
    cosine = Phase(4, 0.1, schedule="cosine", warmup_epochs=1)
    rates = [learning_rate(cosine, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.004) and rates[10] == pytest.approx(0.1)
    assert rates[25] == pytest.approx(0.05) and 0 < rates[-1] < 0.001
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    decay = Phase(60, 1e-3, schedule="decay")
    # Keras' former decay: learning_rate / (1 + decay * step) with decay = learning_rate / epochs.
    assert learning_rate(decay, 6000, 100) == pytest.approx(1e-3 / (1 + 1e-3 / 60 * 6000))
    assert {learning_rate(Phase(3, 0.2), step, 5) for step in range(15)} == {0.2}


@pytest.mark.tensorflow
@pytest.mark.parametrize("micro", [16, 12, 1])
def test_parts_of_a_batch_make_the_step_of_the_whole(micro: int) -> None:
    # A network without batch normalization: with it the parts are normalized one by one.
    images, labels = blobs(64, 28)
    asked = job(
        Phase(2, 1e-3, steps_per_epoch=2), arch="hela_cnn", weight_decay=0.01,
        class_weights="balanced", oversample=Oversample((1,), 2),
    )  # fmt: skip
    whole = finish(fit(images, labels, asked))
    parts = finish(fit(images, labels, asked, micro_batch=micro))
    for name, value in whole.tensors().items():
        np.testing.assert_allclose(parts.tensors()[name], value, atol=3e-5, err_msg=name)
    for one, other in zip(whole.history, parts.history):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert other["accuracy"] == one["accuracy"]


@pytest.mark.tensorflow
def test_a_training_goes_on_with_smaller_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = blobs(64, 28)
    asked = job(Phase(2, 1e-3), arch="hela_cnn")
    whole = finish(fit(images, labels, asked))
    train_batch, seen = Optimizing._train, []

    def short(self, crops, targets, weights):
        seen.append(len(targets))
        if len(seen) > 2 and len(targets) > 16:
            raise MemoryError("no room")
        return train_batch(self, crops, targets, weights)

    monkeypatch.setattr(Optimizing, "_train", short)
    with pytest.raises(MemoryShort, match="32 cells at once were too many: no room") as error:
        finish(fit(images, labels, asked, out=tmp_path))
    assert error.value.code == "TRAIN-MEMORY" and error.value.micro_batch == 32
    rest = finish(fit(images, labels, asked, out=tmp_path, resume=True, micro_batch=16))
    assert seen == [32, 32, 32, 16, 16, 16, 16]
    for name, value in whole.tensors().items():
        np.testing.assert_allclose(rest.tensors()[name], value, atol=3e-5, err_msg=name)


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["ResourceExhausted", "RuntimeError", "other"])
def test_what_the_backends_say_when_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import tensorflow as tf

    raised = {
        "ResourceExhausted": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
        "RuntimeError": RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        "other": RuntimeError("shapes do not fit"),
    }[kind]

    def fail(self, *_):
        raise raised

    monkeypatch.setattr(Optimizing, "_train", fail)
    with pytest.raises(RuntimeError if kind == "other" else MemoryShort):
        finish(fit(*blobs(32), job(Phase(1))))
