"""Single-cell crops of simulated fields, cut by the product's own rule, for training `hpa-localization`.

Whole small fields are simulated first, so that what the rule needs from the field (percentiles of
the whole image, neighbors, cells cut by the border) is as it will be in use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from scipy import ndimage as ndi

from napari_cellcls.cells.cells import Cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.vocabulary import ChannelRole, CropSpec, Normalization

from . import fluorescence

CLASSES = fluorescence.PATTERNS
ROLES = (ChannelRole.MICROTUBULES, ChannelRole.PROTEIN, ChannelRole.NUCLEUS, ChannelRole.ER)
CROP = CropSpec(size=96, frame="square", margin=0.05, mask=True, fill=0.0)
NORMALIZATION = Normalization("percentile", 0.5, 99.8)


@dataclass(frozen=True)
class CropSet:
    """Crops with their truth.

    Attributes
    ----------
    crops : numpy.ndarray
        ``(N, size, size, C)`` uint8; here planes microtubules, protein, nucleus, ER.
    labels : numpy.ndarray
        ``(N, K)`` uint8 0/1 in the order of the classes, or ``(N,)`` int64 with one label per cell.
    fields : numpy.ndarray
        ``(N,)`` int64 seed of the field each crop is from: the group that is never split.
    well : numpy.ndarray
        ``(N,)`` bool, whether all cells of that field show the same protein.
    """

    crops: np.ndarray
    labels: np.ndarray
    fields: np.ndarray
    well: np.ndarray


def field_crops(seed: int, size: int = CROP.size) -> CropSet:
    """Simulate one field of random quality and cut its cells.

    Parameters
    ----------
    seed : int
        Also the name of the field.
    size : int
        Edge of the crops in pixels.
    """
    rng = np.random.default_rng((seed, 7))
    well = bool(rng.random() < 0.6)
    edge = int(rng.integers(32, 43)) * 16
    size_um = float(rng.uniform(0.2, 0.34))
    room = (edge * size_um) ** 2 / 1100.0
    field = fluorescence.simulate(
        seed,
        (edge, edge),
        max(4, round(room * rng.uniform(0.5, 1.05))),
        size_um,
        bits=int(rng.choice([8, 12, 16])),
        one_protein=well,
        optics=fluorescence.Optics.random(rng),
        varied=True,
        mitosis=0.02,
    )
    image = _as_image(field)
    labels = _resegmented(rng, field.cells)
    crops = _cut(image, labels, replace(CROP, size=size))
    _drop_planes(rng, crops)
    names = field.table.set_index("label")["class"].reindex(np.unique(labels[labels > 0]))
    target = np.zeros((len(names), len(CLASSES)), np.uint8)
    for row, text in enumerate(names):
        target[row, [CLASSES.index(n) for n in text.split("|") if n]] = 1
    # Cells that the image cuts are rare in real sets and mostly tell nothing: a third of them stays.
    border = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    cut_off = np.isin(np.unique(labels[labels > 0]), border) & (rng.random(len(target)) > 0.3)
    keep = (target.sum(1) > 0) & ~cut_off
    crops, target = crops[keep], target[keep]
    n = len(target)
    return CropSet(
        (crops * 255).round().astype(np.uint8), target, np.full(n, seed), np.full(n, well)
    )


def collect(
    first_seed: int, cells: int, processes: int, draw: Callable[[int], CropSet] = field_crops
) -> CropSet:
    """Draw what belongs to one seed after another until there are at least ``cells`` crops."""
    parts: list[CropSet] = []
    count = 0
    for part in _stream(first_seed, processes, draw):
        parts.append(part)
        count += len(part.labels)
        if count >= cells:
            break
    return CropSet(
        *(
            np.concatenate([getattr(p, name) for p in parts])[:cells]
            for name in ("crops", "labels", "fields", "well")
        )
    )


def second_look(of: Scored, test: CropSet) -> tuple[str, Scored]:
    """Return the judged cells of fields in which all cells show one protein, as in real wells."""
    return "fields with one protein", of.take(test.well)


def _stream(first_seed: int, processes: int, draw: Callable[[int], CropSet]) -> Iterator[CropSet]:
    """Yield what belongs to consecutive seeds in order, drawn in several processes."""
    seed = first_seed
    if processes <= 1:
        while True:
            yield draw(seed)
            seed += 1
    # One thread per process: numerical libraries would otherwise fight for the cores.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with get_context("spawn").Pool(processes) as pool:
        while True:
            block = range(seed, seed + 8 * processes)
            yield from pool.imap(draw, block, chunksize=2)
            seed = block.stop


def cut_field(field: fluorescence.FluorescenceField, size: int = CROP.size) -> np.ndarray:
    """Cut the cells of a field by the product's rule.

    Parameters
    ----------
    field : FluorescenceField
    size : int
        Edge of the crops in pixels.

    Returns
    -------
    numpy.ndarray
        ``(N, size, size, 4)`` float32 in 0..1, in the order of the table.
    """
    return _cut(_as_image(field), field.cells, replace(CROP, size=size))


def _as_image(field: fluorescence.FluorescenceField) -> Image:
    channels = tuple(Channel(n, r) for n, r in zip(fluorescence.CHANNELS, ROLES))
    size = (field.pixel_size_um, field.pixel_size_um)
    top = float(2**field.bits - 1)
    return Image(field.image, channels, "simulated", pixel_size_um=size, value_range=(0.0, top))


def _resegmented(rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
    """Move the outlines in or out by a few pixels, as another segmentation would."""
    step = int(rng.integers(-3, 4))
    if step < 0:
        near = ndi.minimum_filter(cells, 1 - 2 * step) == ndi.maximum_filter(cells, 1 - 2 * step)
        moved = np.where(near, cells, 0)
        # Every cell stays: rows of crops and of the truth must agree.
        return moved if set(np.unique(moved)) == set(np.unique(cells)) else cells
    if step > 0:
        distance, (y, x) = ndi.distance_transform_edt(cells == 0, return_indices=True)
        return np.where(distance <= step, cells[y, x], 0).astype(cells.dtype)
    return cells


def _cut(image: Image, labels: np.ndarray, rule: CropSpec) -> np.ndarray:
    from napari_cellcls.cells.crops import cut
    from napari_cellcls.cells.table import measure

    table = measure(labels, image.pixel_size_um)
    return np.asarray(
        cut(image, Cells(labels, table, "simulated"), rule, NORMALIZATION, (0, 1, 2, 3))
    )


def _drop_planes(rng: np.random.Generator, crops: np.ndarray) -> None:
    """Blank a reference plane of some fields: not every laboratory stains all four."""
    for plane, share in ((0, 0.08), (3, 0.15)):
        if rng.random() < share:
            crops[..., plane] = 0
