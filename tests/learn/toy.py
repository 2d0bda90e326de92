"""A malaria set in small, laid out as people get it, and fold models that were never trained."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from napari_cellcls.files import sha256
from napari_cellcls.learn.recipe import Recipe, parse_recipe

SIZE = 16
PATIENTS = tuple(f"C{i}" for i in range(1, 9))
CLASSES = ("Parasitized", "Uninfected")


def recipe_content() -> dict[str, Any]:
    """Return a recipe that trains in a second."""
    return {
        "name": "toy",
        "title": "Toy",
        "data": "malaria",
        "architecture": {"id": "malaria_cnn", "params": {"embedding": 8}},
        "classes": list(CLASSES),
        "positive": "Parasitized",
        "input": {"size": SIZE, "channels": "rgb"},
        "crop": {"frame": "box", "mask": True, "fill": 0.0},
        "augmentation": "none",
        "phases": [{"epochs": 1, "learning_rate": 0.002}],
        "batch_size": 16,
        "seed": 1,
        "protocol": {"kind": "grouped", "folds": 2, "seed": 1},
        "license": "BSD-3-Clause",
        "data_terms": "Made by a test.",
    }


def write_recipe(path: Path, **changes: Any) -> Recipe:
    """Write the recipe and return it parsed."""
    content = {**recipe_content(), **changes}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return parse_recipe(content)


def write_malaria(root: Path, cells: int = 2) -> Path:
    """Write class folders and patient tables without a header, as the published archive has them.

    The file names say nothing about the patient, so that only the tables can.
    """
    rng = np.random.default_rng(0)
    for label, blue in zip(CLASSES, (200, 60)):
        (root / label).mkdir(parents=True)
        rows = []
        for patient in PATIENTS:
            for cell in range(cells):
                pixels = rng.integers(40, 90, (SIZE + cell, SIZE, 3)).astype(np.uint8)
                pixels[5:11, 5:11, 2] = blue
                name = f"IMG_{patient[1:]}_cell_{cell}.png"
                Image.fromarray(pixels).save(root / label / name)
                rows.append((f"{patient}P{patient[1:]}thinF", name))
        path = root / f"patientid_cellmapping_{label.lower()}.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(rows)
    return root


def write_folds(folder: Path, recipe: Recipe, content: bytes = b"weights") -> dict[str, Any]:
    """Write ``folds.json`` for two folds, odd and even patients, with stand-ins for the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for k in range(2):
        path = folder / f"fold{k}.safetensors"
        path.write_bytes(content + bytes([k]))
        groups = list(PATIENTS[k::2])
        entries.append({"fold": k, "file": path.name, "sha256": sha256(path), "groups": groups})
    about = {
        "recipe": "toy", "protocol": "patient-disjoint 2-fold", "classes": list(CLASSES), "positive": 0,
        "size": SIZE, "job": asdict(recipe.job()), "folds": entries,
    }  # fmt: skip
    (folder / "folds.json").write_text(json.dumps(about), encoding="utf-8")
    return about
