"""Label images as TIFF: every pixel holds the id of its cell, ids as in the table."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.export.errors import writing
from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells

_TILE = 512


def write_labels(
    cells: Cells,
    target: str | os.PathLike[str],
    pixel_size_um: tuple[float, float] | None = None,
) -> None:
    """Write the label image as a deflate-compressed OME-TIFF of axes YX.

    Large and lazy label images are written tile by tile, so memory stays small.

    Parameters
    ----------
    cells : Cells
        ``labels`` of shape ``(Y, X)``, any integer dtype.
    target : path-like
        Usually ``<stem>.labels.tif``.
    pixel_size_um : tuple of float, optional
        ``(y, x)`` in micrometers; stored in the OME header and the TIFF resolution.

    Notes
    -----
    The dtype is uint16 when all ids fit, else uint32.

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    import tifffile

    top = int(cells.ids.max(initial=0))
    dtype = np.dtype(np.uint16 if top < 2**16 else np.uint32)
    height, width = (int(n) for n in cells.labels.shape)
    options: dict[str, Any] = {
        "ome": True,
        "compression": "adobe_deflate",
        "predictor": False,
        "photometric": "minisblack",
        "software": "napari-cellcls",
        "metadata": {"axes": "YX", "UUID": _uuid(cells), **_physical(pixel_size_um)},
    }
    if pixel_size_um is not None:
        y, x = pixel_size_um
        options |= {"resolution": (1e4 / x, 1e4 / y), "resolutionunit": "CENTIMETER"}
    with writing(target) as temporary:
        if max(height, width) <= 4 * _TILE:
            tifffile.imwrite(temporary, np.asarray(cells.labels).astype(dtype), **options)
        else:
            options |= {"tile": (_TILE, _TILE), "shape": (height, width), "dtype": dtype}
            tifffile.imwrite(temporary, _tiles(cells.labels, dtype), **options)


def _tiles(labels: Any, dtype: np.dtype) -> Iterator[np.ndarray]:
    height, width = labels.shape
    for y in range(0, height, _TILE):
        # One row of tiles at a time: a lazy image is then computed once per chunk row.
        row = np.asarray(labels[y : y + _TILE]).astype(dtype)
        for x in range(0, width, _TILE):
            yield row[:, x : x + _TILE]


def _uuid(cells: Cells) -> str:
    # A random one, the default, would make every run write other bytes.
    columns = [COLUMNS.label, *COLUMNS.bbox]
    content = cells.table[columns].to_numpy(np.int64).tobytes() + repr(cells.labels.shape).encode()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(content).hexdigest()))


def _physical(pixel_size_um: tuple[float, float] | None) -> dict[str, Any]:
    if pixel_size_um is None:
        return {}
    y, x = pixel_size_um
    return {
        "PhysicalSizeX": x,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": y,
        "PhysicalSizeYUnit": "µm",
    }
