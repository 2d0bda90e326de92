"""Confidence that is off is told from chance, with few cells and many, one label per cell and several."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn.honesty import surely_off
from napari_cellcls.learn.metrics import Scored, one_hot, scored, softmax


def answers(factor: float, n: int, seed: int, *, groups: int = 30) -> Scored:
    """Return answers whose logits are ``factor`` times those that are true."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal((n, 4))
    p = softmax(logits)
    truth = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    names = rng.integers(0, groups, n).astype(str)
    return scored(softmax(factor * logits), one_hot(truth, 4), names)


def test_true_confidence_is_rarely_called_off() -> None:
    for n in (60, 400):
        assert sum(surely_off(answers(1.0, n, seed)) for seed in range(100)) <= 12


@pytest.mark.parametrize("factor", [3.0, 0.3])
def test_confidence_that_is_off_is_found(factor: float) -> None:
    assert sum(surely_off(answers(factor, 80, seed)) for seed in range(20)) >= 18
    assert all(surely_off(answers(factor, 400, seed)) for seed in range(20))


def test_one_cell_that_is_surely_wrong_hides_nothing() -> None:
    off = answers(0.3, 400, 1)
    p = off.probabilities.copy()
    p[0] = np.where(off.truth[0], 0.0, 1 / 3)
    assert surely_off(Scored(p, off.said, off.truth, off.groups))


def test_two_groups_do_not_hide_confidence_that_is_off() -> None:
    assert sum(surely_off(answers(3.0, 120, seed, groups=2)) for seed in range(20)) >= 18
    assert sum(surely_off(answers(1.0, 120, seed, groups=2)) for seed in range(100)) <= 15


def test_one_group_tells_nothing() -> None:
    assert not surely_off(answers(3.0, 400, 1, groups=1))
    empty = answers(3.0, 400, 1).take(np.zeros(400, bool))
    assert not surely_off(empty)


def test_several_labels_per_cell() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(0.1, 0.9, (500, 3))
    truth, names = rng.random((500, 3)) < p, rng.integers(0, 30, 500).astype(str)
    odds = (p / (1 - p)) ** 3
    assert not surely_off(scored(p, truth, names, multi_label=True))
    assert surely_off(scored(odds / (1 + odds), truth, names, multi_label=True))


def test_whole_groups_are_the_evidence() -> None:
    """Ten copies of every cell in its group are no more evidence than one."""
    rows = np.repeat(np.arange(60), 10)
    copies = [answers(1.0, 60, seed).take(rows) for seed in range(40)]
    alone = [Scored(c.probabilities, c.said, c.truth, np.arange(600).astype(str)) for c in copies]
    assert sum(map(surely_off, copies)) <= 6 and sum(map(surely_off, alone)) >= 15
