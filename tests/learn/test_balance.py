"""Rows of an epoch and their weights: nothing lost, rare classes repeated, weights balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.learn.balance import (
    order_of,
    pool_of,
    sample_weights,
    targets_of,
    weights_of,
)
from napari_cellcls.learn.job import Oversample
from tests.learn.jobs import job


@given(n=st.integers(1, 50), wanted=st.integers(1, 200), seed=st.integers(0, 99))
def test_every_row_comes_once_before_any_twice(n: int, wanted: int, seed: int) -> None:
    pool = np.arange(n) * 3
    order = order_of(pool, wanted, seed, 4)
    assert len(order) == wanted
    counts = np.bincount(order // 3, minlength=n)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(order, order_of(pool, wanted, seed, 4))


def test_epochs_and_seeds_have_other_orders() -> None:
    pool = np.arange(50)
    orders = [tuple(order_of(pool, 50, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_rare_rows_of_the_training_side_are_repeated() -> None:
    labels = np.array([0, 0, 1, 0, 1, 0])
    asked = job(oversample=Oversample((1,), 3))
    targets = targets_of(labels, asked)
    rows = np.array([0, 1, 2, 3])  # row 4 is on another side
    assert pool_of(rows, targets, asked).tolist() == [0, 1, 2, 2, 2, 3]
    several = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [0, 0], [0, 1]])
    assert pool_of(rows, several.astype(float), asked).tolist() == [0, 1, 1, 1, 2, 3, 3, 3]


def test_balanced_weights_of_one_label() -> None:
    asked = job(class_weights="balanced")
    targets = targets_of(np.array([0, 0, 0, 1]), asked)
    weights = sample_weights(targets, weights_of(np.arange(4), targets, asked), False)
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0]) and weights.mean() == pytest.approx(
        1
    )
    assert (
        sample_weights(targets, weights_of(np.arange(4), targets, job()), False).tolist() == [1] * 4
    )


def test_balanced_weights_of_several_labels() -> None:
    asked = job(class_weights="balanced", multi_label=True, loss="binary_crossentropy")
    targets = np.zeros((100, 2), np.float32)
    targets[:10, 0], targets[0, 1] = 1, 1
    both = weights_of(np.arange(100), targets, asked)
    found = sample_weights(targets, both, True)
    assert found.shape == (100, 2)
    assert found[targets[:, 0] > 0, 0].sum() == pytest.approx(found[targets[:, 0] == 0, 0].sum())
    assert found[0, 1] == 20  # not 50: one cell must not outweigh everything
