"""Runs of `cellcls train` that nobody trained: folders with answers made up, and sets to judge by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.heldout import APART, HeldOut
from tests.learn import toy
from tests.learn.sets import texture

EPOCHS = [
    {"epoch": e, "phase": 1 + (e > 2), "learning_rate": 1e-3, "loss": 1 / e, "accuracy": 1 - 0.5 / e,
     "macro_f1": 1 - 0.6 / e, "val_loss": 1.2 / e, "val_accuracy": 0.9 - 0.4 / e, "val_macro_f1": 0.9 - 0.5 / e}
    for e in range(1, 5)
]  # fmt: skip


def answers(truth: np.ndarray, sure: float = 2.0, wrong: float = 0.15, seed: int = 0) -> np.ndarray:
    """Return logits that are mostly right."""
    rng = np.random.default_rng(seed)
    turned = np.where(rng.random(truth.shape) < wrong, ~truth, truth)
    return np.asarray(sure * (2 * turned - 1) + rng.normal(0, 0.4, truth.shape), np.float32)


def write_data(root: Path, cells: int = 3) -> Path:
    """Write class folders with the patient in the name, pictures all unlike each other."""
    for k, label in enumerate(toy.CLASSES):
        (root / label).mkdir(parents=True)
        for p, patient in enumerate(toy.PATIENTS):
            for cell in range(cells):
                name = f"{patient}P{p}thinF_IMG_2015_cell_{k * 100 + cell}.png"
                pixels = texture(1000 * k + 50 * p + cell, 20)
                Image.fromarray(pixels).save(root / label / name)
    return root


def write_run(
    folder: Path,
    data: CellSet,
    sides: dict[str, np.ndarray],
    *,
    fold: int | None = None,
    seed: int = 0,
    **changes: Any,
) -> Path:
    """Write what a finished training leaves, with made-up answers on its held-out sides."""
    folder = folder if fold is None else folder / f"fold{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**toy.recipe_content(), **changes}))
    names = {side: data.names[rows].tolist() for side, rows in sides.items()}
    (folder / "split.json").write_text(json.dumps(names))
    test, val = sides["test"], sides["validation"]
    np.savez(
        folder / "scores.npz", rows=test, logits=answers(data.matrix[test], seed=seed),
        val_rows=val, val_logits=answers(data.matrix[val], seed=seed + 1),
    )  # fmt: skip
    (folder / "run.json").write_text(json.dumps({"fold": fold, "notes": ["Starts from random."]}))
    (folder / "history.jsonl").write_text("".join(json.dumps(e) + "\n" for e in EPOCHS))
    return folder


def by_patient(data: CellSet, fold: int, folds: int = 2) -> dict[str, np.ndarray]:
    """Return sides of whole patients: every second one is held out, the last of the rest validates."""
    number = np.array([int(g[1:]) for g in data.groups.tolist()])
    test = number % folds == fold
    val = (number >= len(toy.PATIENTS) - 1) & ~test
    found = {"training": ~test & ~val, "validation": val, "test": test}
    return {side: np.flatnonzero(mask) for side, mask in found.items()}


def held_out(
    classes: int = 2,
    *,
    several: bool = False,
    n: int = 96,
    parts: int = 8,
    seed: int = 0,
    **changes: Any,
) -> HeldOut:
    """Return answers on a set in memory: two folds of whole groups, a quarter of each for validation."""
    rng = np.random.default_rng(seed)
    if several:
        labels = (rng.random((n, classes)) < 0.35).astype(np.uint8)
        labels[: 2 * classes] = np.tile(np.eye(classes, dtype=np.uint8), (2, 1))
    else:
        labels = np.arange(n) % classes
    group = np.array([f"G{i // classes % parts}" for i in range(n)])
    data = CellSet(
        images=np.stack([texture(i, 12) for i in range(n)]),
        labels=labels,
        classes=tuple("abcdefgh"[:classes]),
        groups=group,
        names=np.array([f"cell{i}.png" for i in range(n)]),
        group_kind="patient",
    )
    fold = (np.unique(group, return_inverse=True)[1] % 2).astype(int)
    held: dict[str, Any] = {
        "data": data, "rows": np.arange(n), "logits": answers(data.matrix, seed=seed), "fold": fold,
        "protocol": "patient-disjoint 2-fold", "groups": APART, "model": "toy",
        "train": {f: np.flatnonzero(fold != f) for f in (0, 1)},
    }  # fmt: skip
    return HeldOut(**{**held, **changes})
