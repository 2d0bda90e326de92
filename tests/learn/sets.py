"""Small data sets in the layouts in which people have them, drawn by seed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from napari_cellcls.learn.datasets import HELA_CLASSES, CellSet
from napari_cellcls.learn.datasets.known import HPA_PLANES


def texture(seed: int, edge: int = 32, planes: int = 3) -> np.ndarray:
    """Return a smooth random picture, ``(edge, edge, planes)`` uint8, unlike any of another seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 6, planes)).astype(np.uint8)
    parts = [Image.fromarray(coarse[..., c]).resize((edge, edge)) for c in range(planes)]
    return np.stack([np.array(p) for p in parts], axis=-1)


def write_hela(root: Path, images: int = 2, dtype: type = np.uint8, original: bool = True) -> Path:
    """Write ten folders of gray TIFF, 382 x 382, named as the authors of the set did."""
    for k, label in enumerate(HELA_CLASSES):
        folder = root / (label if original else f"{label.title()}")
        folder.mkdir(parents=True)
        for i in range(images):
            pixels = texture(100 * k + i, 382, 1)[..., 0]
            if dtype == np.uint16:
                pixels = pixels.astype(np.uint16) * 16  # 12 bit
            name = f"r0{i % 2 + 6}aug97.p{k}.0{i}--1---2.tif" if original else f"{label}_{i}.tif"
            tifffile.imwrite(folder / name, pixels)
    return root


def write_hpa(
    root: Path, targets: dict[str, str], edge: int = 24, suffix: str = ".png", folder: str = "train"
) -> Path:
    """Write ``train.csv`` and four files per id."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    with (root / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("Id", "Target"), *targets.items()])
    for i, name in enumerate(targets):
        for plane in range(4):
            pixels = texture(1000 + 4 * i + plane, edge, 1)[..., 0]
            Image.fromarray(pixels).save(root / folder / f"{name}_{HPA_PLANES[plane]}{suffix}")
    return root


def write_boxes(root: Path, fields: int = 3) -> Path:
    """Write photographs of 60 x 40 pixels with a red, a white cell and a platelet box each."""
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    cells = {"RBC": (1, 1, 10, 10), "WBC": (21, 11, 40, 30), "Platelets": (45, 5, 48, 8)}
    for i in range(fields):
        Image.fromarray(texture(2000 + i, 60)[:40]).save(root / "images" / f"field{i}.png")
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
            f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
            for label, b in cells.items()
        )
        size = "<size><width>60</width><height>40</height><depth>3</depth></size>"
        (root / "annotations" / f"field{i}.xml").write_text(
            f"<annotation>{size}{objects}</annotation>"
        )
    return root


def cell_set(n: int = 24, groups: int = 6, classes: int = 2, edge: int = 24) -> CellSet:
    """Return a set in memory: rows cycle through the groups, classes through blocks of them."""
    return CellSet(
        images=np.stack([texture(i, edge) for i in range(n)]),
        labels=np.arange(n) // groups % classes,
        classes=tuple("abcdefgh"[:classes]),
        groups=np.array([f"C{i % groups}" for i in range(n)]),
        names=np.array([f"cell{i}.png" for i in range(n)]),
        group_kind="patient",
    )
