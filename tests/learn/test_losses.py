"""Losses and scores: Keras and NumPy agree with each other and with the formulas."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.losses import better, counted_scores, make_counts, make_loss, scores_of
from tests.learn.jobs import job

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (40, 2)).astype(np.float32)
ONE = np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 40)]
SEVERAL = RNG.integers(0, 2, (40, 2)).astype(np.float32)


@pytest.mark.tensorflow
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("loss", ["crossentropy", "focal"])
def test_the_loss_of_keras_is_that_of_the_scores(multi_label: bool, loss: str) -> None:
    name = loss if loss == "focal" else ("binary_" if multi_label else "categorical_") + loss
    asked = job(multi_label=multi_label, loss=name)
    targets = SEVERAL if multi_label else ONE
    found = float(make_loss(asked)(targets, LOGITS))
    assert found == pytest.approx(scores_of(LOGITS, targets, asked)["loss"], rel=1e-5)


@pytest.mark.tensorflow
def test_the_loss_is_that_of_keras_with_smoothing() -> None:
    import keras

    asked = job(label_smoothing=0.1)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    assert float(make_loss(asked)(ONE, LOGITS)) == pytest.approx(
        float(theirs(ONE, LOGITS)), rel=1e-5
    )
    asked = job(label_smoothing=0.1, multi_label=True, loss="binary_crossentropy")
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    ours = float(make_loss(asked)(SEVERAL, LOGITS))
    assert ours == pytest.approx(float(theirs(SEVERAL, LOGITS)), rel=1e-5)
    asked = job(multi_label=True, loss="focal")
    theirs = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=2)
    ours = float(make_loss(asked)(SEVERAL, LOGITS))
    assert ours == pytest.approx(float(theirs(SEVERAL, LOGITS)), rel=1e-4)


@pytest.mark.tensorflow
@pytest.mark.parametrize("multi_label", [False, True])
def test_a_soft_label_is_learned_as_it_is(multi_label: bool) -> None:
    asked = job(multi_label=True, loss="binary_crossentropy") if multi_label else job()
    soft = np.array([[0.8, 0.2]], np.float32)
    loss = make_loss(asked)
    logit = np.log(4.0, dtype=np.float32)
    right = np.array([[logit, -logit]], np.float32) / (1 if multi_label else 2)
    for factor in (0.5, 2.0):
        assert float(loss(soft, right)) < float(loss(soft, factor * right))
    metric = make_counts(asked)
    metric.update_state(soft, right)
    assert np.asarray(metric.result()).tolist() == [[1, 0], [0, 0], [0, 0]]


@pytest.mark.tensorflow
@pytest.mark.parametrize("multi_label", [False, True])
def test_counts_of_a_batch(multi_label: bool) -> None:
    targets = SEVERAL if multi_label else ONE
    asked = job(multi_label=multi_label, loss="focal")
    metric = make_counts(asked)
    for part in (slice(0, 30), slice(30, 40)):
        metric.update_state(targets[part], LOGITS[part])
    counted = counted_scores(np.asarray(metric.result()), 40, asked)
    found = scores_of(LOGITS, targets, asked)
    assert counted["accuracy"] == pytest.approx(found["accuracy"])
    assert counted["macro_f1"] == pytest.approx(found["macro_f1"])


@pytest.mark.parametrize("multi_label", [False, True])
def test_f1_scores_are_those_of_scikit_learn(multi_label: bool) -> None:
    from sklearn.metrics import f1_score

    targets = SEVERAL if multi_label else ONE
    asked = job(multi_label=multi_label, loss="focal")
    said = LOGITS > 0 if multi_label else np.eye(2, dtype=bool)[LOGITS.argmax(1)]
    found = scores_of(LOGITS, targets, asked)
    for average, name in (("macro", "macro_f1"), ("micro", "micro_f1"), ("samples", "sample_f1")):
        wanted = f1_score(targets > 0, said, average=average, zero_division=0)
        assert found[name] == pytest.approx(wanted), name


def test_classes_that_never_occur_do_not_count() -> None:
    counts = np.array([[5, 0, 0], [0, 0, 2], [0, 0, 0]])
    assert counted_scores(counts, 7, job())["macro_f1"] == 0.5
    assert counted_scores(np.zeros((3, 3)), 0, job()) == {"accuracy": 0.0, "macro_f1": 0.0}


def test_better() -> None:
    assert better("val_loss", 1.0, None) and better("val_loss", 0.5, 1.0)
    assert not better("val_loss", 1.5, 1.0) and not better("val_loss", float("nan"), None)
    assert better("val_macro_f1", 0.9, 0.5) and not better("val_macro_f1", 0.5, 0.5)
