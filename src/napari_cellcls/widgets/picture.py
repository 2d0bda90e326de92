"""All that is drawn for a session, computed at once beside the window: outlines, ids, features.

The window only hands the finished arrays to napari. Nothing here touches a viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import ClassScheme, Progress, Task
from napari_cellcls.widgets import drawing

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.predict import Predictions
    from napari_cellcls.session import Session

_MOST_IN_MEMORY = 1 << 28
"""Pixels of a class raster (one byte each) that is computed whole; larger ones stay lazy."""
_SMALL_IDS = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class Subject:
    """What a picture shows, and how: read from the session once, in the thread that owns it.

    Attributes
    ----------
    cells : Cells
    predictions : Predictions or None
    codes : numpy.ndarray
        ``(N,)`` uint8, the class number of each cell (see ``drawing.color_table``).
    scheme : ClassScheme or None
    on_light : bool
        The image is a bright field, not fluorescence.
    width : int
        Of the outlines, pixels; of large cells they are drawn wider (``drawing.coarseness``).
    letters : bool
        Whether each cell carries the letter of its class.
    """

    cells: Cells
    predictions: Predictions | None
    codes: np.ndarray
    scheme: ClassScheme | None
    on_light: bool = False
    width: int = 3
    letters: bool = True

    @classmethod
    def of(cls, session: Session, width: int, letters: bool) -> Subject | None:
        """Return what there is to draw, None without cells."""
        cells, scheme, predictions = session.cells, session.scheme, session.predictions
        if cells is None or not len(cells):
            return None
        codes = session.codes
        if predictions is None:
            codes = np.full(len(cells), _known(scheme) + 2, np.uint8)
        on_light = session.image is not None and session.image.is_rgb
        return cls(cells, predictions, codes, scheme, on_light, width, letters)


@dataclass(frozen=True, eq=False)
class Picture:
    """Arrays and tables, ready for napari.

    Attributes
    ----------
    subject : Subject
    outlines : drawing.Outlines or None
        Kept for the next picture of the same cells.
    ids, raster : numpy.ndarray or dask.array.Array
        ``(Y, X)`` label image and uint8 class raster.
    features : pandas.DataFrame
    """

    subject: Subject
    outlines: drawing.Outlines | None
    ids: Any
    raster: Any
    features: pd.DataFrame

    @property
    def colors(self) -> dict[int | None, Any]:
        """Colors of the class raster."""
        return drawing.color_table(self.subject.scheme, self.subject.on_light)


def paint(subject: Subject, before: Picture | None = None) -> Task[Picture]:
    """Compute the picture of ``subject``.

    Parameters
    ----------
    subject : Subject
    before : Picture, optional
        The last picture; what has not changed since is taken from it.
    """
    cells = subject.cells
    same = before is not None and before.subject.cells is cells
    yield Progress(0, 3, "Drawing")
    coarse = drawing.coarseness(cells)
    width = round(subject.width * coarse)
    outlines = before.outlines if same and before is not None else None
    if outlines is None or outlines.width != width:
        outlines = drawing.Outlines.of(cells, width)
    ids = before.ids if same and before is not None else compact(cells.labels, cells.ids)
    yield Progress(1, 3, "Drawing")
    raster = _raster(subject, outlines, width, coarse)
    yield Progress(2, 3, "Drawing")
    return Picture(
        subject, outlines, ids, raster, drawing.feature_table(cells, subject.predictions)
    )


def compact(labels: Any, ids: np.ndarray) -> Any:
    """Return a label image for display; 16-bit where the ids allow: napari need not convert that.

    Labels that are no cells of the session (dropped while measuring) keep their values.
    """
    if labels.dtype == bool:
        return labels.astype(np.uint8)
    if not isinstance(labels, np.ndarray) or labels.dtype.itemsize <= 2:
        return labels
    if int(ids[-1]) > _SMALL_IDS or int(labels.max()) > _SMALL_IDS:
        return labels
    return labels.astype(np.uint16)


def _raster(subject: Subject, outlines: drawing.Outlines | None, width: int, coarse: float) -> Any:
    cells, codes, scheme = subject.cells, subject.codes, subject.scheme
    if outlines is None:
        lazy = drawing.class_raster(cells.labels, cells.ids, codes, width)
        # napari would compute it in the thread of the window, whole and at every look.
        return np.asarray(lazy) if lazy.size <= _MOST_IN_MEMORY else lazy
    raster = outlines.raster(cells.ids, codes)
    if subject.letters and scheme is not None and subject.predictions is not None:
        drawing.write_marks(raster, cells, codes, class_marks(scheme.names), coarse)
    if outlines.of_left_out is not None:
        raster[outlines.of_left_out & (raster == 0)] = _known(scheme) + 3
    return raster


def _known(scheme: ClassScheme | None) -> int:
    return len(scheme) if scheme is not None else 0
