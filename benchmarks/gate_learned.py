"""How often the gate is wrong about heads that really learned, where the truth is known: with and without cross-validated cells.

Run ``python benchmarks/gate_learned.py``; half an hour, no data. Descriptors of simulated cells are points around the middle of their class, and those
of one photograph are moved together. A head learns from some photographs; a second one from more, from as many others, from
fewer, or from more of which many labels are wrong: at random, or two classes mixed up only where nobody judges (which nothing
but the held-out cells can show). What the change is truly worth is measured on 4,000 cells of 200 further photographs.

Promoted is who passes :func:`napari_cellcls.learn.gate.judge_change`: by the held-out cells *alone*; *as well* by all together with those
cells learned from that the first head does not know, answered in cross-validation, where the held-out cells do not
contradict (the gate); or by all *together* only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.learn import difference, gate
from napari_cellcls.learn.head import Head, fit_head
from napari_cellcls.learn.metrics import Scored, one_hot, scored, softmax
from napari_cellcls.learn.pooled import Pair, joined

EARLY, CELLS, COLUMNS = 40, 8, 16
"""Photographs that the first head is from, cells in one, numbers of a descriptor."""
TOGETHER = 0.5
"""Share of the noise that a photograph has as a whole."""
HELD_OUT = 0.25
KINDS = ("more", "others", "fewer", "wrong", "mixed up")
WRONG = {"wrong": 0.6, "mixed up": 0.3}
BINS = ((-1.0, -0.02), (-0.02, -0.005), (-0.005, 0.005), (0.005, 0.03), (0.03, 1.0))
RESAMPLES = 500


@dataclass(frozen=True)
class World:
    """A task: classes, and how far apart they are."""

    classes: int
    apart: float

    @property
    def middles(self) -> np.ndarray:
        """Return the middle of each class, ``(K, D)``; the first columns tell the most."""
        shape = self.classes, COLUMNS
        tell = np.exp(-6 * np.arange(COLUMNS) / COLUMNS) * np.sqrt(6 / COLUMNS)
        return np.asarray(
            self.apart * tell * np.random.default_rng(5).standard_normal(shape), np.float64
        )

    def cells(
        self, photographs: int, each: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return descriptors, classes and photographs of cells."""
        sizes = 1 + rng.poisson(each - 1, photographs)
        place = np.repeat(np.arange(photographs), sizes)
        usual = np.linspace(1, 0.3, self.classes)
        mix = rng.dirichlet(8 * usual / usual.sum(), photographs).cumsum(axis=1)
        truth = (rng.random(len(place))[:, None] > mix[place]).sum(axis=1).clip(0, self.classes - 1)
        wide = 0.6 * np.exp(-3 * np.arange(COLUMNS) / COLUMNS) + 0.1
        whole = np.sqrt(TOGETHER) * rng.standard_normal((photographs, COLUMNS))[place]
        alone = np.sqrt(1 - TOGETHER) * rng.standard_normal((len(place), COLUMNS))
        return (self.middles[truth] + wide * (whole + alone)).astype(np.float32), truth, place


@dataclass(frozen=True)
class Trial:
    """What a change was truly worth, and who promoted it."""

    kind: str
    worth: float
    alone: bool
    as_well: bool
    together: bool


def trial(world: World, kind: str, seed: int) -> Trial | None:
    """Let two heads learn and judge the second; None where a class has no label."""
    rng = np.random.default_rng(seed)
    later = EARLY // 2 if kind == "fewer" else EARLY
    x, truth, place = world.cells(EARLY + later, CELLS, rng)
    held, first = (rng.random(EARLY + later) < HELD_OUT)[place], place < EARLY
    said = _labels(truth, kind, ~first, held, world.classes, rng)
    learned = ~held & ~first if kind in ("others", "fewer") else ~held
    names = place.astype(str)
    if any(len(np.unique(said[m])) < world.classes for m in (first & ~held, learned)):
        return None
    hot = one_hot(said, world.classes)
    one, two = (
        fit_head(x[m], hot[m].astype(float), groups=names[m], seed=seed)
        for m in (first & ~held, learned)
    )

    def answers(head: Head, rows: np.ndarray) -> Scored:
        return scored(softmax(head.logits(x[rows]), head.temperature), hot[rows], names[rows])

    judges = answers(one, held), answers(two, held)
    more = None
    if two.grouped and two.folds:
        new = learned & ~first
        crossed = softmax(two.held_out[new[learned]], two.temperature)
        more = answers(one, new), scored(crossed, hot[new], names[new])
    return Trial(kind, _worth(world, one, two, rng), *_promoted(world, judges, more, seed))


def _labels(
    truth: np.ndarray,
    kind: str,
    new: np.ndarray,
    held: np.ndarray,
    classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    said = truth.copy()
    wrong = new & (rng.random(len(truth)) < WRONG.get(kind, 0.0))
    if kind == "mixed up":
        wrong &= ~held & (truth < 2)
        said[wrong] = 1 - said[wrong]
    else:
        said[wrong] = rng.integers(0, classes, int(wrong.sum()))
    return said


def _promoted(world: World, judges: Pair, more: Pair | None, seed: int) -> tuple[bool, bool, bool]:
    names = tuple(f"class {k}" for k in range(world.classes))

    def verdict(one: Scored, two: Scored, beside: Pair | None = None) -> gate.Verdict:
        return gate.judge_change(one, two, names, more=beside, resamples=RESAMPLES, seed=seed)

    alone = verdict(*judges)
    if more is None:
        return (alone.promote,) * 3
    one, two = (joined(a, b) for a, b in zip(judges, more))
    together = alone.after >= alone.before and alone.word != "worse" and verdict(one, two).promote
    return alone.promote, verdict(*judges, more).promote, together


def _worth(world: World, one: Head, two: Head, rng: np.random.Generator) -> float:
    x, truth, _ = world.cells(200, 20, rng)
    hot = one_hot(truth, world.classes)
    before, after = (difference.macro_f1(scored(head.logits(x), hot)) for head in (one, two))
    return after - before


def trials(world: World, count: int) -> Iterator[Trial]:
    """Yield many of every kind."""
    for kind in KINDS:
        for seed in range(count):
            found = trial(world, kind, seed)
            if found is not None:
                yield found


def main() -> None:
    """Print how often whom is promoted, by what the change is truly worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100, help="per world and kind")
    count = parser.parse_args().trials
    found: list[Trial] = []
    for world in (World(3, 1.0), World(5, 1.4), World(12, 2.2)):
        found += trials(world, count)
        print(f"{world}", file=sys.stderr, flush=True)
    print("| labels | true change | comparisons | alone | as well | together |")
    print("|---|---|---|---|---|---|")
    for kinds in (KINDS[:4], KINDS[4:]):
        for low, high in BINS:
            some = [t for t in found if t.kind in kinds and low <= t.worth < high]
            if not some:
                continue
            rates = np.mean([(t.alone, t.as_well, t.together) for t in some], axis=0)
            shown = " | ".join(f"{rate:.1%}" for rate in rates)
            ends = f"{100 * low:+g} to {100 * high:+g} points"
            print(f"| {', '.join(kinds)} | {ends} | {len(some)} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
