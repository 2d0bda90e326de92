"""What cells that were learned from add to those held out: each answered by a head that had not seen its group.

Cross-validation within the cells learned from makes such heads anyway. Where the model in use has not learned from a cell either,
both answers are honest. They are of heads with fewer cells than the new one has, so that its gain is rather understated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from napari_cellcls.learn import difference
from napari_cellcls.learn.metrics import Scored

Pair = tuple[Scored, Scored]


class Pooled(NamedTuple):
    """The change of macro F1 on all cells together, its interval, and how many cells of how many groups were added."""

    change: float
    low: float
    high: float
    cells: int
    groups: int

    def gain(self, level: float) -> str:
        """Return in words that there is one."""
        return (
            f"The held-out cells alone do not show it. Together with {self.cells:,} cells of {self.groups:,} other "
            f"groups, each answered by a head that did not learn from its group, macro F1 changes by "
            f"{self.change:+.3f} ({level:.0%} interval {self.low:+.3f} to {self.high:+.3f})."
        )


def pooled(held: Pair, more: Pair, level: float, resamples: int, seed: int) -> Pooled | None:
    """Return the change on both together; None where it has no interval.

    Parameters
    ----------
    held, more : tuple of Scored
        Answers of the model before and of the new one; no group is in both.
    level, resamples, seed
        As in :func:`~napari_cellcls.learn.gate.judge_change`.
    """
    before, after = (joined(one, two) for one, two in zip(held, more))
    draws = [difference.drawn(one, resamples, seed) for one in (before, after)]
    limits = difference.limits(draws[0], draws[1], level)
    if limits is None:
        return None
    change = difference.macro_f1(after) - difference.macro_f1(before)
    return Pooled(change, *limits, len(more[0]), len(np.unique(more[0].groups)))


def joined(one: Scored, two: Scored) -> Scored:
    """Return the answers to the cells of both, of one model."""
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(one, name), getattr(two, name)])
        for name in ("probabilities", "said", "truth", "groups")
    }
    return replace(one, **parts)
