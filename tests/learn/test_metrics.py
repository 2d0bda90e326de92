"""Metrics against scikit-learn, values worked out by hand, and what must hold for any answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.learn import metrics


def two_classes(n: int = 1200, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    score = np.round((1 - 2 * labels) * 1.2 + rng.normal(0, 1, n), 1)
    return metrics.softmax(np.stack([score, -score], 1)), labels


def several(n: int = 300, classes: int = 5, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, classes)) < np.linspace(0.05, 0.5, classes)
    p = metrics.sigmoid(np.round(3 * truth - 2 + rng.normal(0, 1.3, truth.shape), 1))
    return p, truth


def test_two_classes_against_scikit_learn() -> None:
    from sklearn import metrics as reference

    p, labels = two_classes()
    found = metrics.measure(metrics.scored(p, metrics.one_hot(labels, 2), positive=0))
    called, positive = p.argmax(1), labels == 0
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, called))
    balanced = reference.balanced_accuracy_score(labels, called)
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(positive, p[:, 0]))
    average = reference.average_precision_score(positive, p[:, 0])
    assert found["average_precision"] == pytest.approx(average)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, called, average="macro"))
    assert found["sensitivity"] == pytest.approx(reference.recall_score(positive, called == 0))
    assert found["micro_f1"] == found["sample_f1"] == pytest.approx(found["accuracy"])
    assert metrics.binary_metrics(p, labels) == {n: found[n] for n in (*metrics.BINARY, "n")}


def test_many_classes_against_scikit_learn() -> None:
    from sklearn import metrics as reference

    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 500)
    p = metrics.softmax(rng.normal(0, 1, (500, 4)) + 1.5 * metrics.one_hot(labels, 4))
    found = metrics.measure(metrics.scored(p, metrics.one_hot(labels, 4), positive=0))
    called = p.argmax(1)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, called))
    balanced = reference.balanced_accuracy_score(labels, called)
    assert found["balanced_accuracy"] == found["sensitivity"] == pytest.approx(balanced)
    auc = reference.roc_auc_score(labels, p, multi_class="ovr", average="macro")
    assert found["auc"] == pytest.approx(auc)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, called, average="macro"))
    matrix = reference.multilabel_confusion_matrix(labels, called)
    rates = metrics.class_rates(metrics.outcomes(metrics.scored(p, metrics.one_hot(labels, 4))).sum(0))  # fmt: skip
    assert rates["specificity"] == pytest.approx(matrix[:, 0, 0] / matrix[:, 0].sum(1))


def test_several_labels_against_scikit_learn() -> None:
    from sklearn import metrics as reference

    p, truth = several()
    of = metrics.scored(p, truth, multi_label=True)
    found, said = metrics.measure(of), p >= 0.5
    for name in ("macro", "micro"):
        expected = reference.f1_score(truth, said, average=name)
        assert found[f"{name}_f1"] == pytest.approx(expected)
    some = truth.any(1) | said.any(1)
    expected = reference.f1_score(truth[some], said[some], average="samples", zero_division=0)
    assert found["sample_f1"] == pytest.approx(expected)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, p, average="macro"))
    expected = reference.average_precision_score(truth, p, average="macro")
    assert found["average_precision"] == pytest.approx(expected)
    assert found["exact_match"] == pytest.approx(reference.accuracy_score(truth, said))
    assert found["accuracy"] == pytest.approx(1 - reference.hamming_loss(truth, said))


def test_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    found = metrics.binary_metrics(p, np.array([0, 0, 1, 1]))
    assert found["sensitivity"] == 0.5 and found["specificity"] == 0.5
    assert found["auc"] == 0.75
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.7) / 4)
    assert metrics.specificity_at(p[:, 0], np.array([True, True, False, False]), 1.0) == 0.5


def test_several_labels_by_hand() -> None:
    # Image 1: one of two found. Image 2: right and one too many. Image 3: none there, none said.
    truth = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    p = np.array([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1], [0.1, 0.1, 0.1]])
    found = metrics.measure(metrics.scored(p, truth, multi_label=True))
    assert found["accuracy"] == pytest.approx(7 / 9)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["sample_f1"] == pytest.approx(2 / 3), "the image without labels does not count"
    assert found["micro_f1"] == pytest.approx(4 / 6)
    assert found["macro_f1"] == pytest.approx(2 / 3), "the class that never occurs does not count"
    assert found["sensitivity"] == pytest.approx((1 + 0.5) / 2)
    assert found["specificity"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["auc"] == pytest.approx(1.0)


@pytest.mark.parametrize("label", [0, 1])
def test_without_one_class_nothing_is_made_up(label: int) -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    found = metrics.binary_metrics(p, np.array([label, label]), positive=0)
    assert np.isnan(found["auc"]) and np.isnan(found["balanced_accuracy"])
    assert np.isnan(found["specificity" if label == 0 else "sensitivity"])
    assert found["accuracy"] == 0.5
    assert np.isnan(metrics.specificity_at(p[:, 0], np.array([label == 0] * 2)))


def test_a_threshold_is_reached_by_equality() -> None:
    of = metrics.scored(np.array([[0.5, 0.49]]), np.array([[1, 1]]), multi_label=True)
    assert of.said.tolist() == [[True, False]]
    limits = np.array([0.51, 0.4])
    of = metrics.scored(np.array([[0.5, 0.49]]), np.array([[1, 1]]), thresholds=limits, multi_label=True)  # fmt: skip
    assert of.said.tolist() == [[False, True]]


def test_reliability_counts_every_decision() -> None:
    p, truth = several()
    table = metrics.reliability(metrics.scored(p, truth, multi_label=True))
    assert table[:, 0].sum() == truth.size and table[:, 2].sum() == truth.sum()
    assert table[:, 1].sum() == pytest.approx(p.sum())
    two, labels = two_classes()
    table = metrics.reliability(metrics.scored(two, metrics.one_hot(labels, 2)))
    assert table[:, 0].sum() == len(two) and table[:7, 0].sum() == 0, "the top class has half or more"  # fmt: skip


@given(st.integers(0, 10_000), st.integers(2, 5), st.booleans())
def test_numbers_lie_between_zero_and_one(seed: int, classes: int, multi: bool) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 20))
    if multi:
        truth, p = rng.random((n, classes)) < 0.3, np.round(rng.random((n, classes)), 1)
    else:
        truth = metrics.one_hot(rng.integers(0, classes, n), classes)
        p = metrics.softmax(np.round(rng.normal(0, 2, (n, classes))))
    found = metrics.measure(metrics.scored(p, truth, positive=0, multi_label=multi))
    known = [v for v in found.values() if not np.isnan(v)]
    assert all(-1e-12 <= v <= 1 + 1e-12 for v in known[:-1]) and found["n"] == n
    perfect = metrics.measure(metrics.scored(truth.astype(float), truth, positive=0, multi_label=multi))  # fmt: skip
    right = [v for k, v in perfect.items() if k not in ("n", "ece") and not np.isnan(v)]
    assert right == [1.0] * len(right) and perfect["ece"] == 0


@given(st.integers(0, 10_000))
def test_order_of_the_images_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, truth = several(40, 3, seed)
    order = rng.permutation(40)
    a = metrics.measure(metrics.scored(p, truth, multi_label=True))
    b = metrics.measure(metrics.scored(p[order], truth[order], multi_label=True))
    assert a == pytest.approx(b, nan_ok=True)
