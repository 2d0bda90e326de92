"""A class added later: a shape of red cells beside red cells, white cells and platelets, which ``blood-cells`` knows.

An annotator labels so many burr cells of Chula RBC-12 (or of another shape) and as many round red cells of photographs
with burr cells, and no white cell and no platelet. Everybody else than the program gets the 180 cells that ``blood-cells`` brings, with their
class. F1 of the new class is judged on photographs never labeled that show both kinds, so that the stain gives nothing
away; macro F1 of the old classes on the BCCD photographs that none of the 180 is from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.described_cells import BURR, SHAPES, Table
from benchmarks.learners import LEARNERS
from benchmarks.learning_deep import trained
from sklearn.metrics import f1_score
from training.found_blood import annotated
from training.teach_general import EVERY, PER_CLASS

from napari_cellcls.learn import fitted
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.learn.roster import Roster
from napari_cellcls.models import registry
from napari_cellcls.models.general import General, general_of
from napari_cellcls.vocabulary import CellClass

NEW, NORMAL = 3, 0
OTHERS = {
    SHAPES.index(k): name
    for k, name in ((4, "target"), (3, "spherocyte"), (6, "ovalocyte"), (9, "schistocyte"))
}
"""Further shapes that are added, each by itself."""
_NAMES = (*BLOOD_CLASSES, "Burr cell")


@dataclass(frozen=True)
class Task:
    """Cells of both sets as two networks see them, in the four classes.

    Attributes
    ----------
    general, own : Table
        By ``blank``, by ``blood-cells``; the same rows.
    chula, taught : numpy.ndarray
        ``(N,)`` bool: of Chula; among the cells that stand for the 180.
    judges : numpy.ndarray
        Rows that judge the old classes.
    """

    general: Table
    own: Table
    chula: np.ndarray
    taught: np.ndarray
    judges: np.ndarray


def task_of(tables: dict[str, Table], data: Path, shape: int = BURR) -> Task:
    """Join the tables; cells of Chula are round red cells or of the shape that is added."""
    chula = tables["chula-blank"].labels
    kept = np.flatnonzero(np.isin(chula, (NORMAL, shape)))
    blood = len(tables["bccd-blank"].labels)
    joined = []
    for base in ("blank", "blood-cells"):
        one, other = tables[f"bccd-{base}"], tables[f"chula-{base}"]
        joined.append(
            Table(
                np.concatenate([one.values, other.values[kept]]),
                one.blocks,
                np.concatenate([one.labels, np.where(chula[kept] == shape, NEW, NORMAL)]),
                np.concatenate([one.photographs, other.photographs[kept]]),
                np.concatenate([one.regions, other.regions[kept]]),
                # Those of ``blank`` are large, and nobody looks at them here.
                one.crops[:0]
                if base == "blank"
                else np.concatenate([one.crops, other.crops[kept]]),
            )
        )
    _, files = annotated(data, list(BLOOD_CLASSES))
    general, own = joined
    rows = np.arange(len(general.labels))
    known = np.isin(general.photographs, sorted(files)[::EVERY]) & (rows < blood)
    order = np.random.default_rng(0).permutation(np.flatnonzero(known))
    taught = np.concatenate([order[general.labels[order] == k][:PER_CLASS] for k in range(3)])
    return Task(
        general, own, rows >= blood, np.isin(rows, taught), np.flatnonzero(~known & (rows < blood))
    )


def drawn(task: Task, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are labeled, and those of Chula that judge."""
    rng = np.random.default_rng(seed)
    table, new = task.general, task.chula & (task.general.labels == NEW)
    names = np.unique(table.photographs[new])
    round_ = np.unique(table.photographs[task.chula & ~new])
    both = rng.permutation(names[np.isin(names, round_)])
    held = both[: len(both) // 3]
    free = task.chula & np.isin(table.photographs, names[~np.isin(names, held)])
    order = rng.permutation(np.flatnonzero(free))
    rows = [order[new[order] == is_new][:count] for is_new in (True, False)]
    return np.concatenate(rows), np.flatnonzero(task.chula & np.isin(table.photographs, held))


def quick(task: Task, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Do what ``cellcls finetune`` does: the released model passes on its classes to ``blank``."""
    return _fitted(task.general, rows, test, general_of(registry.load("blood-cells")))


def blind(task: Task, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Do what it did before: a new head on the network of ``blood-cells``."""
    return _fitted(task.own, rows, test, None)


def deep(task: Task, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Train the whole network of ``blood-cells`` on the crops of the labeled cells."""
    base = registry.load("blood-cells")
    with tempfile.TemporaryDirectory() as folder:
        answer = trained(task.own, rows, _NAMES, base, int(rows[0]), Path(folder, "deep"))
        return answer(test).argmax(axis=1)


def _fitted(
    table: Table, rows: np.ndarray, test: np.ndarray, general: General | None
) -> np.ndarray:
    roster = Roster(
        tuple(CellClass(f"c{k}", name, "#999999") for k, name in enumerate(_NAMES)), (0, 1, 2, 3), ()
    )  # fmt: skip
    values, targets = table.values[rows], np.eye(4, dtype=np.float32)[table.labels[rows]]
    before = fitted.before_of(
        registry.load("blood-cells"), {0: 0, 1: 1, 2: 2}, roster, values, table.blocks,
        multi_label=False, general=general,
    )  # fmt: skip
    head = fitted.fit(
        values, targets, np.ones(len(rows)), table.photographs[rows], before, table.blocks,
        multi_label=False, seed=42,
    )  # fmt: skip
    return head.logits(table.values[test]).argmax(axis=1)


def _with_the_taught(name: str) -> Callable[[Task, np.ndarray, np.ndarray], np.ndarray]:
    def learned(task: Task, rows: np.ndarray, test: np.ndarray) -> np.ndarray:
        every = np.concatenate([rows, np.flatnonzero(task.taught)])
        return LEARNERS[name](task.general, every, test, int(rows[0]))

    return learned


WAYS: dict[str, Callable[[Task, np.ndarray, np.ndarray], np.ndarray]] = {
    "quick": quick,
    "quick on the network of blood-cells": blind,
    **{
        name: _with_the_taught(name)
        for name in ("forest, our numbers", "forest, regionprops", "Keras head")
    },
    "deep": deep,
}


def before(task: Task) -> float:
    """Return macro F1 of the old classes by ``blood-cells`` as released (it has learned from these cells)."""
    head = registry.load("blood-cells").head
    assert head is not None
    seen = task.own.values[task.judges][:, : task.own.blocks[0]]
    return _old(task, (seen @ head[0] + head[1]).argmax(axis=1))


def scores(task: Task, way: str, seed: int, count: int) -> tuple[float, float]:
    """Return F1 of the new class, and macro F1 of the old ones."""
    rows, test = drawn(task, seed, count)
    said = WAYS[way](task, rows, np.concatenate([test, task.judges]))
    new = f1_score(task.general.labels[test] == NEW, said[: len(test)] == NEW)
    return float(new), _old(task, said[len(test) :])


def _old(task: Task, said: np.ndarray) -> float:
    truth = task.general.labels[task.judges]
    return float(f1_score(truth, said, labels=[0, 1, 2], average="macro"))
