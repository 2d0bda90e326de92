"""Cells that were learned from, answered in cross-validation, beside those held out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn import difference
from napari_cellcls.learn.metrics import Scored, one_hot, scored
from napari_cellcls.learn.pooled import joined, pooled


def answers(right: float, n: int, seed: int, prefix: str, *, groups: int = 20) -> Scored:
    """Return answers of which a share is right, the same cells for the same ``n`` and ``prefix``."""
    labels = np.arange(n) % 3
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(n) < right, labels, (labels + 1) % 3)
    names = np.array([f"{prefix}{k % groups}" for k in range(n)])
    return scored(one_hot(said, 3) * 0.9 + 0.03, one_hot(labels, 3), names)


def test_joined_answers_keep_their_order() -> None:
    one, two = answers(0.8, 60, 1, "a"), answers(0.9, 90, 2, "b")
    both = joined(one, two)
    assert len(both) == 150 and both.groups[59:61].tolist() == ["a19", "b0"]
    assert np.array_equal(both.truth[60:], two.truth)
    assert np.array_equal(both.said[:60], one.said)


def test_more_cells_narrow_the_interval() -> None:
    held = answers(0.8, 120, 1, "a"), answers(0.86, 120, 2, "a")
    more = answers(0.8, 600, 3, "b"), answers(0.86, 600, 4, "b")
    found = pooled(held, more, 0.95, 500, 1)
    assert found is not None and (found.cells, found.groups) == (600, 20)
    both = [joined(a, b) for a, b in zip(held, more)]
    assert found.change == pytest.approx(
        difference.macro_f1(both[1]) - difference.macro_f1(both[0])
    )
    alone = difference.limits(*(difference.drawn(one, 500, 1) for one in held), 0.95)
    assert alone is not None and found.high - found.low < 0.7 * (alone[1] - alone[0])


def test_it_says_what_was_added() -> None:
    held = answers(0.6, 90, 1, "a"), answers(0.9, 90, 2, "a")
    found = pooled(held, held, 0.95, 200, 1)
    assert found is not None
    told = found.gain(0.95)
    assert told.startswith(
        "The held-out cells alone do not show it. Together with 90 cells of 20 other groups, each answered by a "
        "head that did not learn from its group, macro F1 changes by +0."
    )
    assert told.endswith(f"(95% interval {found.low:+.3f} to {found.high:+.3f}).")
