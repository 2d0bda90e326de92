"""Label images as TIFF: every pixel holds the id of its cell as in the table, or the number of its class."""

from __future__ import annotations

import csv
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.export.errors import writing
from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.export.field import Field

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


def write_classes(field: Field, target: str | os.PathLike[str]) -> None:
    """Write an OME-TIFF of axes YX whose pixels are class numbers, and a table of them beside it.

    Parameters
    ----------
    field : Field
    target : path-like
        Usually ``<stem>.classes.tif``; the table has the same name with ``.csv`` (``value, id, name, color``).

    Notes
    -----
    0 is background, 1 the first class; the last number, named "not labeled", is for cells without a class.
    A cell with several classes has the number of the first. The dtype is uint8, uint16 above 254 classes.

    Raises
    ------
    ExportError
        When a file cannot be written.
    """
    import tifffile

    names = [one.name for one in field.classes]
    without = len(names) + 1
    top = max((anchor.label for anchor in field.anchors), default=0)
    number = np.zeros(top + 1, np.uint8 if without < 256 else np.uint16)
    for row, anchor in enumerate(field.anchors):
        given = field.class_names(row)
        number[anchor.label] = names.index(given[0]) + 1 if given else without
    with writing(target) as temporary:
        tifffile.imwrite(
            temporary,
            number[field.label_image()],
            ome=True,
            compression="adobe_deflate",
            predictor=False,
            photometric="minisblack",
            software="napari-cellcls",
            metadata={"axes": "YX", **_physical(field.pixel_size_um)},
        )
    rows = [(i, c.id, c.name, c.color) for i, c in enumerate(field.classes, 1)]
    rows.append((without, "", "not labeled", "#999999"))
    with (
        writing(Path(target).with_suffix(".csv")) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        csv.writer(stream, lineterminator="\n").writerows([("value", "id", "name", "color"), *rows])


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
