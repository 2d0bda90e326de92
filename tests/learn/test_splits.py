"""Splits: no group on both sides, stable, and leaks named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.learn.splits import check_leaks, fold_split, grouped_folds, random_split
from napari_cellcls.vocabulary import DataError


def test_random_split_has_the_published_sizes() -> None:
    split = random_split(27_558)
    assert (len(split.train), len(split.val), len(split.test)) == (17_636, 4_410, 5_512)
    everything = np.concatenate([split.train, split.val, split.test])
    assert np.array_equal(np.sort(everything), np.arange(27_558))


groups_and_labels = st.lists(
    st.tuples(st.sampled_from([f"C{i}" for i in range(12)]), st.integers(0, 2)),
    min_size=60,
    max_size=200,
)


@settings(max_examples=40, deadline=None)
@given(groups_and_labels, st.integers(0, 5), st.randoms(use_true_random=False))
def test_folds_keep_groups_whole_and_ignore_the_order_of_rows(rows, seed, random) -> None:
    groups = np.array([g for g, _ in rows])
    labels = np.array([k for _, k in rows])
    if len(np.unique(groups)) < 3:
        return
    fold = grouped_folds(groups, labels, folds=3, seed=seed)
    of_group = {g: set(fold[groups == g].tolist()) for g in np.unique(groups)}
    assert all(len(found) == 1 for found in of_group.values())
    order = list(range(len(rows)))
    random.shuffle(order)
    again = grouped_folds(groups[order], labels[order], folds=3, seed=seed)
    assert np.array_equal(again, fold[order])
    split = fold_split(fold, 0, groups, labels)
    check_leaks(split.sides(), groups=groups)


def test_folds_balance_classes() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"C{i}" for i in range(100)], rng.integers(20, 80, 100))
    labels = (rng.random(len(groups)) < 0.5).astype(int)
    fold = grouped_folds(groups, labels)
    shares = [labels[fold == k].mean() for k in range(5)]
    sizes = np.bincount(fold) / len(fold)
    assert max(shares) - min(shares) < 0.03
    assert sizes.min() > 0.18 and sizes.max() < 0.22


def test_validation_inside_has_its_own_groups() -> None:
    groups = np.repeat([f"C{i}" for i in range(20)], 10)
    labels = np.tile([0, 1], 100)
    fold = grouped_folds(groups, labels)
    split = fold_split(fold, 2, groups, labels, val=0.25)
    check_leaks(split.sides(), groups=groups)
    assert len(split.val) == 40 and len(split.test) == 40 and len(split.train) == 120


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"There are 2 groups \(a, b") as error:
        grouped_folds(["a", "b", "b"], np.array([0, 1, 1]), folds=5)
    assert error.value.code == "DATA-GROUPS"


def test_a_patient_on_both_sides_is_named() -> None:
    sides = {"training": np.array([0, 1]), "test": np.array([2, 3])}
    with pytest.raises(DataError, match="1 shared: C7") as error:
        check_leaks(sides, groups=["C7", "C8", "C9", "C7"])
    assert error.value.code == "DATA-LEAK"


def test_an_identical_image_on_both_sides_is_named() -> None:
    sides = {"training": np.array([0, 1]), "test": np.array([2])}
    with pytest.raises(DataError, match=r"copy\.png = a\.png"):
        check_leaks(sides, hashes=["x", "y", "x"], names=["a.png", "b.png", "copy.png"])
