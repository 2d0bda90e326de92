"""The whole network trained on labeled crops, as ``cellcls finetune --deep`` does it, without a project around it.

The same recipe, the same child process, the same choice of what validates, the same head fitted on what the trained
network sees and what is measured; only nothing is held out for a verdict, as the benchmark holds out its own photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.described_cells import Table

from napari_cellcls.learn import deep, deep_begin, deep_recipe
from napari_cellcls.learn.datasets.cellset import CellSet
from napari_cellcls.learn.head import fit_head
from napari_cellcls.learn.runs import PACKAGE
from napari_cellcls.models import runtime
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.vocabulary import RGB_ROLES, InputPlane, finish

_BATCH = 256
_PHOTOGRAPH = [InputPlane(role, role.value) for role in RGB_ROLES]


def trained(
    table: Table,
    rows: np.ndarray,
    classes: Sequence[str],
    base: ModelPackage,
    seed: int,
    folder: Path,
) -> Callable[[np.ndarray], np.ndarray]:
    """Train in a child and return what answers rows of the table with logits ``(n, K)``.

    Parameters
    ----------
    table : Table
        With crops as the base sees them.
    rows : numpy.ndarray
        Labeled cells.
    classes : sequence of str
        ``K`` names; one that no labeled cell has is left out of the training, and never answered, unless the
        base knows it.
    base : ModelPackage
    seed : int
    folder : Path
        Of the training.
    """
    known = {one.name for one in base.manifest.classes}
    learned = set(table.labels[rows].tolist())
    kept = [k for k, name in enumerate(classes) if k in learned or name in known]
    column = {k: place for place, k in enumerate(kept)}
    names = tuple(classes[k] for k in kept)
    labels = np.array([column[k] for k in table.labels[rows].tolist()], np.int64)
    data = CellSet(
        images=table.crops[rows], labels=labels, classes=names, groups=table.photographs[rows],
        names=np.array([f"cell {row}" for row in rows]), group_kind="image", layout="cells of a benchmark",
        soft=np.eye(len(names), dtype=np.float32)[labels],
    )  # fmt: skip
    sides = deep_begin.side_of_each(data, [])
    data = CellSet(**{**vars(data), "sides": sides})
    own = np.isin(data.groups, [group for group, side in sides.items() if side == "training"])
    content = deep_recipe.deep_recipe(
        base, names, {}, _PHOTOGRAPH, title="benchmark", multi_label=False, cells=int(own.sum()),
        validated="validation" in sides.values(), seed=seed,
    )  # fmt: skip
    deep_begin.write_training(folder, data, base, content)
    finish(deep.train(folder))
    package = read_package(folder / deep.OUT / PACKAGE)

    def seen(which: np.ndarray) -> np.ndarray:
        parts = []
        with runtime.open_engine(package) as engine:
            for start in range(0, len(which), _BATCH):
                crops = table.crops[which[start : start + _BATCH]]
                parts.append(engine.embed(crops.astype(np.float32) / 255))
        return np.concatenate(parts)

    def described(which: np.ndarray) -> np.ndarray:
        return np.hstack([seen(which), table.values[which, table.blocks[0] :]])

    assert package.head is not None
    kernel, bias = package.head
    if base.head is None:
        blocks = (len(kernel), table.blocks[1])
        targets = np.eye(len(kept))[labels]
        head = fit_head(
            described(rows), targets, groups=table.photographs[rows], blocks=blocks, multi_label=False, seed=seed
        )  # fmt: skip

    def answer(which: np.ndarray) -> np.ndarray:
        logits = np.full((len(which), len(classes)), -np.inf)
        if base.head is None:
            logits[:, kept] = head.logits(described(which))
        else:
            logits[:, kept] = seen(which) @ kernel + bias
        return logits

    return answer
