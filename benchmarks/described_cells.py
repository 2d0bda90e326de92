"""Real cells with a published class, described as the program does it, and as others do it.

Tables of BCCD (red cells, white cells, platelets) and of Chula RBC-12 (twelve shapes of red cells) for the
benchmarks of learning. Finding and describing takes some minutes; ``remembered`` keeps a table in a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import View, describe_cells
from napari_cellcls.images.collections import find_images, open_image, open_ref
from napari_cellcls.images.image import Image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.models import registry, runtime
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.found_blood import WELL_CUT, annotated, matched  # noqa: E402

SHAPES = tuple(k for k in range(13) if k != 10)
"""Classes of Chula RBC-12; 10 stands for "uncategorised"."""
BURR = SHAPES.index(8)
Labeled = tuple[Image, Cells, np.ndarray, str]
_SHAPE = (
    "area", "area_bbox", "area_convex", "area_filled", "axis_major_length", "axis_minor_length", "eccentricity",
    "equivalent_diameter_area", "euler_number", "extent", "feret_diameter_max", "perimeter", "solidity", "orientation",
)  # fmt: skip
_BRIGHTNESS = "intensity_mean", "intensity_max", "intensity_min", "intensity_std"


@dataclass(frozen=True)
class Table:
    """Described cells with a known class.

    Attributes
    ----------
    values : numpy.ndarray
        ``(N, D)`` descriptors.
    blocks : tuple of int
        Columns of the embedding, and of the measured numbers.
    labels, photographs : numpy.ndarray
        ``(N,)`` class index, and name of the photograph.
    regions : numpy.ndarray
        ``(N, P)`` numbers of ``skimage.measure.regionprops`` on the raw image.
    crops : numpy.ndarray
        ``(N, Y, X, 3)`` uint8, what the network saw.
    """

    values: np.ndarray
    blocks: tuple[int, int]
    labels: np.ndarray
    photographs: np.ndarray
    regions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    crops: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))


def shapes(data: Path) -> Iterator[Labeled]:
    """Yield photographs, their cells, the class of each cell (-1: none) and a name."""
    for ref in find_images([data / "images"]):
        lines = (data / "labels" / f"{Path(ref.name).stem}.txt").read_text().split("\n")
        points = np.array([line.split() for line in lines if line.strip()])
        image = open_ref(ref)
        cells = finish(find_cells(image, "smear"))
        found = np.full(len(cells), -1)
        if points.size and len(cells):
            x, y, kind = points.astype(int).T
            size = np.array(image.shape) - 1
            label = np.asarray(cells.labels)[np.clip(y, 0, size[0]), np.clip(x, 0, size[1])]
            row = np.searchsorted(cells.ids, label)
            inside = label > 0
            known = np.isin(kind, SHAPES) & inside
            found[row[known]] = np.searchsorted(SHAPES, kind[known])
        yield image, cells, found, ref.name


def blood(data: Path) -> Iterator[Labeled]:
    """Yield the same of BCCD; only cells that agree with their box have a class."""
    boxes, files = annotated(data, list(BLOOD_CLASSES))
    for name, path in files.items():
        image = open_image(path)
        cells = finish(find_cells(image, "blood"))
        if not len(cells):
            continue
        truth, overlap = matched(cells.table, boxes[name])
        yield image, cells, np.where(overlap > WELL_CUT, truth, -1), name


def region_numbers(image: Image, cells: Cells) -> np.ndarray:
    """Return what ``regionprops`` measures of each cell on the image as it is, ``(N, P)``."""
    from skimage.measure import regionprops_table

    raw = np.moveaxis(np.asarray(image.data), 0, -1)
    found = regionprops_table(
        np.asarray(cells.labels), raw, properties=("label", *_SHAPE, *_BRIGHTNESS)
    )
    row = np.searchsorted(found.pop("label"), cells.ids)
    return np.nan_to_num(np.stack(list(found.values()), axis=1).astype(np.float32))[row]


def region_numbers_of_crops(crops: np.ndarray) -> np.ndarray:
    """Return what ``regionprops`` measures of the cell in each crop, black around it, ``(N, P)``."""
    from skimage.measure import regionprops_table

    found = []
    for crop in crops:
        mask = (crop.max(axis=2) > 0).astype(np.uint8)
        one = regionprops_table(mask, crop, properties=(*_SHAPE, *_BRIGHTNESS))
        found.append([float(values[0]) for values in one.values()])
    return np.nan_to_num(np.array(found, np.float32))


def described(source: Iterator[Labeled], base: str = "blank", *, pictures: bool = False) -> Table:
    """Describe every cell that has a class; ``pictures`` also keeps crops and numbers of regions."""
    package = registry.load(base)
    rule, blocks = package.manifest, (0, 0)
    values, labels, photographs = [], [], []
    regions, crops = [np.zeros((0, 0), np.float32)], [np.zeros((0, 0, 0, 3), np.uint8)]
    with runtime.open_engine(package) as engine:
        for image, cells, found, name in source:
            if (found < 0).all():
                continue
            known = found >= 0
            made = finish(describe_cells(image, cells, package, engine=engine))
            blocks = made.blocks
            values.append(made.values[known])
            labels.append(found[known])
            photographs += [name] * int(known.sum())
            if pictures:
                view = View.of(image, package, None)
                some = Cells(cells.labels, cells.table[known], cells.method)
                seen = cut(image, some, rule.crop, rule.normalization, view.indices)
                crops.append(np.round(seen * 255).astype(np.uint8))
                regions.append(region_numbers(image, cells)[known])
    return Table(
        np.concatenate(values), blocks, np.concatenate(labels), np.array(photographs),
        np.concatenate(regions[1:] or regions), np.concatenate(crops[1:] or crops),
    )  # fmt: skip


def remembered(folder: Path | None, name: str, make: Callable[[], Table]) -> Table:
    """Return a table from a folder, or make it and keep it there."""
    if folder is None:
        return make()
    path = folder / f"{name}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        made = make()
        np.savez(path, **{one.name: getattr(made, one.name) for one in fields(Table)})  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as stored:
        blocks = tuple(int(n) for n in stored["blocks"])
        arrays = {one.name: stored[one.name] for one in fields(Table) if one.name != "blocks"}
    return Table(blocks=(blocks[0], blocks[1]), **arrays)


def tables(folder: Path | None, data: Path) -> dict[str, Table]:
    """Return all tables of the benchmarks of learning: both sets by ``blank``, both by ``blood-cells``."""
    sources: dict[str, Callable[[], Iterator[Labeled]]] = {
        "bccd": lambda: blood(data / "bccd"),
        "chula": lambda: shapes(data / "chula_rbc12"),
    }
    found = {}
    for base in ("blank", "blood-cells"):
        for name, source in sources.items():
            made = remembered(
                folder,
                f"{name}-{base}",
                lambda s=source, b=base: described(s(), b, pictures=True),  # type: ignore[misc]
            )
            found[f"{name}-{base}"] = made
    return found
