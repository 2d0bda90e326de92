"""Sets of classes: they hold what they promise, for new groups too, and refuse what cannot be promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.learn.conformal import fit_sets, groups_needed
from napari_cellcls.vocabulary import DataError


def cells(
    groups: int, each: int, seed: int, spread: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities of three classes, labels and groups that are more or less difficult."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), each)
    labels = rng.integers(0, 3, len(group))
    ease = 1.5 + spread * rng.normal(size=groups)[group]
    logits = rng.normal(size=(len(group), 3)) + ease[:, None] * np.eye(3)[labels]
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True), labels, np.array([f"{seed}-{g}" for g in group])


def covered(rule, p: np.ndarray, labels: np.ndarray) -> float:
    return float(rule.sets(p)[np.arange(len(p)), labels].mean())


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_new_cells_are_covered_as_promised(coverage: float) -> None:
    rule = fit_sets(*cells(200, 20, 0), coverage=coverage)
    p, labels, _ = cells(500, 20, 1)
    assert covered(rule, p, labels) == pytest.approx(coverage, abs=0.015)
    assert rule.own.all() and rule.groups == 200 and rule.cells == 4000


def test_the_promise_is_kept_for_each_class() -> None:
    p, labels, groups = cells(200, 20, 2)
    p[:, 2] *= 0.3  # a class the model is shy of
    p /= p.sum(1, keepdims=True)
    rule = fit_sets(p, labels, groups)
    q, truth, _ = cells(500, 20, 3)
    q[:, 2] *= 0.3
    q /= q.sum(1, keepdims=True)
    for k in range(3):
        assert covered(rule, q[truth == k], truth[truth == k]) == pytest.approx(0.9, abs=0.02)


def test_new_groups_are_covered_where_groups_differ() -> None:
    shares = []
    for seed in range(40):
        rule = fit_sets(*cells(30, 40, 100 + seed, spread=1.5))
        p, labels, _ = cells(100, 10, 500 + seed, spread=1.5)
        shares.append(covered(rule, p, labels))
    assert 0.89 < np.mean(shares) < 0.94


def test_a_large_group_does_not_outvote_the_others() -> None:
    p, labels, groups = cells(30, 10, 4)
    easy = np.full((5000, 3), 0.005)
    easy[:, 0] = 0.99
    rule = fit_sets(
        np.concatenate([p, easy]),
        np.concatenate([labels, np.zeros(5000, int)]),
        np.concatenate([groups, np.full(5000, "large")]),
    )
    q, truth, _ = cells(300, 10, 5)
    assert covered(rule, q, truth) > 0.87


def test_a_rare_class_shares_the_limit_of_all() -> None:
    p, labels, groups = cells(60, 10, 6)
    keep = (labels != 2) | (np.cumsum(labels == 2) <= 20)
    rule = fit_sets(p[keep], labels[keep], groups[keep])
    assert rule.own.tolist() == [True, True, False]


def test_the_most_probable_class_is_always_in_the_set() -> None:
    rule = fit_sets(*cells(60, 10, 7), coverage=0.5)
    p, _, _ = cells(50, 10, 8)
    assert rule.sets(p)[np.arange(len(p)), p.argmax(1)].all()
    assert rule.sets(np.zeros((0, 3))).shape == (0, 3)


def test_too_few_groups_are_refused() -> None:
    assert [groups_needed(c) for c in (0.8, 0.9, 0.95, 0.99)] == [4, 9, 19, 99]
    with pytest.raises(DataError, match="8 groups; a promise of 90% needs at least 9") as error:
        fit_sets(*cells(8, 50, 9))
    assert error.value.code == "LEARN-FEW"


@settings(max_examples=30, deadline=None)
@given(st.integers(9, 40), st.integers(1, 6), st.integers(0, 999), st.sampled_from([0.7, 0.8, 0.9]))
def test_asking_for_more_never_makes_sets_smaller(
    groups: int, each: int, seed: int, coverage: float
) -> None:
    p, labels, names = cells(groups, each, seed)
    small, large = (fit_sets(p, labels, names, c) for c in (coverage - 0.1, coverage))
    assert (small.sets(p) <= large.sets(p)).all()
