"""How fast learning from labels learns: macro F1 by number of labels, beside what people have without this program.

Run ``python benchmarks/learning.py --data ../shared/data``. Simulated annotators answer from the published labels;
a third of the photographs is held out and never labeled. Five draws of photographs and labels:

- *blood cells* (BCCD: red, white, platelets) from ``blank``, 5 to 50 labels per class;
- *twelve shapes* of red cells (Chula RBC-12) from ``blank``, labels drawn at random, 60 to 600 in all;
- *a class added later* (``learning_added``): burr cells beside what ``blood-cells`` knows, 10 to 100 labels of it, and other shapes.

What is compared is in ``learners``. *Deep* takes minutes a run: ``--deep 600:2`` runs it with two draws at 600 labels.
Finding and describing the cells takes some minutes; ``--cache FOLDER`` keeps tables and scores, and only what
is missing is computed. ``--fresh "quick;deep"`` computes some columns anew. ``--figure FILE.png`` draws the curves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import learning_added  # noqa: E402
from benchmarks.described_cells import (  # noqa: E402
    SHAPES,
    Table,
    blood,
    described,
    shapes,
    tables,
)
from benchmarks.learners import LEARNERS  # noqa: E402
from benchmarks.learning_figure import Curves, draw  # noqa: E402

__all__ = ["DRAWS", "SHAPES", "Table", "blood", "described", "draws", "shapes"]

DRAWS = 5
PARTS = {
    "bccd": ("Blood cells (BCCD)", "labels per class", (5, 10, 20, 50)),
    "chula": ("Twelve shapes of red cells (Chula RBC-12)", "labels", (60, 120, 300, 600)),
    "added": ("Burr cells added to blood-cells, F1", "labels of the new class", (10, 20, 50, 100)),
}
_OLD = "old classes"
_OTHERS, _EACH = "others", 50


def draws(
    table: Table, counts: tuple[int, ...], per_class: bool, seeds: range = range(DRAWS)
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield a number of labels, the rows labeled, and the rows held out."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        names = rng.permutation(np.unique(table.photographs))
        test = np.isin(table.photographs, names[: len(names) // 3])
        order = rng.permutation(np.flatnonzero(~test))
        for count in counts:
            if per_class:
                rows = np.concatenate(
                    [order[table.labels[order] == k][:count] for k in np.unique(table.labels)]
                )
            else:
                rows = order[:count]
            yield count, rows, np.flatnonzero(test)


class Scores:
    """Scores by part, way, number of labels and draw; kept in a file where there is a folder."""

    def __init__(self, folder: Path | None, fresh: list[str]) -> None:
        self._path = None if folder is None else folder / "scores.json"
        self._found: dict[str, float] = {}
        if self._path is not None and self._path.is_file():
            stored = json.loads(self._path.read_text())
            self._found = {k: v for k, v in stored.items() if k.split("|")[1] not in fresh}

    def __contains__(self, key: tuple[str, str, int, int]) -> bool:
        return "|".join(map(str, key)) in self._found

    def put(self, key: tuple[str, str, int, int], value: float) -> None:
        self._found["|".join(map(str, key))] = value
        if self._path is not None:
            self._path.write_text(json.dumps(self._found, indent=1))

    def curves(self, part: str) -> Curves:
        """Return way -> number of labels -> scores of the draws."""
        found: Curves = {}
        for key, value in self._found.items():
            of, way, count, _ = key.split("|")
            if of == part:
                found.setdefault(way, {}).setdefault(int(count), []).append(value)
        return found


def learn(part: str, table: Table, kept: Scores, ways: dict[str, dict[int, int]]) -> None:
    """Let every way learn at every number of labels; ``ways`` says how many draws of each."""
    from sklearn.metrics import f1_score

    counts = PARTS[part][2]
    for place, (count, rows, test) in enumerate(draws(table, counts, part == "bccd")):
        seed = place // len(counts)
        for way, wanted in ways.items():
            if seed >= wanted.get(count, 0) or (part, way, count, seed) in kept:
                continue
            begun = time.perf_counter()
            said = LEARNERS[way](table, rows, test, seed)
            score = float(f1_score(table.labels[test], said, average="macro"))
            kept.put((part, way, count, seed), score)
            _note(part, way, count, seed, score, begun)


def learn_added(
    found: dict[str, Table], data: Path, kept: Scores, deep: dict[int, int], without: list[str]
) -> None:
    """Do the same for the class added later."""
    task = learning_added.task_of(found, data / "bccd")
    kept.put(("added", f"{_OLD} before", 0, 0), learning_added.before(task))
    for count in PARTS["added"][2]:
        for seed in range(DRAWS):
            for way in learning_added.WAYS:
                wanted = deep.get(count, 0) if way == "deep" else DRAWS
                if way in without or seed >= wanted or ("added", way, count, seed) in kept:
                    continue
                begun = time.perf_counter()
                new, old = learning_added.scores(task, way, seed, count)
                kept.put(("added", way, count, seed), new)
                kept.put(("added", f"{_OLD}, {way}", count, seed), old)
                _note("added", way, count, seed, new, begun)


def learn_others(found: dict[str, Table], data: Path, kept: Scores, without: list[str]) -> None:
    """Add other shapes, each by itself, with 50 labels; the shape takes the place of the number of labels."""
    for shape in learning_added.OTHERS:
        task = learning_added.task_of(found, data / "bccd", shape)
        for seed in range(DRAWS):
            for way in learning_added.WAYS:
                if way in (*without, "deep") or (_OTHERS, way, shape, seed) in kept:
                    continue
                begun = time.perf_counter()
                new, old = learning_added.scores(task, way, seed, _EACH)
                kept.put((_OTHERS, way, shape, seed), new)
                kept.put((_OTHERS, f"{_OLD}, {way}", shape, seed), old)
                _note(_OTHERS, way, shape, seed, new, begun)


def _note(part: str, way: str, count: int, seed: int, score: float, begun: float) -> None:
    seconds = time.perf_counter() - begun
    print(f"{part} {way} {count} draw {seed}: {score:.3f} ({seconds:.1f} s)", file=sys.stderr)


def report(kept: Scores) -> None:
    """Print a table per part: mean and standard deviation over the draws."""
    for part, (title, unit, counts) in PARTS.items():
        _table(title, {n: f"{n} {unit}" for n in counts}, kept.curves(part))
    title = f"{_EACH} labels of another shape added to blood-cells, F1"
    _table(title, learning_added.OTHERS, kept.curves(_OTHERS))


def _table(title: str, columns: Mapping[int, str], curves: Curves) -> None:
    print(f"\n| {title} | {' | '.join(columns.values())} |")
    print(f"|---{'|---' * len(columns)}|")
    for way, scores in sorted(curves.items(), key=lambda one: _place(one[0])):
        cells = [_cell(scores.get(n, scores.get(0, []))) for n in columns]
        print(f"| {way} | {' | '.join(cells)} |")
    for rival in (way for way in LEARNERS if way in curves and way not in ("quick", "deep")):
        ahead = [
            _ahead(curves.get("quick", {}).get(n, []), curves[rival].get(n, [])) for n in columns
        ]
        print(f"| quick over {rival} | {' | '.join(ahead)} |")


def _place(way: str) -> tuple[bool, int]:
    """Return where a row stands: the old classes behind the new one, as they were before first."""
    order = [f"{_OLD} before", *LEARNERS, *learning_added.WAYS]
    return way.startswith(_OLD), order.index(way.removeprefix(f"{_OLD}, "))


def _ahead(ours: list[float], theirs: list[float]) -> str:
    """Return the mean difference with its 95 % interval: Student's t, the draws are the same."""
    from scipy.stats import t

    if len(ours) != len(theirs) or len(ours) < 2:
        return ""
    gain = np.subtract(ours, theirs)
    half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
    return f"{gain.mean():+.3f} ({gain.mean() - half:+.3f} to {gain.mean() + half:+.3f})"


