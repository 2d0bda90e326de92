"""Temperature and thresholds, chosen on a side of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.learn import calibration, metrics


def test_temperature_recovers_the_scale() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (20_000, 2))
    labels = (rng.random(20_000) < metrics.softmax(true)[:, 1]).astype(int)
    assert calibration.fit_temperature(true * 3, labels) == pytest.approx(3, rel=0.05)


def test_temperature_of_several_labels_recovers_the_scale() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 2, (8000, 3))
    truth = rng.random(true.shape) < metrics.sigmoid(true)
    assert calibration.fit_temperature(true * 0.5, truth) == pytest.approx(0.5, rel=0.05)


def test_thresholds_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.2], [0.5, 0.3], [0.2, 0.05]])
    truth = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    # The first three give F1 = 4/5, the first alone 2/3: cut between 0.5 and 0.2.
    assert calibration.choose_thresholds("per_class", p, truth) == pytest.approx([0.35, 0.5])
    # Two have it, so the two highest: cut between 0.6 and 0.5. Nobody has the second class.
    assert calibration.choose_thresholds("matched", p, truth) == pytest.approx([0.55, 0.5])
    assert calibration.choose_thresholds(0.2, p, truth).tolist() == [0.2, 0.2]


def test_equal_scores_are_never_torn_apart() -> None:
    p = np.array([[0.4], [0.4], [0.4], [0.1]])
    truth = np.array([[1], [0], [0], [0]], bool)
    for rule in ("per_class", "matched"):
        (limit,) = calibration.choose_thresholds(rule, p, truth)
        assert (p[:, 0] >= limit).sum() == 3


@given(st.integers(0, 10_000))
def test_the_best_threshold_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random((25, 1)), 2)
    truth = rng.random((25, 1)) < 0.3
    (chosen,) = calibration.choose_thresholds("per_class", p, truth)

    def f1(limit: float) -> float:
        return metrics.class_rates(
            metrics.outcomes(metrics.scored(p, truth, thresholds=np.array([limit]), multi_label=True)).sum(0)
        )["f1"][0]  # fmt: skip

    if truth.any():
        best = np.nanmax([f1(limit) for limit in [*p[:, 0], 0.0]])
        assert f1(chosen) == pytest.approx(best)
        (matched,) = calibration.choose_thresholds("matched", p, truth)
        assert (p >= matched).sum() >= truth.sum()


def test_rules_in_words() -> None:
    assert calibration.rule_in_words(0.2) == "fixed at 0.2"
    assert "ratios" in calibration.rule_in_words("matched")
