"""Turns cell bounding boxes into the frames that a crop rule cuts, in image pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_cellcls.vocabulary import COLUMNS, CellsError, CropSpec


def frames(
    table: pd.DataFrame, spec: CropSpec, pixel_size_um: tuple[float, float] | None
) -> np.ndarray:
    """Return the frame of every cell.

    Parameters
    ----------
    table : pandas.DataFrame
        Cell table with bounding boxes in pixels.
    spec : CropSpec
    pixel_size_um : tuple of float or None
        ``(y, x)``. A ``square`` is square on the slide: with pixels that are not square, its
        edges differ in pixels.

    Returns
    -------
    numpy.ndarray
        ``(N, 4)`` int64: ``y0, x0, height, width`` in whole pixels, possibly beyond the image.

    Raises
    ------
    CellsError
        ``CELLS-SCALE`` for a ``window`` of physical size when the image has no pixel size and
        the rule names no size in pixels.
    """
    box = table[list(COLUMNS.bbox)].to_numpy(np.float64)
    start, length = box[:, :2], box[:, 2:] - box[:, :2]
    center = start + length / 2
    scale = np.array(pixel_size_um if pixel_size_um else (1.0, 1.0))
    if spec.frame == "box":
        edge = length * (1 + 2 * spec.margin)
    elif spec.frame == "square":
        longer = (length * scale).max(axis=1, keepdims=True)
        edge = longer * (1 + 2 * spec.margin) / scale
    else:
        edge = np.broadcast_to(_window_edge(spec, pixel_size_um), length.shape)
    whole = np.maximum(np.rint(edge), 1)
    return np.concatenate([np.floor(center - whole / 2 + 0.5), whole], axis=1).astype(np.int64)


def _window_edge(spec: CropSpec, pixel_size_um: tuple[float, float] | None) -> np.ndarray:
    if spec.extent_um is not None and pixel_size_um is not None:
        return spec.extent_um / np.array(pixel_size_um, np.float64)
    if spec.extent_px is not None:
        return np.full(2, spec.extent_px, np.float64)
    raise CellsError(
        "The model cuts a window of fixed physical size, but the image has no pixel size.",
        code="CELLS-SCALE",
        why=f"window of {spec.extent_um} micrometers, no pixel size in the image, no size in pixels in the model",
        remedy="Give the pixel size of the image (micrometers per pixel).",
    )
