"""How often the gate calls confidence less honest, where the truth is known: by the difference of two errors, and by chance too.

Run ``python benchmarks/gate_honesty.py``; minutes, no data. Two models see the same simulated cells, and each a little of its own; cells of one
photograph go wrong together. Both have the temperature that is right on 20,000 cells; then the new one is made too sure, or not
sure enough, until its true calibration error is larger by what is asked for. Three rules refuse it: the error on the held-out
cells is 3 points larger (*difference*); that, and the lower end of a bootstrap interval by photograph is above 0, moved by what drawing alone
adds (*interval*); that, and its confidence is off by more than chance explains
(*slope*, :mod:`napari_cellcls.learn.honesty`: the gate).
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np

from napari_cellcls.learn import honesty, intervals, metrics
from napari_cellcls.learn.calibration import fit_temperature
from napari_cellcls.learn.gate import LESS_CALIBRATED
from napari_cellcls.learn.metrics import Scored, one_hot, scored, softmax

CLASSES, CLEAR, OWN = (3, 12), (2.0, 3.2), (0.05, 0.3)
"""Classes; how far apart they are; share of the noise that only one model has."""
TOGETHER = 0.3
SIZES = ((70, 13), (200, 25), (500, 50))
WORSE = ((0.0, 1), (0.05, 1), (0.05, -1), (0.1, 1), (0.1, -1), (0.2, -1))
"""By how much the true calibration error is larger; 1: too sure, -1: not sure enough."""
RESAMPLES = 300


@dataclass(frozen=True)
class World:
    """A task for two models."""

    classes: int
    clear: float
    own: float

    def logits(
        self, sizes: np.ndarray, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return logits of both, classes and photographs of cells."""
        place = np.repeat(np.arange(len(sizes)), sizes)
        truth = rng.integers(0, self.classes, len(place))

        def noise(share: float) -> np.ndarray:
            whole = np.sqrt(TOGETHER) * rng.standard_normal((len(sizes), self.classes))[place]
            each = np.sqrt(1 - TOGETHER) * rng.standard_normal((len(place), self.classes))
            return np.asarray(np.sqrt(share) * (whole + each))

        both = self.clear * one_hot(truth, self.classes) + noise(1 - self.own)
        return [self.clear * (both + noise(self.own)) for _ in (0, 1)], truth, place.astype(str)


def error(of: Scored) -> float:
    """Return the calibration error."""
    return metrics.ece_of(metrics.reliability(of))


def temperatures(world: World) -> dict[tuple[float, int], tuple[float, float]]:
    """Return the temperature of both models for each of the true differences that can be."""
    (old, new), truth, _ = world.logits(np.full(2000, 10), np.random.default_rng(1))
    hot = one_hot(truth, world.classes)
    right = [fit_temperature(z, truth) for z in (old, new)]
    least, found = error(scored(softmax(old, right[0]), hot)), {}
    for more, sign in WORSE:
        low, high = 0.0, 3.0
        for _ in range(16 if more else 0):
            middle = (low + high) / 2
            made = error(scored(softmax(new, right[1] * np.exp(-sign * middle)), hot))
            low, high = (middle, high) if made - least < more else (low, middle)
        if high > 2.9 and more:
            continue
        found[more, sign] = right[0], float(right[1] * np.exp(-sign * low))
    return found


def interval_above(before: Scored, after: Scored, seed: int) -> bool:
    """Return whether the error surely grew by the bootstrap."""
    _, place = np.unique(before.groups, return_inverse=True)
    groups = int(place.max()) + 1
    cells = np.bincount(place)
    gaps = []
    for of in (before, after):
        which, gap = metrics.calibration_gaps(of)
        flat = np.bincount(place * metrics.BINS + which[:, 0], gap[:, 0], groups * metrics.BINS)
        gaps.append(flat.reshape(groups, -1))
    times = np.concatenate(list(intervals.draws(groups, RESAMPLES, seed)))
    one, two = (np.abs(times @ g).sum(axis=1) / (times @ cells) for g in gaps)
    excess = float(np.median(two - one)) - (error(after) - error(before))
    return bool(np.quantile(two - one, 0.05) - excess > 0)


def refused(
    world: World, warm: tuple[float, float], size: tuple[int, int], seed: int
) -> tuple[bool, bool, bool]:
    """Return who refuses the new model on some new cells."""
    rng = np.random.default_rng(seed)
    cells, photographs = size
    share = rng.lognormal(0, 0.5, photographs)
    sizes = 1 + rng.multinomial(cells - photographs, share / share.sum())
    logits, truth, place = world.logits(sizes, rng)
    hot = one_hot(truth, world.classes)
    before, after = (scored(softmax(z, t), hot, place) for z, t in zip(logits, warm))
    if error(after) - error(before) <= LESS_CALIBRATED:
        return False, False, False
    return True, interval_above(before, after, seed), honesty.surely_off(after)


def main() -> None:
    """Print how often a new model is refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100, help="per world and difference")
    count = parser.parse_args().trials
    found: dict[tuple[int, str], list[tuple[bool, bool, bool]]] = {}
    for world in itertools.starmap(World, itertools.product(CLASSES, CLEAR, OWN)):
        for (more, sign), warm in temperatures(world).items():
            kind = (
                f"{100 * more:.0f} points, {'too' if sign > 0 else 'not'} sure"
                if more
                else "as honest"
            )
            for size in SIZES:
                rows = found.setdefault((size[0], kind), [])
                rows += [refused(world, warm, size, seed) for seed in range(count)]
    print("| held-out cells | true confidence | comparisons | difference | interval | slope |")
    print("|---|---|---|---|---|---|")
    for (cells, kind), rows in sorted(found.items(), key=lambda item: item[0][0]):
        shown = " | ".join(f"{rate:.1%}" for rate in np.mean(rows, axis=0))
        print(f"| {cells} | {kind} | {len(rows)} | {shown} |")


if __name__ == "__main__":
    main()
