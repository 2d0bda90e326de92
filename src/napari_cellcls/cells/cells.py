"""The Cells: a label image and one table row per cell. This module owns the type only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True)
class Rejected:
    """Objects that were seen and left out on purpose (white cells, platelets, clumps, debris).

    Attributes
    ----------
    labels : numpy.ndarray
        ``(Y, X)`` int32, zero where there is none; ids independent of the cells' ids.
    table : pandas.DataFrame
        One row per object: ``label, y, x, area_px, reason``.
    """

    labels: np.ndarray
    table: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """Return how many objects were left out for each reason."""
        return {str(k): int(v) for k, v in self.table["reason"].value_counts().items()}


@dataclass(frozen=True)
class Cells:
    """Cells of one image.

    Attributes
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)``, integer, 0 is background; ids need not be contiguous.
    table : pandas.DataFrame
        One row per cell, sorted by ``label``, columns of
        :data:`~napari_cellcls.vocabulary.COLUMNS` made by ``cells.table.measure``: ``label``
        (int64), ``y, x`` (centroid, pixels), ``area_px``, ``area_um2`` (NaN without a pixel
        size), ``bbox_y0, bbox_x0, bbox_y1, bbox_x1`` (half-open, pixels), ``border`` (bool:
        touches the image edge), ``flags`` (words joined by ``|``).
    method : str
        How they were found, in words ("smear", "labels from cells.tif").
    rejected : Rejected or None
    notes : tuple of str
        Doubts for the user ("no cells found: ...").
    """

    labels: np.ndarray | da.Array
    table: pd.DataFrame
    method: str
    rejected: Rejected | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.table)

    @property
    def ids(self) -> np.ndarray:
        """Cell ids in table order, int64."""
        return self.table[COLUMNS.label].to_numpy(np.int64)
