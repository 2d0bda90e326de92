"""Measures a label image: one table row per cell, without a loop over cells.

Accepts whatever label image people have: any integer width, gaps in the numbering, booleans,
whole numbers stored as floats, tiles larger than memory. Refuses, with a coded error, what
cannot be a label image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.parts import Parts, pieces, scattered
from napari_cellcls.cells.runs import Runs, Sums, combine, measure_runs
from napari_cellcls.vocabulary import COLUMNS, CellsError

if TYPE_CHECKING:
    import dask.array as da

_BLOCK = 2048


def cells_from_labels(
    labels: da.Array | np.ndarray,
    pixel_size_um: tuple[float, float] | None = None,
    method: str = "labels",
    image_shape: tuple[int, int] | None = None,
) -> Cells:
    """Turn a label image into cells.

    Parameters
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)``; 0 is background. Signed, unsigned, bool, or floats that are whole numbers.
        A boolean mask is split into its connected parts.
    pixel_size_um : tuple of float, optional
        ``(y, x)`` micrometers per pixel.
    method : str
        How the labels were made, in words.
    image_shape : tuple of int, optional
        ``(Y, X)`` the labels must have.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` (not 2D, or not the size of the image), ``CELLS-FLOAT`` (values that are
        not whole numbers), ``CELLS-NEGATIVE``, ``CELLS-EMPTY`` (nothing but background).
    """
    labels = _plane(labels)
    if image_shape is not None and tuple(labels.shape) != tuple(image_shape):
        raise CellsError(
            "The label image does not have the size of the image.",
            code="CELLS-SIZE",
            why=f"labels are {tuple(labels.shape)} (Y, X), the image is {tuple(image_shape)}",
            remedy="Choose the labels made from this image, or resample them to its size.",
        )
    labels, notes = _as_integers(labels)
    table = measure(labels, pixel_size_um)
    if len(table) == 0:
        raise CellsError(
            "The label image holds no cells.",
            code="CELLS-EMPTY",
            why=f"all {labels.shape[0]} x {labels.shape[1]} pixels are 0 (background)",
            remedy="Choose another label image, or let the plugin find the cells.",
        )
    split = int((table[COLUMNS.flags] == "parts").sum())
    if split:
        notes = (*notes, f"{split} of {len(table)} labels consist of several separate parts")
    return Cells(labels, table, method, None, notes)


def measure(
    labels: da.Array | np.ndarray, pixel_size_um: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Measure every cell of an integer label image.

    Parameters
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)`` integers or bool, 0 is background. Dask arrays are read block by block.
    pixel_size_um : tuple of float, optional
        ``(y, x)`` micrometers per pixel.

    Returns
    -------
    pandas.DataFrame
        Sorted by ``label``; columns as described in :class:`~napari_cellcls.cells.cells.Cells`.
        ``flags`` is ``parts`` where a label is not one connected piece.
    """
    height, width = (int(n) for n in labels.shape)
    measured: list[Sums] = []
    parts = Parts()
    several = np.zeros(0, np.int64)
    for y, x, block in blocks(labels):
        runs = Runs.of(block)
        measured.append(measure_runs(runs, y, x))
        if block.shape == labels.shape:
            several = scattered(runs, block.shape[1])
        else:
            parts.add(y, x, block, pieces(block))
    whole = combine(measured)
    if len(measured) != 1:
        several = parts.several()
    ids, area = whole.ids, whole.area
    y0, x0, y1, x1 = whole.box
    c = COLUMNS
    return pd.DataFrame(
        {
            c.label: ids,
            c.y: whole.sum_y / np.maximum(area, 1),
            c.x: whole.sum_x / np.maximum(area, 1),
            c.area_px: area,
            c.area_um2: area * pixel_size_um[0] * pixel_size_um[1] if pixel_size_um else np.nan,
            **dict(zip(c.bbox, whole.box)),
            c.border: (y0 == 0) | (x0 == 0) | (y1 == height) | (x1 == width),
            c.flags: np.where(np.isin(ids, several), "parts", "").astype(object),
        }
    )


def blocks(
    labels: da.Array | np.ndarray, size: int = _BLOCK
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield ``(y, x, block)`` over an array, at most about ``size`` pixels square at once.

    A dask array is cut along its own chunks, so that no chunk is read twice.
    """
    if isinstance(labels, np.ndarray):
        yield 0, 0, labels
        return
    starts = []
    for chunk in labels.chunks:
        edges, begin, total = [0], 0, 0
        for length in chunk:
            if total > begin and total + length - begin > size:
                edges.append(total)
                begin = total
            total += length
        starts.append([*edges, total])
    for y0, y1 in zip(starts[0], starts[0][1:]):
        for x0, x1 in zip(starts[1], starts[1][1:]):
            yield y0, x0, np.asarray(labels[y0:y1, x0:x1])


def _plane(labels: Any) -> da.Array | np.ndarray:
    if not hasattr(labels, "dask"):
        labels = np.asarray(labels)
    while labels.ndim > 2 and 1 in labels.shape:
        labels = labels.squeeze(axis=labels.shape.index(1))
    if labels.ndim != 2 or 0 in labels.shape:
        raise CellsError(
            "A label image must be one plane of pixels.",
            code="CELLS-SIZE",
            why=f"received an array of shape {tuple(labels.shape)}",
            remedy="Choose one time point and one depth of the labels.",
        )
    return labels  # type: ignore[no-any-return]


def _as_integers(labels: da.Array | np.ndarray) -> tuple[da.Array | np.ndarray, tuple[str, ...]]:
    kind = labels.dtype.kind
    if kind == "b":
        from skimage.measure import label

        whole = label(np.asarray(labels), connectivity=1).astype(np.int32)
        return whole, ("the mask was split into its connected parts, one cell each",)
    if kind == "f":
        _refuse_fractions(labels)
        return labels.astype(np.int64), ("the labels were stored as floats; all are whole numbers",)
    if kind not in "iu":
        raise CellsError(
            "The label image does not hold whole numbers.",
            code="CELLS-FLOAT",
            why=f"its data type is {labels.dtype}",
            remedy="Save the labels as integers.",
        )
    return labels, ()


def _refuse_fractions(labels: da.Array | np.ndarray) -> None:
    for y, x, block in blocks(labels):
        with np.errstate(invalid="ignore"):
            bad = ~(np.floor(block) == block) | (np.abs(block) >= 2**53)
        if bad.any():
            at = tuple(int(k[0]) for k in np.nonzero(bad))
            raise CellsError(
                "The label image holds numbers that are not whole.",
                code="CELLS-FLOAT",
                why=f"value {block[at]} at (y, x) = ({y + at[0]}, {x + at[1]}), type {labels.dtype}",
                remedy="Choose the label image, not a probability map or the photograph itself.",
            )
