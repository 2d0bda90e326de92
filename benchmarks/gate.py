"""How often the gate is wrong, where the truth is known: two models answer simulated cells of simulated photographs.

Run ``python benchmarks/gate.py``; it takes minutes and needs no data. In each world a model gets a cell right when the sum of how
easy its class is, what both models see of it, and what only this model sees of it, is above 0; a part of both
belongs to the photograph, so cells of one photograph go wrong together. The new model is shifted until its true macro
F1, on 40,000 cells, differs from that of the model before by what is asked for.

Two tables: how often the truth lies outside 95 % intervals of the difference, on either side (2.5 % each would be right), for the
percentile interval that the gate uses, for BCa (Efron 1987, JASA 82:171) and for Student's t with the deviation of the
jackknife over photographs; and how often a new model is promoted, by the gate and by two rules that it had before.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from napari_cellcls.learn import difference, gate, metrics, noninferior
from napari_cellcls.learn.metrics import Scored, one_hot, scored

CLASSES = (3, 12)
RIGHT = (0.95, 0.8)
"""Share of cells that the model before has right, about."""
OWN = (0.02, 0.2)
"""Share of the noise that only one model has: how much the answers of two differ."""
TOGETHER = 0.3
"""Share of the noise that a photograph has as a whole."""
SIZES = ((70, 13), (200, 25), (500, 50))
"""Held-out cells and photographs."""
CHANGES = (-0.02, -0.005, 0.0, 0.03)
RESAMPLES = 500
_LEVEL = 0.95


@dataclass(frozen=True)
class World:
    """A task and two models for it."""

    classes: int
    right: float
    own: float

    def answers(
        self, sizes: np.ndarray, shift: float, rng: np.random.Generator
    ) -> tuple[Scored, Scored]:
        """Return what both say of the cells of some photographs; the second is better by a shift."""
        count, photographs = int(sizes.sum()), len(sizes)
        place = np.repeat(np.arange(photographs), sizes)
        usual = np.linspace(1, 0.15, self.classes)
        mix = rng.dirichlet(8 * usual / usual.sum(), photographs).cumsum(axis=1)
        truth = (rng.random(count)[:, None] > mix[place]).sum(axis=1).clip(0, self.classes - 1)
        easy = norm.ppf(self.right) + np.linspace(0.3, -0.3, self.classes)[truth]

        def noise(share: float) -> np.ndarray:
            whole = np.sqrt(share * TOGETHER) * rng.standard_normal(photographs)[place]
            each: np.ndarray = np.sqrt(share * (1 - TOGETHER)) * rng.standard_normal(count)
            return whole + each

        both = easy + noise(1 - self.own)
        wrong = (truth + rng.integers(1, self.classes, count)) % self.classes
        said = [np.where(both + noise(self.own) + k * shift > 0, truth, wrong) for k in (0, 1)]
        hot = one_hot(truth, self.classes)
        one, two = (scored(one_hot(s, self.classes).astype(float), hot, place.astype(str)) for s in said)  # fmt: skip
        return one, two

    def shift_for(self, change: float) -> float | None:
        """Return the shift by which macro F1 truly changes so much, None where it cannot."""
        low, high = -2.0, 3.0
        for _ in range(13):
            middle = (low + high) / 2
            one, two = self.answers(np.full(4_000, 10), middle, np.random.default_rng(1))
            if difference.macro_f1(two) - difference.macro_f1(one) < change:
                low = middle
            else:
                high = middle
        return middle if middle < 2.9 else None


def intervals_of(one: Scored, two: Scored, seed: int) -> dict[str, tuple[float, float]]:
    """Return the interval of the difference by each method."""
    draws = [difference.drawn(s, RESAMPLES, seed)[0] for s in (one, two)]
    sample = metrics.mean_defined(draws[1]) - metrics.mean_defined(draws[0])
    seen = difference.macro_f1(two) - difference.macro_f1(one)
    _, place = np.unique(one.groups, return_inverse=True)
    photographs = int(place.max()) + 1
    left_out = np.diff(
        [metrics.mean_defined(_without_each(of, place, photographs)) for of in (one, two)], axis=0
    )[0]
    from_mean = left_out.mean() - left_out
    squares = float((from_mean**2).sum())
    deviation = np.sqrt((photographs - 1) / photographs * squares)
    tails = np.array([(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    below = (sample < seen - 1e-12).mean() + (np.abs(sample - seen) <= 1e-12).mean() / 2
    bias = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    speed = float((from_mean**3).sum()) / (6 * squares**1.5) if squares else 0.0
    moved = bias + norm.ppf(tails)
    ends = {
        "percentile": np.quantile(sample, tails),
        "BCa": np.quantile(sample, norm.cdf(bias + moved / (1 - speed * moved))),
        "jackknife t": seen + t.ppf(tails, photographs - 1) * deviation,
    }
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _without_each(of: Scored, place: np.ndarray, photographs: int) -> np.ndarray:
    """Return F1 of each class without each of the photographs, ``(G, K)``."""
    sums = np.zeros((photographs, 3, of.truth.shape[1]))
    np.add.at(sums, place, np.stack([of.said & of.truth, of.said, of.truth], axis=1))
    hits, said, true = np.moveaxis(sums.sum(axis=0) - sums, 1, 0)
    return metrics.divided(2 * hits, np.where(true > 0, said + true, 0.0))


def rules_of(one: Scored, two: Scored, low: float) -> dict[str, bool]:
    """Return who is promoted by which rule, given the lower end of the percentile interval."""
    seen = difference.macro_f1(two) - difference.macro_f1(one)
    near = seen >= 0 and low > -gate.TOLERATED
    chance = noninferior.p_value(*noninferior.net_wins(one, two), len(one), gate.TOLERATED)
    return {
        "interval alone": low > 0 or near,
        "and 600 cells": low > 0 or (near and len(one) >= 600),
        "and the exact test": low > 0 or (near and chance <= 1 - _LEVEL),
    }


def trials(
    world: World, shift: float, size: tuple[int, int], count: int
) -> Iterator[tuple[dict[str, tuple[float, float]], dict[str, bool]]]:
    """Yield intervals and rules of new cells, many times."""
    rng = np.random.default_rng(7)
    cells, photographs = size
    for seed in range(count):
        share = rng.lognormal(0, 0.5, photographs)
        sizes = 1 + rng.multinomial(cells - photographs, share / share.sum())
        one, two = world.answers(sizes, shift, rng)
        found = intervals_of(one, two, seed)
        yield found, rules_of(one, two, found["percentile"][0])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100, help="per world and change")
    count = parser.parse_args().trials
    outside: dict[tuple[int, int, str], list[tuple[bool, bool, float]]] = {}
    promoted: dict[tuple[int, int, str, float], list[bool]] = {}
    for classes, right, own in itertools.product(CLASSES, RIGHT, OWN):
        world = World(classes, right, own)
        shifts = {change: world.shift_for(change) for change in CHANGES}
        for (change, shift), size in itertools.product(shifts.items(), SIZES):
            for ends, rules in trials(world, shift, size, count) if shift is not None else ():
                for name, (low, high) in ends.items():
                    missed = (low > change + 1e-9, high < change - 1e-9, high - low)
                    outside.setdefault((classes, size[0], name), []).append(missed)
                for name, yes in rules.items():
                    promoted.setdefault((classes, size[0], name, change), []).append(yes)
        print(f"{world}", file=sys.stderr, flush=True)
    print(
        "| classes | held-out cells | interval | truth below | truth above | width |\n|---|---|---|---|---|---|"
    )
    for (classes, cells, name), found in outside.items():
        low, high, width = np.mean(found, axis=0)
        print(f"| {classes} | {cells} | {name} | {low:.1%} | {high:.1%} | {width:.3f} |")
    ends = " | ".join(f"{100 * change:+g} points" for change in CHANGES)
    print(
        f"\n| classes | held-out cells | promoted when | {ends} |\n|---|---|---|{'---|' * len(CHANGES)}"
    )
    for classes, cells, name in dict.fromkeys(key[:3] for key in promoted):
        each = [np.mean(promoted.get((classes, cells, name, c), [np.nan])) for c in CHANGES]
        print(f"| {classes} | {cells} | {name} | {' | '.join(f'{e:.1%}' for e in each)} |")


if __name__ == "__main__":
    main()