def _cell(scores: list[float]) -> str:
    if not scores:
        return ""
    if len(scores) == 1:
        return f"{scores[0]:.3f}"
    of = "" if len(scores) == DRAWS else f" ({len(scores)})"
    return f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f}{of}"


def main() -> None:
    """Describe the cells, let all learn, print the tables and draw the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--fresh", default="", help="columns to compute anew, with semicolons")
    parser.add_argument("--without", default="", help="columns to leave out, with semicolons")
    parser.add_argument(
        "--deep", nargs="*", default=[], metavar="LABELS:DRAWS", help="where deep runs, how often"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = tables(options.cache, options.data)
    kept = Scores(options.cache, options.fresh.split(";"))
    without = options.without.split(";")
    deep = {int(n): int(times) for n, _, times in (one.partition(":") for one in options.deep)}
    for part in ("bccd", "chula"):
        counts = dict.fromkeys(PARTS[part][2], DRAWS)
        ways = {w: deep if w == "deep" else counts for w in LEARNERS if w not in without}
        learn(part, found[f"{part}-blank"], kept, ways)
    learn_added(found, options.data, kept, deep, without)
    learn_others(found, options.data, kept, without)
    report(kept)
    if options.figure is not None:
        draw(options.figure, {part: (*PARTS[part], kept.curves(part)) for part in PARTS})


if __name__ == "__main__":
    main()
