"""The difference of macro F1: classes that can be judged, the same for both models, by whole groups."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn import difference, intervals, metrics
from napari_cellcls.learn.metrics import Scored, one_hot, scored


def answers(said: np.ndarray, truth: np.ndarray, groups: np.ndarray, classes: int = 3) -> Scored:
    return scored(one_hot(said, classes) * 0.9 + 0.03, one_hot(truth, classes), groups)


def some(n: int = 300, groups: int = 30, seed: int = 0) -> tuple[Scored, Scored]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    names = np.array([f"image {k}" for k in rng.integers(0, groups, n)])
    one, two = (
        np.where(rng.random(n) < right, truth, rng.integers(0, 3, n)) for right in (0.7, 0.8)
    )
    return answers(one, truth, names), answers(two, truth, names)


def test_it_is_macro_f1_where_every_class_has_cells() -> None:
    one, two = some()
    assert difference.macro_f1(one) == pytest.approx(metrics.measure(one)["macro_f1"])
    draws = [difference.drawn(s, 200, 7) for s in (one, two)]
    usual = [intervals.resampled(s, 200, 7).values["macro_f1"] for s in (one, two)]
    assert metrics.mean_defined(draws[0][0]) == pytest.approx(usual[0])
    limits = difference.limits(*draws, 0.95)
    assert limits == pytest.approx(intervals.limits(usual[1] - usual[0], 0.95))


def test_a_class_without_cells_counts_for_neither() -> None:
    truth, groups = np.array([0, 0, 1, 1]), np.array(["a", "b", "a", "b"])
    one, two = answers(np.array([0, 0, 1, 0]), truth, groups), answers(np.array([0, 0, 1, 2]), truth, groups)  # fmt: skip
    assert difference.class_f1(one) == pytest.approx([0.8, 2 / 3, np.nan], nan_ok=True)
    assert difference.macro_f1(two) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.measure(two)["macro_f1"] == pytest.approx((1 + 2 / 3) / 3)


def test_a_class_in_one_group_is_left_out_of_draws_without_it() -> None:
    truth = np.array([0, 1] * 20 + [2])
    groups = np.array([f"image {k // 2}" for k in range(40)] + ["image 0"])
    said = truth.copy()
    said[1] = 2  # says the rare class in another place: its F1 would be 0 in the draws without it
    one, two = answers(truth, truth, groups), answers(said, truth, groups)
    f1 = [difference.drawn(s, 400, 1)[0] for s in (one, two)]
    assert np.isnan(f1[0][:, 2]).mean() == pytest.approx(np.exp(-1), abs=0.1)
    assert np.array_equal(np.isnan(f1[0]), np.isnan(f1[1]))
    assert difference.highest([f1[0]], [f1[1]], 0.99) == pytest.approx([0, 0, 0])


def test_few_groups_are_drawn_as_cells_too() -> None:
    one, two = some(groups=4)
    draws = [difference.drawn(s, 300, 1) for s in (one, two)]
    assert [len(d) for d in draws] == [2, 2]
    wide = difference.limits(*draws, 0.95)
    each = [difference.limits([draws[0][k]], [draws[1][k]], 0.95) for k in (0, 1)]
    assert wide is not None and None not in each
    assert wide == (min(low for low, _ in each), max(high for _, high in each))  # type: ignore[misc]
    alone = difference.limits(0.5, draws[1], 0.95)
    assert alone is not None and alone[0] < difference.macro_f1(two) - 0.5 < alone[1]
