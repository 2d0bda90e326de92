"""Drawn fluorescence images of two channels with known classes, a network without classes, and a labeled project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.models.package import ModelPackage, write_package
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.review.masks import place
from napari_cellcls.vocabulary import CellClass
from tests.models import make

PITCH, RADIUS = 40, 13
CLASSES = (CellClass("alpha", "Alpha", "#d55e00"), CellClass("beta", "Beta", "#0072b2"))


def field(seed: int, rows: int = 2, columns: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return planes ``(2, Y, X)`` uint16, a label image, and which cells shine in the second plane (class 0)."""
    rng = np.random.default_rng(seed)
    shape = (rows * PITCH, columns * PITCH)
    planes = np.full((2, *shape), 300, np.float32)
    labels, shines = np.zeros(shape, np.int32), rng.random(rows * columns) < 0.5
    shines[:2] = True, False
    y, x = np.ogrid[: shape[0], : shape[1]]
    for k, is_bright in enumerate(shines):
        cy, cx = (k // columns + 0.5) * PITCH, (k % columns + 0.5) * PITCH
        inside = (y - cy) ** 2 + (x - cx) ** 2 < RADIUS**2
        planes[0][inside] += rng.uniform(6000, 9000)
        planes[1][inside] += 7000 if is_bright else 900
        labels[inside] = k + 1
    planes += rng.normal(0, 60, planes.shape)
    return np.clip(planes, 0, 65535).astype(np.uint16), labels, shines


def network(path: Path, size: int = 24) -> ModelPackage:
    """Write a small network without classes that looks at every channel by itself, as ``blank`` does."""
    made = make.manifest(
        architecture={"id": "malaria_cnn", "params": {"size": size, "channels": 3, "embedding": 8}},
        crop={"size": size, "frame": "square", "margin": 0.1, "mask": True},
        normalization={"kind": "background"},
        classes=[], inputs=[], level="backbone", channel_policy="each", name="small-blank",
    )  # fmt: skip
    return write_package(path, made, **make.parts(made))


def project_of(folder: Path, images: int = 6) -> Project:
    """Make ``g.cellcls`` with labeled cells on each image, and leave it open."""
    folder.mkdir(parents=True, exist_ok=True)
    project = create_project(folder / "g", classes=CLASSES, annotator="ana")
    for k in range(images):
        planes, labels, shines = field(k)
        path = folder / f"field{k}.ome.tif"
        tifffile.imwrite(
            path, planes, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "Marker"]}}
        )
        cells = cells_from_labels(labels, None, "test", labels.shape)
        places = anchors(cells, project.add_image(path))
        place(project.journal, places)
        for anchor in places:
            k_of = labels[round(anchor.y), round(anchor.x)] - 1
            project.journal.label(anchor.cell_id, "alpha" if shines[k_of] else "beta")
    project.journal.flush()
    return project
