"""Why a model says what it says of one cell: the labeled cells it looks like, and where it looks.

Both are answers about the model, not about the cell: a map shows which parts of the crop its evidence
hangs on, and says nothing of whether that evidence is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.frames import frames
from napari_cellcls.embed import View, embed_crops
from napari_cellcls.images.image import Image
from napari_cellcls.models.domain import NEIGHBORS
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.head import need_classes
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import COLUMNS, CellsError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.images.channels import ChannelMapping

_PATCH, _STEPS = 1 / 5, 12
"""Edge of what is covered, in parts of the crop, and how many places along each side."""
_BATCH = 48
_COMPARED = 256
_TINY = 1e-6


@dataclass(frozen=True)
class Alike:
    """The labeled cells most like some cells.

    Attributes
    ----------
    rows : numpy.ndarray
        ``(N, k)`` rows of the examples, nearest first.
    distances : numpy.ndarray
        ``(N, k)`` float32; about 1 between examples that are neighbors.
    """

    rows: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Heat:
    """Where the evidence for each class lies in one cell.

    Attributes
    ----------
    values : numpy.ndarray
        ``(K, y, x)`` float32 in pixels of the image: how much the logit of a class, beside those
        of the others, falls when this place is covered; negative where covering it speaks for
        the class.
    origin : tuple of int
        ``(y, x)`` of the first pixel in the image; may be negative at its edge.
    """

    values: np.ndarray
    origin: tuple[int, int]


def most_alike(
    cells: np.ndarray, examples: np.ndarray, blocks: Sequence[int], count: int = 8
) -> Alike:
    """Return the labeled cells that cells look like most.

    Embeddings are compared as the model makes them: whitened, the few directions in which classes
    differ would count no more than any other. Measured numbers are scaled one by one.

    Parameters
    ----------
    cells, examples : numpy.ndarray
        Descriptors ``(N, D)`` and ``(M, D)`` of one model (:func:`embed.describe_cells`).
    blocks : sequence of int
        ``(E, F)`` columns of the embedding and of the measured numbers.
    count : int
        Most examples per cell.
    """
    x, seen = np.asarray(cells, np.float32), np.asarray(examples, np.float32)
    middle, size = seen.mean(axis=0), blocks[0]
    scale = np.ones(x.shape[1], np.float32)
    spread = seen[:, size:].std(axis=0)
    scale[size:] = np.where(spread > _TINY, 1 / np.maximum(spread, _TINY), 0)
    x, seen = (x - middle) * scale, (seen - middle) * scale
    squared = np.zeros((len(x), len(seen)), np.float32)
    parts = [one for one in (slice(0, size), slice(size, None)) if seen[:, one].size]
    for part in parts:
        squared += _squared(x[:, part], seen[:, part]) / (_usual(seen[:, part]) ** 2 * len(parts))
    nearest = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return Alike(nearest, np.sqrt(np.take_along_axis(squared, nearest, axis=1)))


def heat_of(
    image: Image,
    cells: Cells,
    label: int,
    package: ModelPackage,
    *,
    mapping: ChannelMapping | None = None,
    engine: Engine | None = None,
) -> Task[Heat]:
    """Return where in one cell the evidence for each class lies.

    A square is covered by the mean color of the cell, place by place, and the model is asked again.
    What was measured in the image (``descriptor``) stays as it is.

    Parameters
    ----------
    image, cells : Image, Cells
    label : int
        The cell.
    package : ModelPackage
    mapping : ChannelMapping, optional
        Image channels to model inputs; by default matched by role.
    engine : Engine, optional
        An open engine of this package, left open; by default one is opened here.

    Raises
    ------
    CellsError
        ``CELLS-NOCELL`` when there is no such cell, at once.
    ModelError
        ``MODEL-NO-CLASSES`` for a backbone, at once.
    """
    need_classes(package)
    rows = np.flatnonzero(cells.ids == label)
    if len(rows) != 1:
        raise CellsError(
            "There is no such cell.",
            code="CELLS-NOCELL",
            why=f"cell {label} is not among the {len(cells)} cells",
            remedy="Choose a cell of the present cells.",
        )
    one = replace(cells, table=cells.table.iloc[rows])
    return _heat(View.of(image, package, mapping), one, engine)


def _heat(view: View, one: Cells, engine: Engine | None) -> Task[Heat]:
    from napari_cellcls.cells.crops import cut
    from napari_cellcls.models.runtime import open_engine

    package = view.package
    manifest = package.manifest
    crop = cut(view.image, one, manifest.crop, manifest.normalization, view.indices)[0]
    covered, places = _covered(crop, manifest.crop.fill)
    yield Progress(0, len(covered), "Covering the cell place by place")
    opened = open_engine(package) if engine is None else engine
    found = []
    try:
        for start in range(0, len(covered), _BATCH):
            batch = covered[start : start + _BATCH]
            found.append(embed_crops(batch, package, opened, in_color=view.in_color))
            yield Progress(start + len(batch), len(covered), "Covering the cell place by place")
    finally:
        if engine is None:
            opened.close()
    seen = np.concatenate(found)
    assert package.head is not None
    falls = (seen[0] - seen[1:]) @ package.head[0][: view.size]
    if not manifest.multi_label and falls.shape[1] > 1:
        # Only differences between classes count; each is set beside the mean of the others.
        k = falls.shape[1]
        falls = (falls - falls.mean(axis=1, keepdims=True)) * k / (k - 1)
    return _placed(_spread(falls, places, crop.shape[0]), view, one)


def _covered(crop: np.ndarray, fill: float) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """Return the crop, then the crop with each place covered, and the places."""
    size = crop.shape[0]
    edge = max(2, round(size * _PATCH))
    starts = np.unique(np.linspace(0, size - edge, _STEPS).round().astype(int))
    cell = (crop != fill).any(axis=2)
    color = crop[cell].mean(axis=0) if cell.any() else crop.mean(axis=(0, 1))
    places = [(slice(y, y + edge), slice(x, x + edge)) for y in starts for x in starts]
    made = np.repeat(crop[None], len(places) + 1, axis=0)
    for row, place in enumerate(places, start=1):
        made[row][place][cell[place]] = color
    return made, places


def _spread(falls: np.ndarray, places: list[tuple[slice, slice]], size: int) -> np.ndarray:
    """Return the mean of all places over each pixel, ``(size, size, K)`` float32."""
    total = np.zeros((size, size, falls.shape[1]), np.float32)
    count = np.zeros((size, size, 1), np.float32)
    for fall, place in zip(falls, places, strict=True):
        total[place] += fall
        count[place] += 1
    return total / np.maximum(count, 1)


def _placed(heat: np.ndarray, view: View, one: Cells) -> Heat:
    from cv2 import INTER_LINEAR, resize

    spec = view.package.manifest.crop
    y, x, height, width = frames(one.table, spec, view.image.pixel_size_um)[0].tolist()
    sampled = resize(heat, (width, height), interpolation=INTER_LINEAR)
    values = np.ascontiguousarray(sampled.reshape(height, width, -1).transpose(2, 0, 1))
    if spec.mask:
        values *= _inside(one, (y, x, height, width))
    return Heat(values, (y, x))


def _inside(one: Cells, frame: tuple[int, int, int, int]) -> np.ndarray:
    """Return which pixels of a frame are the cell's own, ``(y, x)`` bool."""
    y, x, height, width = frame
    found = np.zeros((height, width), bool)
    y0, x0, y1, x1 = one.table[list(COLUMNS.bbox)].to_numpy(int)[0]
    own = np.asarray(one.labels[y0:y1, x0:x1]) == one.ids[0]
    rows, columns = np.nonzero(own)
    rows, columns = rows + y0 - y, columns + x0 - x
    kept = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found[rows[kept], columns[kept]] = True
    return found


def _usual(points: np.ndarray) -> float:
    """Return the distance within which 95 % of some points lie from their neighbors."""
    rows = np.linspace(0, len(points) - 1, min(len(points), _COMPARED)).astype(int)
    some = points[rows]
    if len(some) <= 2 * NEIGHBORS:  # too few to have neighbors: what two of them differ
        return max(float(np.sqrt(2 * some.var(axis=0).sum())), _TINY)
    squared = _squared(some, some)
    np.fill_diagonal(squared, np.inf)
    near = np.sqrt(np.partition(squared, NEIGHBORS, axis=1)[:, :NEIGHBORS]).mean(axis=1)
    return max(float(np.quantile(near, 0.95)), _TINY)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(squared, 0))
