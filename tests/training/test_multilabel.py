"""Thresholds, temperature and metrics of the starter model, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training import multilabel

LABELS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [1, 1]], np.uint8)


def test_perfect_scores_give_perfect_numbers() -> None:
    scores = LABELS * 0.9 + 0.05
    thresholds = multilabel.fit_thresholds(scores, LABELS)
    assert ((thresholds > 0.05) & (thresholds < 0.95)).all()
    found = multilabel.report(scores, LABELS, thresholds, np.array([1, 1, 2, 2, 3, 3]), ["a", "b"])
    assert found["macro_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["exact"]["value"] == 1.0
    assert found["fields"] == 3
    assert found["per_class"]["a"] == {"f1": 1.0, "average_precision": 1.0, "cells": 3}


def test_average_precision_by_hand() -> None:
    value = multilabel.average_precision(np.array([0.9, 0.8, 0.7]), np.array([1, 0, 1]))
    assert value == pytest.approx((1 + 2 / 3) / 2)


def test_temperature_cools_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (4000, 2))
    labels = (rng.random(honest.shape) < 1 / (1 + np.exp(-honest))).astype(np.uint8)
    assert multilabel.fit_temperature(honest * 3, labels) == pytest.approx(3, rel=0.1)


def test_calibration_error_of_a_coin_called_certain() -> None:
    scores = np.ones((10, 1))
    labels = np.array([[1], [0]] * 5)
    assert multilabel.calibration_error(scores, labels) == pytest.approx(0.5)
