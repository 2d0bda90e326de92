"""Sides of whole groups: stable under added data, classes in their shares, lists respected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.learn.sides import fractions, hashed_sides, listed_sides, stratified_sides
from napari_cellcls.vocabulary import DataError

SHARES = fractions(0.15, 0.15)
rows = st.lists(
    st.tuples(st.sampled_from([f"C{i}" for i in range(30)]), st.integers(0, 3)),
    min_size=1,
    max_size=120,
)


def _columns(table: list[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([g for g, _ in table]), np.array([k for _, k in table])


@settings(max_examples=60)
@given(rows, rows, st.integers(0, 9))
def test_by_hash_adding_images_moves_no_old_one(old, new, seed) -> None:
    groups = np.array([g for g, _ in old])
    more = np.array([g for g, _ in new + old])
    before = hashed_sides(groups, SHARES, seed=seed)
    after = hashed_sides(more, SHARES, seed=seed)
    assert np.array_equal(after[len(new) :], before)
    assert all(len(set(after[more == g])) == 1 for g in set(more))


@settings(max_examples=60)
@given(rows, rows, st.integers(0, 9))
def test_stratified_adding_images_moves_no_old_one(old, new, seed) -> None:
    groups, labels = _columns(old)
    before = stratified_sides(groups, labels, SHARES, seed=seed)
    known = dict(zip(groups.tolist(), before.tolist()))
    more_groups, more_labels = _columns(new + old)
    after = stratified_sides(more_groups, more_labels, SHARES, known=known, seed=seed)
    assert np.array_equal(after[len(new) :], before)
    assert all(len(set(after[more_groups == g])) == 1 for g in set(more_groups.tolist()))


def test_by_hash_the_shares_come_out() -> None:
    groups = np.array([f"patient {i}" for i in range(20_000)])
    side = hashed_sides(groups, SHARES)
    assert abs((side == "test").mean() - 0.15) < 0.01
    assert abs((side == "training").mean() - 0.70) < 0.01
    assert (side != hashed_sides(groups, SHARES, seed=1)).mean() > 0.3


def test_several_labels_are_spread_evenly_rare_ones_too() -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat([f"HPA{i:06}" for i in range(400)], 3)
    rates = np.array([0.5, 0.2, 0.05, 0.02])
    labels = np.repeat(rng.random((400, 4)) < rates, 3, axis=0).astype(int)
    side = stratified_sides(groups, labels, SHARES)
    for k in range(4):
        of_class = labels[:, k] == 1
        share = (side[of_class] == "test").mean()
        assert abs(share - 0.15) < 3 / of_class.sum() + 0.02, k
    assert abs((side == "test").mean() - 0.15) < 0.02


def test_stratified_ignores_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    groups = rng.choice([f"C{i}" for i in range(25)], 300)
    labels = rng.integers(0, 3, 300)
    order = rng.permutation(300)
    side = stratified_sides(groups, labels, SHARES)
    assert np.array_equal(stratified_sides(groups[order], labels[order], SHARES), side[order])


def test_a_side_without_share_stays_empty() -> None:
    side = stratified_sides([f"C{i}" for i in range(40)], np.arange(40) % 2, fractions(0.2, 0.0))
    assert "validation" not in set(side) and (side == "test").sum() == 8


def test_published_lists() -> None:
    lists = {"training": ("HPA010580", "CAB000001"), "test": ("HPA000002",)}
    side = listed_sides(["10580", "2", "1", "77", "2"], lists)
    assert side.tolist() == ["training", "test", "training", "training", "test"]


def test_only_antibodies_are_known_by_their_number() -> None:
    lists = {"training": ("dish 1",), "test": ("plate 1", "C1")}
    side = listed_sides(["plate 1", "dish 1", "C1", "C01"], lists)
    assert side.tolist() == ["test", "training", "test", "training"]
    shares = fractions(0.5, 0.0)
    kept = stratified_sides(["10580", "7"], np.array([0, 0]), shares, known={"HPA010580": "test"})
    assert kept[0] == "test"


def test_a_group_in_two_lists_is_named() -> None:
    with pytest.raises(DataError, match="2 is in training and in test") as error:
        listed_sides(["2"], {"training": ("HPA000002",), "test": ("HPA000002",)})
    assert error.value.code == "DATA-LEAK"
