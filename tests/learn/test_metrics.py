"""Metrics against scikit-learn and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn import metrics


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    groups = np.repeat([f"C{i}" for i in range(30)], 40)
    labels = rng.integers(0, 2, len(groups))
    shift = np.repeat(rng.normal(0, 0.7, 30), 40)
    score = np.round((1 - 2 * labels) * 1.2 + shift + rng.normal(0, 1, len(labels)), 1)
    return np.stack([score, -score], 1), labels, groups


def test_against_scikit_learn(scored) -> None:
    from sklearn import metrics as reference

    logits, labels, _ = scored
    p = metrics.softmax(logits)
    found = metrics.binary_metrics(p, labels)
    called, positive = p.argmax(1), labels == 0
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, called))
    assert found["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(labels, called)
    )
    assert found["auc"] == pytest.approx(reference.roc_auc_score(positive, p[:, 0]))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, called, average="macro"))
    assert found["sensitivity"] == pytest.approx(reference.recall_score(positive, called == 0))


def test_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    found = metrics.binary_metrics(p, np.array([0, 0, 1, 1]))
    assert found["sensitivity"] == 0.5 and found["specificity"] == 0.5
    assert found["auc"] == 0.75
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.7) / 4)
    assert metrics.specificity_at(p[:, 0], np.array([True, True, False, False]), 1.0) == 0.5


def test_temperature_recovers_the_scale() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20_000, 2))
    labels = (rng.random(20_000) < metrics.softmax(true)[:, 1]).astype(int)
    assert metrics.fit_temperature(true * 3, labels) == pytest.approx(3, rel=0.05)


def test_intervals_hold_the_value_and_grow_with_clustering(scored) -> None:
    logits, labels, groups = scored
    p = metrics.softmax(logits)
    values = metrics.binary_metrics(p, labels)
    clustered = metrics.clustered_intervals(p, labels, groups)
    single = metrics.clustered_intervals(
        p, labels, np.arange(len(labels)).astype(str), resamples=500
    )
    for name in ("accuracy", "auc", "sensitivity", "specificity"):
        low, high = clustered[name]
        assert low < values[name] < high
        assert high - low > single[name][1] - single[name][0]
    assert clustered == metrics.clustered_intervals(p, labels, groups)


def test_flat_metrics_and_table(scored) -> None:
    logits, labels, groups = scored
    flat = metrics.flat_metrics(
        metrics.softmax(logits), labels, groups, protocol="5-fold", resamples=100
    )
    assert flat["protocol"] == "5-fold" and flat["n"] == 1200
    assert all(f"{name}{end}" in flat for name in metrics.BINARY for end in ("", "_low", "_high"))
    text = metrics.text_table({"all": flat, "sd": {"auc": 0.9, "auc_sd": 0.01, "n": 3}})
    assert f"[{flat['auc_low']:.4f}, {flat['auc_high']:.4f}]" in text and "0.9000 ± 0.0100" in text
