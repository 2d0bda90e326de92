"""What the blood-cells model does in use: cells found in photographs its training never saw.

    python training/found_blood.py --data ../shared/data/bccd --folds training/folds/blood_cells

The cells of every photograph are found by the program, cut by the rule of the recipe, and classified
by the fold model that never saw the photograph. A found cell has the class of the annotated box that
holds its center (of several: the one that fits best); cells outside all boxes are only counted, as
many cells have no box.

``--foreign ../shared/data/chula_rbc12`` says what the bundled model calls red cells of another laboratory
(every eighth field, beginning with the fifth: the settings were chosen on others).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.files import write_bytes
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend
from napari_cellcls.learn.datasets.boxes import find_folders, list_boxes
from napari_cellcls.learn.evaluate import read_folds, summarize
from napari_cellcls.learn.job import job_from, read_weights
from napari_cellcls.learn.recipe import Recipe, read_recipe
from napari_cellcls.vocabulary import COLUMNS, finish

HERE = Path(__file__).parent
WELL_CUT = 0.5
_RGB = (0, 1, 2)


@dataclass(frozen=True)
class Found:
    """Found cells of held-out photographs, ``(N,)`` each.

    ``truth`` is a class or -1 without a box, ``overlap`` the intersection over union with that box.
    """

    logits: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray
    photograph: np.ndarray
    fold: np.ndarray


def judge(data: Path, folder: Path, recipe: Recipe) -> Found:
    """Classify the cells found in every photograph by the fold model that never saw it."""
    about = read_folds(folder)
    job = job_from(about["job"])
    boxes, files = annotated(data, about["classes"])
    parts: list[tuple[Any, ...]] = []
    for entry in about["folds"]:
        model = load_classifier(job, read_weights(folder / entry["file"], job))
        for name in entry["groups"]:
            image = open_image(files[name])
            cells = finish(find_cells(image, "blood"))
            if not len(cells):
                continue
            crops = cut(image, cells, recipe.crop, recipe.normalization, _RGB)
            truth, overlap = matched(cells.table, boxes[name])
            n = len(cells)
            parts.append((logits_of(model, crops), truth, overlap, [name] * n, [entry["fold"]] * n))
    return Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def annotated(data: Path, classes: list[str]) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    """Return the boxes of each photograph, ``(n, 5)``: class, x0, y0, x1, y1; and its file."""
    folders = find_folders(data)
    if folders is None:
        raise SystemExit(f"{data} holds no photographs with boxes")
    rows: dict[str, list[tuple[float, ...]]] = {}
    files: dict[str, Path] = {}
    for entry in list_boxes(data, *folders).entries:
        assert entry.box is not None
        rows.setdefault(entry.group, []).append((classes.index(entry.labels[0]), *entry.box))
        files[entry.group] = entry.files[0]
    return {name: np.array(found) for name, found in rows.items()}, files


def matched(table: Any, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of the box around each cell's center (-1: none) and how well it fits."""
    c = COLUMNS
    y, x = (table[k].to_numpy()[:, None] for k in (c.y, c.x))
    y0, x0, y1, x1 = (table[k].to_numpy(float)[:, None] for k in c.bbox)
    kind, left, top, right, bottom = boxes.T
    width = np.minimum(x1, right) - np.maximum(x0, left)
    height = np.minimum(y1, bottom) - np.maximum(y0, top)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (y1 - y0) * (x1 - x0) + (bottom - top) * (right - left) - shared
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    fit = np.where(inside, shared / union, -1.0)
    best = fit.argmax(axis=1)
    overlap = np.take_along_axis(fit, best[:, None], axis=1)[:, 0]
    return np.where(overlap >= 0, kind[best], -1).astype(int), np.maximum(overlap, 0.0)


def numbers(found: Found, classes: list[str]) -> dict[str, Any]:
    """Return numbers with intervals by photograph: all cells with a box, those cut well, and the rest."""
    result: dict[str, Any] = {}
    known = found.truth >= 0
    for title, rows in (("found", known), ("well_cut", known & (found.overlap > WELL_CUT))):
        report = summarize(
            found.logits[rows], found.truth[rows], found.photograph[rows], found.fold[rows],
            protocol="cells found in held-out photographs",
        )  # fmt: skip
        result[title] = report.metrics | {
            "classes": dict(zip(classes, report.metrics["classes"].values()))
        }
    said = np.bincount(found.logits[~known].argmax(1), minlength=len(classes))
    result["without_a_box"] = dict(zip(classes, said.tolist()))
    return result


def foreign(data: Path, classes: list[str], first: int = 4, every: int = 8) -> dict[str, Any]:
    """Return what the bundled model calls red cells that were found and have a labeled point."""
    from napari_cellcls.models import registry, runtime
    from napari_cellcls.predict import predict_crops

    package = registry.load("blood-cells")
    rule = package.manifest
    red, other, fields = np.zeros(len(classes), int), np.zeros(len(classes), int), 0
    with runtime.open_engine(package) as engine:
        for path in sorted((data / "images").glob("*.jpg"))[first::every]:
            image = open_image(path)
            cells = finish(find_cells(image, "blood"))
            points = _points(data / "labels" / f"{path.stem}.txt", image.shape)
            crops = cut(image, cells, rule.crop, rule.normalization, _RGB)
            said = np.asarray(predict_crops(crops, package, engine).logits).argmax(1)
            labeled = np.isin(cells.ids, np.asarray(cells.labels)[points[:, 1], points[:, 0]])
            red += np.bincount(said[labeled], minlength=len(classes))
            other += np.bincount(said[~labeled], minlength=len(classes))
            fields += 1
    return {
        "model": rule.label,
        "fields": fields,
        "labeled_red_cells": dict(zip(classes, red.tolist())),
        "without_a_label": dict(zip(classes, other.tolist())),
    }


def _points(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the labeled points of a Chula field, ``(n, 2)`` x and y inside the image."""
    numbers = np.array(path.read_text().split(), float).reshape(-1, 3)[:, :2].astype(int)
    return np.clip(numbers, 0, np.array(shape[::-1]) - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="photographs with boxes")
    parser.add_argument("--foreign", type=Path, help="folder of Chula RBC-12")
    parser.add_argument("--folds", type=Path, default=HERE / "folds" / "blood_cells")
    parser.add_argument("--recipe", type=Path, default=HERE / "recipes" / "blood_cells.yaml")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    if options.foreign:
        text = json.dumps(foreign(options.foreign, list(recipe.classes)), indent=1) + "\n"
        write_bytes(options.folds / "foreign.json", text.encode())
        print(text)
    if options.data:
        _print_found(options, recipe)


def _print_found(options: argparse.Namespace, recipe: Recipe) -> None:
    prepare_backend()
    result = numbers(judge(options.data, options.folds, recipe), list(recipe.classes))
    text = json.dumps(result, indent=1) + "\n"
    write_bytes(options.folds / "found.json", text.encode())
    for title in ("found", "well_cut"):
        print(title, f"n {result[title]['n']}, accuracy {result[title]['accuracy']:.4f}")
        for name, row in result[title]["classes"].items():
            print(f"  {name}: {row['sensitivity']:.4f} of {row['n']}")
    print("without a box:", result["without_a_box"])


if __name__ == "__main__":
    main()
