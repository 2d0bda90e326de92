"""The exact test of pairs: published values, the rule of three, more wins never count against a model."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.learn.metrics import Scored, one_hot, scored
from napari_cellcls.learn.noninferior import (
    net_wins,
    p_value,
    pairs_needed,
    score,
    wins_needed,
)

MARGIN = 0.005


def test_the_score_is_the_published_one() -> None:
    """Tango's interval for 1, 7, 21 pairs (Bentur 2009) is −0.517 to −0.026: Fagerland et al. 2014, Stat. Med. 33:2850."""
    assert score(1, 7, 21, 0.517) == pytest.approx(1.96, abs=0.005)
    assert score(1, 7, 21, 0.026) == pytest.approx(-1.96, abs=0.005)
    # Contact lenses of Tango 1998: no win, one loss of 44, margin 0.1.
    assert score(0, 1, 44, 0.1) == pytest.approx(1.709, abs=0.001)


def test_without_a_margin_it_is_the_exact_unconditional_mcnemar_test() -> None:
    """The same data: two-sided P = 0.035, Fagerland et al. 2013, BMC Med. Res. Methodol. 13:91."""
    assert 2 * p_value(7, 1, 21, 1e-9) == pytest.approx(0.0353, abs=0.0001)


def test_without_any_difference_it_is_the_rule_of_three() -> None:
    assert pairs_needed(MARGIN, 0.05) == 598 and pairs_needed(0.01, 0.05) == 299
    assert p_value(0, 0, 598, MARGIN) <= 0.05 < p_value(0, 0, 597, MARGIN)
    assert p_value(0, 0, 598, MARGIN) == pytest.approx((1 - MARGIN) ** 598, abs=1e-6)


def test_three_wins_are_worth_what_five_hundred_ties_are() -> None:
    assert p_value(2, 0, 80, MARGIN) > 0.05 >= p_value(3, 0, 80, MARGIN)
    assert p_value(2, 0, 300, MARGIN) <= 0.05
    assert p_value(4, 1, 80, MARGIN) > 0.05 >= p_value(5, 1, 80, MARGIN)
    assert wins_needed(0, 80, MARGIN, 0.05) == 3
    assert wins_needed(0, 80, MARGIN, 0.025) == 4
    assert wins_needed(0, 600, MARGIN, 0.05) == 0
    assert wins_needed(3, 3, MARGIN, 0.05) == 0


@pytest.mark.parametrize(("wins", "losses", "pairs"), [(3, 0, 9), (4, 1, 12), (2, 0, 15), (6, 2, 10)])  # fmt: skip
def test_it_is_the_largest_tail_over_all_shares(wins: int, losses: int, pairs: int) -> None:
    """Every outcome counted one by one, the share of differing pairs in small steps."""
    seen = score(wins, losses, pairs, 0.05) - 1e-9
    good = [
        (b, c)
        for b, c in product(range(pairs + 1), repeat=2)
        if b + c <= pairs and score(b, c, pairs, 0.05) >= seen
    ]
    share = np.linspace(0, 0.475, 2000)
    tail = sum(
        comb(pairs, b) * comb(pairs - b, c) * share**b * (share + 0.05) ** c * (0.95 - 2 * share) ** (pairs - b - c)
        for b, c in good
    )  # fmt: skip
    assert p_value(wins, losses, pairs, 0.05) == pytest.approx(np.max(tail), rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 8), st.integers(0, 4), st.integers(13, 120))
def test_wins_help_and_losses_harm(wins: int, losses: int, pairs: int) -> None:
    here = p_value(wins, losses, pairs, MARGIN)
    assert 0 <= here <= 1
    assert p_value(wins + 1, losses, pairs, MARGIN) <= here <= p_value(wins, losses + 1, pairs, MARGIN)  # fmt: skip
    assert here <= p_value(wins, losses, pairs, MARGIN / 2) + 1e-9


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_do_not_fit_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        p_value(*counts, MARGIN)


def answers(said: list[int], groups: list[str]) -> Scored:
    return scored(one_hot(np.array(said), 2) * 0.8 + 0.1, one_hot(np.zeros(len(said), int), 2), np.array(groups))  # fmt: skip


def test_a_group_is_one_win_however_many_of_its_cells_are() -> None:
    groups = ["a", "a", "a", "b", "b", "c", "c"]
    before, after = answers([1, 1, 1, 0, 1, 0, 0], groups), answers([0, 0, 0, 1, 0, 1, 0], groups)
    assert net_wins(before, after) == (1, 1)
    assert net_wins(after, before) == (1, 1)
    assert net_wins(before, before) == (0, 0)


def test_with_several_labels_every_label_counts() -> None:
    truth, names = np.array([[1, 0, 1], [0, 1, 0]], bool), np.array(["a", "b"])
    p = np.where(truth, 0.9, 0.1)
    half = p.copy()
    half[0, 0] = 0.2
    one, two = (scored(q, truth, names, multi_label=True) for q in (half, p))
    assert net_wins(one, two) == (1, 0)
