"""The trainer learns toy sets, follows its phases, resumes to the same bits, and refuses nonsense."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.classifier import load_classifier, logits_of
from napari_cellcls.learn.job import (
    BestWeights,
    EarlyStopping,
    Oversample,
    Phase,
    read_weights,
    write_weights,
)
from napari_cellcls.learn.trainer import fit
from napari_cellcls.vocabulary import DataError, ModelError, finish
from tests.learn.jobs import PARAMS, blobs, job

pytestmark = pytest.mark.tensorflow

TRAIN, VAL = np.arange(120), np.arange(120, 160)


def same(one, other) -> bool:
    return all(np.array_equal(one.tensors()[k], v) for k, v in other.tensors().items())


@pytest.mark.parametrize("keep", ["last", "average", "best"])
def test_learns_a_toy_set(tmp_path: Path, keep: str) -> None:
    images, labels = blobs()
    extra = {"average": {"average": 0.8}, "best": {"checkpoint": BestWeights("val_macro_f1")}}
    asked = job(Phase(6, 3e-3), **extra.get(keep, {}))
    steps = []
    fitted = finish(fit(images, labels, asked, train=TRAIN, val=VAL), steps.append)
    assert steps[-1].done == steps[-1].total and "loss" in steps[-1].message
    assert len(fitted.history) == 6 and fitted.history[-1]["loss"] < fitted.history[0]["loss"]
    last = fitted.history[-1]
    assert last["accuracy"] > 0.9 and last["macro_f1"] > 0.9 and last["val_macro_f1"] > 0.9
    write_weights(tmp_path / "w.safetensors", fitted)
    model = load_classifier(asked, read_weights(tmp_path / "w.safetensors", asked))
    assert (logits_of(model, images, VAL).argmax(1) == labels[VAL]).mean() >= 0.95


@pytest.mark.parametrize("loss", ["binary_crossentropy", "focal"])
def test_learns_several_labels(loss: str) -> None:
    images, labels = blobs()
    several = np.stack([labels, labels | (np.arange(160) % 5 == 0)], axis=1).astype(np.uint8)
    images[several[:, 1] > labels, :4, :4, 1] += 140
    asked = job(Phase(8, 3e-3), multi_label=True, loss=loss, class_weights="balanced")
    fitted = finish(fit(images, several, asked, train=TRAIN, val=VAL))
    last = fitted.history[-1]
    assert last["val_macro_f1"] > 0.9 and last["val_sample_f1"] > 0.4
    assert set(last) >= {"val_loss", "val_accuracy", "val_micro_f1", "loss", "macro_f1"}


def test_phases_freeze_and_let_go() -> None:
    import keras

    images, labels = blobs()
    frozen, free = Phase(1, 1e-3, frozen=True), Phase(1, 1e-3)
    asked = job(frozen)
    keras.utils.set_random_seed(asked.training.seed)
    from napari_cellcls.learn.classifier import build_classifier
    from napari_cellcls.models import networks, plan

    spec = networks.weight_spec(asked.architecture, asked.params)
    begun = plan.collect(build_classifier(asked)[0], spec)
    kept = finish(fit(images, labels, asked))
    # The statistics of batch normalization are among them.
    assert any("moving_mean" in name for name in begun)
    for name, value in begun.items():
        np.testing.assert_array_equal(kept.weights[name], value, err_msg=name)
    both = finish(fit(images, labels, job(frozen, free)))
    changed = {
        name for name, value in begun.items() if not np.array_equal(both.weights[name], value)
    }
    assert changed == set(begun)
    assert [e["phase"] for e in both.history] == [1, 2]


def test_learning_rate_follows_the_phases() -> None:
    images, labels = blobs(64)
    phases = (Phase(2, 1e-3, steps_per_epoch=3), Phase(2, 1e-4, schedule="decay"))
    fitted = finish(fit(images, labels, job(*phases)))
    rates = [e["learning_rate"] for e in fitted.history]
    assert rates[:2] == [1e-3, 1e-3]
    assert rates[2] == pytest.approx(1e-4 / (1 + 1 * 1e-4 / 2))
    assert rates[3] == pytest.approx(1e-4 / (1 + 3 * 1e-4 / 2))


def test_early_stopping_ends_a_phase_and_the_best_weights_stay() -> None:
    images, labels = blobs()
    # A learning rate that ruins what the first epochs learned.
    asked = job(
        Phase(3, 3e-3),
        Phase(30, 0.0),
        early_stopping=EarlyStopping("val_loss", 2),
        checkpoint=BestWeights("val_loss"),
    )
    seen = []
    fitted = finish(fit(images, labels, asked, train=TRAIN, val=VAL), seen.append)
    phases = [e["phase"] for e in fitted.history]
    assert phases.count(2) < 30 and seen[-1].done == seen[-1].total
    best = min(fitted.history, key=lambda e: e["val_loss"])
    targets = np.eye(2)[labels[VAL]]
    logits = logits_of(load_classifier(asked, fitted.tensors()), images, VAL)
    from napari_cellcls.learn.losses import scores_of

    assert scores_of(logits, targets, asked)["loss"] == pytest.approx(best["val_loss"], rel=1e-5)


def test_same_seed_same_bits_other_seed_others() -> None:
    images, labels = blobs(64)
    one, two, three = (
        finish(fit(images, labels, job(Phase(1), seed=s, head_dropout=0.3))) for s in (1, 1, 2)
    )
    assert same(one, two) and not same(one, three)


@pytest.mark.parametrize("step", ["in", "after"])
def test_a_closed_training_resumes_to_the_same_bits(tmp_path: Path, step: str) -> None:
    images, labels = blobs()
    asked = job(
        Phase(2, 3e-3), Phase(2, 1e-3), average=0.9, head_dropout=0.3, weight_decay=0.01,
        checkpoint=BestWeights("val_loss"), early_stopping=EarlyStopping("val_loss", 5),
        oversample=Oversample((1,), 2), class_weights="balanced",
    )  # fmt: skip
    sides = {"train": TRAIN, "val": VAL}
    whole = finish(fit(images, labels, asked, **sides))
    task = fit(images, labels, asked, out=tmp_path, **sides)
    for at in task:
        if at.message.startswith("epoch 3: " if step == "in" else "epoch 2/"):
            break
    task.close()
    seen = []
    resumed = finish(fit(images, labels, asked, out=tmp_path, resume=True, **sides), seen.append)
    assert seen[0].done > 0
    told = "epoch 2, step 1" if step == "in" else "epoch 2, step 0"
    assert resumed.notes[0] == f"Goes on after {told}."
    assert same(whole, resumed)
    untimed = [[{**e, "seconds": 0} for e in f.history] for f in (whole, resumed)]
    assert untimed[0] == untimed[1]
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 4


def test_a_finished_training_resumes_to_its_result(tmp_path: Path) -> None:
    images, labels = blobs(64)
    asked = job(Phase(2), checkpoint=BestWeights("loss"))
    first = finish(fit(images, labels, asked, out=tmp_path))
    assert same(first, finish(fit(images, labels, asked, out=tmp_path, resume=True)))


def test_another_recipe_or_other_data_never_go_on(tmp_path: Path) -> None:
    images, labels = blobs(64)
    finish(fit(images, labels, job(Phase(1)), out=tmp_path))
    for change in (
        lambda: fit(images, labels, job(Phase(2)), out=tmp_path, resume=True),
        lambda: fit(images, 1 - labels, job(Phase(1)), out=tmp_path, resume=True),
        lambda: fit(images, labels, job(Phase(1)), train=TRAIN[:60], out=tmp_path, resume=True),
    ):
        with pytest.raises(DataError) as error:
            finish(change())
        assert error.value.code == "RUN-CHANGED" and "--out" in error.value.remedy


def test_refusals() -> None:
    images, labels = blobs()
    for change, code in (
        (lambda: fit(images[:, :8], labels, job()), "DATA-SHAPE"),
        (lambda: fit(images, labels + 1, job()), "DATA-LABEL"),
        (lambda: fit(images, labels, job(), train=np.array([], int)), "DATA-EMPTY"),
        (lambda: fit(images, labels, job(Phase(1, float("nan")))), "TRAIN-NAN"),
    ):
        with pytest.raises(DataError) as error:
            finish(change())
        assert error.value.code == code


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    fitted = finish(fit(*blobs(64), job(Phase(1))))
    write_weights(tmp_path / "w.safetensors", fitted)
    other = replace(job(), params={**PARAMS, "embedding": 24})
    with pytest.raises(ModelError):
        read_weights(tmp_path / "w.safetensors", other)
