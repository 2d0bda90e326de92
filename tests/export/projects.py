"""A project on disk with two images, cells, and labels of two people, for exports and imports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.project.project import Project, create_project, open_project
from napari_cellcls.review.agreement import adjudicate
from napari_cellcls.review.events import Flag, Shown, Source
from napari_cellcls.review.masks import place

SHOWN = Shown("blood-cells@1.0", "ab" * 32, "rbc", 0.75)
SIZE = (0.5, 0.25)


def label_image() -> np.ndarray:
    labels = np.zeros((60, 80), np.int32)
    labels[2:12, 3:20] = 4
    labels[20:40, 10:30] = 5
    labels[26:30, 16:20] = 0  # a hole
    labels[45:55, 60:75] = 9
    labels[40, 5], labels[41, 6] = 11, 11  # two pixels that touch at a corner
    return labels


def image(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(name))
    pixels = rng.integers(0, 255, (60, 80, 3), np.uint8)
    tifffile.imwrite(folder / name, pixels, photometric="rgb")
    return folder / name


def cells() -> Cells:
    return cells_from_labels(label_image(), SIZE, "labels")


def places(image_id: str) -> list[Anchor]:
    return anchors(cells(), image_id, pixel_size_um=SIZE)


def made(folder: Path) -> Path:
    """Make ``p.cellcls``: ana labels cells of two images, ben differs on one and settles another."""
    first = image(folder, "day1.tif")
    second = image(folder, "other day2.tif")
    with create_project(folder / "p", classes=["RBC", "WBC, large"], annotator="ana") as project:
        journal = project.journal
        one = places(project.add_image(first))
        two = places(project.add_image(second))
        place(journal, [*one, *two])
        ids = [a.cell_id for a in (*one, *two)]
        journal.label(ids[0], "rbc", source=Source.ACCEPTED, shown=SHOWN)
        for cell_id in ids[1:4]:
            journal.label(cell_id, "rbc", shown=SHOWN)
        journal.label(ids[4], "wbc__large")
        journal.flag(ids[1], Flag.AMBIGUOUS)
        journal.comment(ids[1], 'dark, "odd" | ünïcode')
        target = project.folder
    with open_project(target, annotator="ben") as project:
        journal = project.journal
        journal.label(ids[0], "rbc")
        journal.label(ids[2], "wbc__large")
        journal.label(ids[3], "wbc__large")
        adjudicate(journal, ids[3], "wbc__large")
    return target


def empty(folder: Path, annotator: str = "cy") -> Project:
    """Make a project with the same images and nothing else."""
    project = create_project(folder / "q", annotator=annotator)
    for name in ("day1.tif", "other day2.tif"):
        project.add_image(folder / name)
    return project
