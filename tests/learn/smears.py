"""Drawn smears with known classes, a small base model, and a project whose labels are the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.models.package import ModelPackage, write_package
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.review.masks import place
from napari_cellcls.vocabulary import CellClass, finish
from tests.models import make

PITCH, RADIUS = 44, 15
CLASSES = (CellClass("alpha", "Alpha", "#d55e00"), CellClass("beta", "Beta", "#0072b2"))


def smear(seed: int, rows: int = 3, columns: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a picture ``(Y, X, 3)`` uint8, its label image, and which cells have a dark dot (class 1)."""
    rng = np.random.default_rng(seed)
    shape = (rows * PITCH, columns * PITCH)
    picture = np.full((*shape, 3), (232, 228, 222), np.float32)
    labels, dotted = np.zeros(shape, np.int32), rng.random(rows * columns) < 0.5
    dotted[:2] = True, False
    y, x = np.ogrid[: shape[0], : shape[1]]
    for k, has_dot in enumerate(dotted):
        cy, cx = (k // columns + 0.5) * PITCH, (k % columns + 0.5) * PITCH
        inside = (y - cy) ** 2 + (x - cx) ** 2 < RADIUS**2
        picture[inside] = (205, 140, 150)
        labels[inside] = k + 1
        if has_dot:
            dy, dx = rng.integers(-5, 6, 2)
            picture[(y - cy - dy) ** 2 + (x - cx - dx) ** 2 < 5**2] = (110, 40, 130)
    picture += rng.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), labels, dotted


def base_model(
    path: Path, size: int = 24, head: tuple[np.ndarray, np.ndarray] | None = None
) -> ModelPackage:
    """Write a small released model of two classes with random weights, or a head given."""
    made = make.manifest(
        architecture={"id": "malaria_cnn", "params": {"size": size, "channels": 3, "embedding": 8}},
        crop={"size": size, "frame": "square", "mask": True},
        cells="smear",
        name="small-smear",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = make.parts(made)
    return write_package(path, made, **parts | ({} if head is None else {"head": head}))


def end_training(
    folder: Path, base: ModelPackage, head: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """Put a finished run into the folder of a training: the network of its base, with its head or one given."""
    run = folder / "run"
    run.mkdir()
    write_package(
        run / "model.cellpkg", base.manifest.model_copy(update={"files": {}}), base.weights,
        head=base.head if head is None else head, test_input=base.test_input, test_output=base.test_output,
    )  # fmt: skip
    (run / "run.json").write_text("{}")


def project_of(
    folder: Path, images: int = 6, labeled: int = 8, wrong: bool = False
) -> tuple[Project, list[Path]]:
    """Make ``p.cellcls`` with some labeled cells on each image, and leave it open."""
    folder.mkdir(parents=True, exist_ok=True)
    project = create_project(folder / "p", classes=CLASSES, annotator="ana")
    rng, paths = np.random.default_rng(0), []
    for k in range(images):
        picture, labels, dotted = smear(k)
        paths.append(folder / f"field{k}.png")
        Image.fromarray(picture).save(paths[-1])
        cells = finish(find_cells(open_image(paths[-1]), "smear"))
        places = anchors(cells, project.add_image(paths[-1]))[:labeled]
        place(project.journal, places)
        truth = rng.permutation(dotted) if wrong else dotted
        for anchor in places:
            k = labels[round(anchor.y), round(anchor.x)] - 1
            project.journal.label(anchor.cell_id, "alpha" if truth[k] else "beta")
    project.journal.flush()
    return project, paths
