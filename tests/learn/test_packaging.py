"""Temperature and thresholds of a package come from the validation side."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn.packaging import calibrated
from napari_cellcls.learn.recipe import Recipe, read_recipe


def recipe(threshold: str) -> Recipe:
    changes = ["classes=[a, b]", "oversample=null", f"threshold={threshold}"]
    return read_recipe("hpa_cnn", changes)


RNG = np.random.default_rng(0)
TRUTH = RNG.random((400, 2)) < [0.5, 0.1]
LOGITS = np.where(TRUTH, 6.0, -6.0) + RNG.normal(0, 6, TRUTH.shape)


def test_a_fixed_threshold_says_what_it_said_of_raw_answers() -> None:
    asked = recipe("0.2")
    found = calibrated(asked, asked.job(), LOGITS, TRUTH)
    temperature, thresholds = found["temperature"], np.array(found["thresholds"])
    assert temperature != 1
    answers = 1 / (1 + np.exp(-LOGITS / temperature))
    raw = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_array_equal(answers > thresholds, raw > 0.2)


@pytest.mark.parametrize("rule", ["per_class", "matched"])
def test_chosen_thresholds(rule: str) -> None:
    asked = recipe(rule)
    found = calibrated(asked, asked.job(), LOGITS, TRUTH)
    said = 1 / (1 + np.exp(-LOGITS / found["temperature"])) > found["thresholds"]
    if rule == "matched":
        assert np.abs(said.sum(0) - TRUTH.sum(0)).max() <= 1
    assert (said == TRUTH).mean() > 0.8


def test_without_a_validation_side() -> None:
    none = np.zeros((0, 2))
    asked = recipe("matched")
    assert calibrated(asked, asked.job(), none, none > 0) == {
        "temperature": 1.0,
        "thresholds": [0.5, 0.5],
    }
    single = read_recipe("malaria_cnn")
    assert calibrated(single, single.job(), none, none > 0) == {"temperature": 1.0}
