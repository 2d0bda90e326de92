"""How fast quick learning learns: macro F1 by number of labels, beside a random forest on the measured numbers.

Run ``python benchmarks/learning.py --data ../shared/data``. Simulated annotators answer from the published labels;
a third of the photographs is held out and never labeled. Five draws of photographs and labels:

- *twelve shapes* of red cells (Chula RBC-12), labels drawn at random, 60 to 600 in all;
- *blood cells* (BCCD: red, white, platelets), 5 to 50 labels per class.

*Quick* is ``learn.head`` on the features of the bundled ``blank`` network and the measured numbers; the
*random forest* sees the measured numbers only, as classifiers of region features do.
Finding and describing the cells takes some minutes the first time; ``--cache`` keeps the result.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import describe_cells
from napari_cellcls.images.collections import find_images, open_image, open_ref
from napari_cellcls.images.image import Image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.learn.head import fit_head
from napari_cellcls.models import registry, runtime
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.found_blood import WELL_CUT, annotated, matched  # noqa: E402

DRAWS = 5
SHAPES = tuple(k for k in range(13) if k != 10)
"""Classes of Chula RBC-12; 10 stands for "uncategorised"."""
Labeled = tuple[Image, Cells, np.ndarray, str]


@dataclass(frozen=True)
class Table:
    """Described cells with a known class: ``(N, D)``, ``(N,)``, ``(N,)``."""

    values: np.ndarray
    blocks: tuple[int, int]
    labels: np.ndarray
    photographs: np.ndarray


def shapes(data: Path) -> Iterator[Labeled]:
    """Yield photographs, their cells, the class of each cell (-1: none) and a name."""
    for ref in find_images([data / "images"]):
        lines = (data / "labels" / f"{Path(ref.name).stem}.txt").read_text().split("\n")
        points = np.array([line.split() for line in lines if line.strip()])
        image = open_ref(ref)
        cells = finish(find_cells(image, "smear"))
        found = np.full(len(cells), -1)
        if points.size and len(cells):
            x, y, kind = points.astype(int).T
            size = np.array(image.shape) - 1
            label = np.asarray(cells.labels)[np.clip(y, 0, size[0]), np.clip(x, 0, size[1])]
            row = np.searchsorted(cells.ids, label)
            inside = label > 0
            known = np.isin(kind, SHAPES) & inside
            found[row[known]] = np.searchsorted(SHAPES, kind[known])
        yield image, cells, found, ref.name


def blood(data: Path) -> Iterator[Labeled]:
    """Yield the same of BCCD; only cells that agree with their box have a class."""
    boxes, files = annotated(data, list(BLOOD_CLASSES))
    for name, path in files.items():
        image = open_image(path)
        cells = finish(find_cells(image, "blood"))
        if not len(cells):
            continue
        truth, overlap = matched(cells.table, boxes[name])
        yield image, cells, np.where(overlap > WELL_CUT, truth, -1), name


def described(source: Iterator[Labeled]) -> Table:
    """Describe every cell that has a class."""
    package = registry.load("blank")
    values, labels, photographs, blocks = [], [], [], (0, 0)
    with runtime.open_engine(package) as engine:
        for image, cells, found, name in source:
            if (found < 0).all():
                continue
            made = finish(describe_cells(image, cells, package, engine=engine))
            known, blocks = found >= 0, made.blocks
            values.append(made.values[known])
            labels.append(found[known])
            photographs += [name] * int(known.sum())
    return Table(np.concatenate(values), blocks, np.concatenate(labels), np.array(photographs))


def draws(
    table: Table, counts: tuple[int, ...], per_class: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield a number of labels, the rows labeled, and the rows held out."""
    for seed in range(DRAWS):
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


def quick(table: Table, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return what the quick head says of the cells held out."""
    targets = np.eye(table.labels.max() + 1)[table.labels[rows]]
    head = fit_head(
        table.values[rows], targets, groups=table.photographs[rows], blocks=table.blocks
    )
    return head.logits(table.values[test]).argmax(axis=1)


def forest(table: Table, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return what a random forest on the measured numbers says of them."""
    from sklearn.ensemble import RandomForestClassifier

    measured = table.values[:, table.blocks[0] :]
    trees = RandomForestClassifier(300, class_weight="balanced", random_state=0, n_jobs=1)
    return np.asarray(trees.fit(measured[rows], table.labels[rows]).predict(measured[test]))


def curve(title: str, table: Table, counts: tuple[int, ...], per_class: bool) -> None:
    """Print one line per number of labels: means of the draws, with their standard deviation."""
    from sklearn.metrics import f1_score

    kinds, photographs = len(np.unique(table.labels)), len(np.unique(table.photographs))
    print(f"{title}: {len(table.labels):,} cells, {kinds} classes, {photographs} photographs")
    found: dict[int, list[tuple[float, float, float]]] = {count: [] for count in counts}
    for count, rows, test in draws(table, counts, per_class):
        truth, begun = table.labels[test], time.perf_counter()
        said = quick(table, rows, test)
        seconds = time.perf_counter() - begun
        scores = [f1_score(truth, s, average="macro") for s in (said, forest(table, rows, test))]
        found[count].append((scores[0], scores[1], seconds))
    unit = "labels per class" if per_class else "labels"
    for count, rows in found.items():
        (a, b, s), (da, db, _) = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        print(
            f"  {count:4d} {unit}: quick {a:.3f} ± {da:.3f}, random forest {b:.3f} ± {db:.3f}, "
            f"difference {a - b:+.3f}; fit and score {s:.2f} s"
        )


def main() -> None:
    """Describe both sets and print both curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    bccd = described(blood(options.data / "bccd"))
    curve("Blood cells (BCCD)", bccd, (5, 10, 20, 50), per_class=True)
    chula = described(shapes(options.data / "chula_rbc12"))
    curve("Twelve shapes (Chula RBC-12)", chula, (60, 120, 300, 600), per_class=False)


if __name__ == "__main__":
    main()
