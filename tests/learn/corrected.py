"""Small smears with known cells, and projects in which somebody has labeled them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.review.events import Draft, Kind, Source, Value
from napari_cellcls.review.masks import place

CLASSES = ("Disk", "Square", "Bar")
SHAPE = (96, 128)
ROWS, COLUMNS = 3, 4


def field(seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a color picture, its label image, and the class of each of its 12 cells."""
    rng = np.random.default_rng(seed)
    picture = np.full((*SHAPE, 3), 225, np.float32) + rng.normal(0, 3, (*SHAPE, 3))
    labels = np.zeros(SHAPE, np.int32)
    truth = rng.permutation(np.arange(ROWS * COLUMNS) % classes)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for k, kind in enumerate(truth):
        cy, cx = 16 + 32 * (k // COLUMNS), 16 + 32 * (k % COLUMNS)
        size = rng.uniform(8, 11)
        dy, dx = np.abs(y - cy), np.abs(x - cx)
        if kind == 0:
            inside = np.hypot(dy, dx) < size
        elif kind == 1:
            inside = np.maximum(dy, dx) < size * 0.9
        elif kind == 2:
            inside = (dy < size * 1.3) & (dx < size * 0.45)
        else:
            inside = np.hypot(dy, dx) < size * 0.5
        labels[inside] = k + 1
        stain = rng.uniform(0.8, 1.0, 3) * (60, 90, 40)
        picture[inside] -= stain
    return np.clip(picture, 0, 255).astype(np.uint8), labels, truth


def make_project(
    folder: Path,
    images: int = 8,
    *,
    per_image: int = ROWS * COLUMNS,
    classes: tuple[str, ...] = CLASSES,
    wrong: float = 0.0,
    source: Source = Source.HUMAN,
    seed: int = 0,
    **changes: Any,
) -> Project:
    """Return an open project whose images are labeled; a share of the labels is drawn at random."""
    project = create_project(folder / "smears", classes=classes, annotator="ana", **changes)
    for number in range(images):
        add_labeled(
            project, folder, 100 * seed + number, per_image, wrong, source, classes=len(classes)
        )
    return project


def add_labeled(
    project: Project,
    folder: Path,
    number: int,
    per_image: int = ROWS * COLUMNS,
    wrong: float = 0.0,
    source: Source = Source.HUMAN,
    *,
    classes: int = 3,
) -> Path:
    """Add one image and label its first cells; return its path."""
    picture, labels, truth = field(number, classes)
    path = folder / f"field-{number}.tif"
    tifffile.imwrite(path, picture, photometric="rgb")
    image = project.add_image(path)
    ids = [one.id for one in project.journal.state.classes.values()]
    found = anchors(cells_from_labels(labels, None, "test", SHAPE), image)[:per_image]
    place(project.journal, found)
    rng = np.random.default_rng(1000 + number)
    drafts = []
    for one, kind in zip(found, truth):
        said = int(rng.integers(classes)) if rng.random() < wrong else int(kind)
        spent = 900 if source == Source.ACCEPTED else None
        drafts += _drafts(project, one.cell_id, ids, said, source, spent)
    project.journal.record(drafts)
    return path


def _drafts(
    project: Project, cell: str, ids: list[str], said: int, source: Source, spent: int | None
) -> list[Draft]:
    if not project.description.multi_label:
        only = {"value": Value.ONLY, "source": source, "ms_spent": spent}
        return [Draft(Kind.LABEL, cell, class_id=ids[said], **only)]
    return [
        Draft(
            Kind.LABEL,
            cell,
            class_id=one,
            value=Value.YES if k == said else Value.NO,
            source=source,
        )
        for k, one in enumerate(ids)
    ]
