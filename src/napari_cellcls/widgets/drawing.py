"""What is drawn for cells and classes, as plain arrays and tables: outlines, colors, features.

Changing one class must not cost a pass over all cells (napari#6732: a direct colormap over ids
does), so outlines are drawn by a small *class raster*: uint8, pixel = class number on the inner
outline of each cell, zero elsewhere.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls.vocabulary import COLUMNS, ClassScheme

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.predict import Predictions

NO_CLASS = (0.62, 0.62, 0.62, 1.0)
_ON_DARK = ((0.93, 0.93, 0.93, 0.9), (0.75, 0.75, 0.75, 0.8))
_ON_LIGHT = ((0.10, 0.10, 0.10, 0.9), (0.25, 0.25, 0.25, 0.9))
"""Cells that are not classified yet, and objects left out: on fluorescence, on a bright field."""
_DIRECT_TABLE = 1 << 24
_DENSE_ROWS = 1 << 17
_FEW_CLASSES = 4
_MOST_MARKS = 2_000
_SMALLEST_MARKED = 28
_USUAL_EDGE = 150.0


def inner_outline(labels: np.ndarray, width: int = 2) -> np.ndarray:
    """Return True on the pixels of each label that lie within ``width`` of another one.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(Y, X)`` integer. The image edge is no outline.
    width : int
        Pixels, at least 1.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` bool.
    """
    inside = labels != 0
    core = inside
    for _ in range(max(int(width), 1)):
        core = core & ~_touches_other(labels, core)
    return inside & ~core


def _touches_other(labels: np.ndarray, core: np.ndarray) -> np.ndarray:
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in (0, 1))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        differ = labels[before] != labels[after]
        edge[before] |= differ | ~core[after]
        edge[after] |= differ | ~core[before]
    return edge


def class_raster(labels: Any, ids: np.ndarray, codes: np.ndarray, width: int = 2) -> Any:
    """Return the class raster of a label image.

    Parameters
    ----------
    labels : numpy.ndarray or dask.array.Array
        ``(Y, X)`` integer.
    ids : numpy.ndarray
        ``(N,)`` int64, ascending.
    codes : numpy.ndarray
        ``(N,)`` uint8, the class number of each cell.
    width : int
        Of the outline, pixels.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        ``(Y, X)`` uint8; lazy when ``labels`` is.
    """
    if isinstance(labels, np.ndarray):
        return _block_raster(labels, ids, codes, width)
    return labels.map_overlap(
        _block_raster,
        depth=width,
        boundary="nearest",
        dtype=np.uint8,
        ids=ids,
        codes=codes,
        width=width,
    )


def _block_raster(labels: np.ndarray, ids: np.ndarray, codes: np.ndarray, width: int) -> np.ndarray:
    raster = np.zeros(labels.shape, np.uint8)
    on = inner_outline(labels, width)
    raster[on] = lookup(labels[on], ids, codes)
    return raster


def lookup(labels: np.ndarray, ids: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the code of each label value, 0 for values that are not in ``ids``."""
    if not len(ids):
        return np.zeros(labels.shape, np.uint8)
    if int(ids[-1]) < _DIRECT_TABLE:
        table = np.zeros(int(ids[-1]) + 1, np.uint8)
        table[ids] = codes
        known = (labels >= 0) & (labels < len(table))
        return np.where(known, table[np.where(known, labels, 0)], 0).astype(np.uint8)
    at = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.where(ids[at] == labels, codes[at], 0).astype(np.uint8)


@functools.lru_cache(maxsize=512)
def glyph(text: str, height: int) -> np.ndarray:
    """Return ``text`` drawn ``height`` pixels high: ``(Y, X)`` bool."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=round(height * 1.35))
    bold = max(height // 10, 1)
    left, top, right, bottom = (int(v) for v in font.getbbox(text, stroke_width=bold))
    page = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(page).text((-left, -top), text, fill=255, font=font, stroke_width=bold)
    return np.asarray(page) > 127


def coarseness(cells: Cells) -> float:
    """Return how much thicker outlines and letters are drawn, 1 to 3, from the size of the cells.

    Cells of several hundred pixels are looked at from far away, where thin lines vanish.
    """
    y0, x0, y1, x1 = (cells.table[c].to_numpy(float) for c in COLUMNS.bbox)
    return float(np.clip(np.median(np.maximum(y1 - y0, x1 - x0)) / _USUAL_EDGE, 1, 3))


def write_marks(
    raster: np.ndarray,
    cells: Cells,
    codes: np.ndarray,
    marks: tuple[str, ...],
    coarse: float = 1.0,
) -> None:
    """Write the letter of its class into each cell of a class raster, near its upper edge.

    Color is then never the only sign. In the middle it would hide what the class rests on; cells
    too small for a letter, and images with too many cells to read them, get none.
    """
    if len(cells) > _MOST_MARKS:
        return
    box = [cells.table[c].to_numpy(int) for c in COLUMNS.bbox]
    for y0, x0, y1, x1, code, label in zip(*box, codes, cells.ids):
        if 1 <= code <= len(marks) and min(y1 - y0, x1 - x0) >= _SMALLEST_MARKED:
            window = (slice(y0, y1), slice(x0, x1))
            mark = marks[code - 1]
            write_mark(raster[window], cells.labels[window] == label, code, mark, coarse)


def write_mark(
    part: np.ndarray, inside: np.ndarray, code: int, mark: str, coarse: float = 1.0
) -> None:
    """Write one letter into the part of a class raster that is the box of a cell.

    Parameters
    ----------
    part : numpy.ndarray
        ``(Y, X)`` uint8, changed in place.
    inside : numpy.ndarray
        ``(Y, X)`` bool, the cell.
    code, mark
        Number and letter of its class.
    coarse : float
        See :func:`coarseness`.
    """
    edge = min(inside.shape)
    if edge < _SMALLEST_MARKED:
        return
    sign = glyph(mark, int(np.clip(0.2 * edge, 10, 24 * coarse)))
    at = _highest_room(inside, sign.shape)
    if at is not None:
        y, x = at
        part[y : y + sign.shape[0], x : x + sign.shape[1]][sign] = code


def _highest_room(mask: np.ndarray, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the upper left corner of the highest box of ``size`` within ``mask``, near its middle."""
    height, width = size[0] + 6, size[1] + 6
    if mask.shape[0] < height or mask.shape[1] < width:
        return None
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    total[1:, 1:] = mask.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    inside = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    rows, columns = np.nonzero(inside == height * width)
    if not len(rows):
        return None
    best = np.argmin(2 * rows + np.abs(columns + width / 2 - mask.shape[1] / 2))
    return int(rows[best]) + 3, int(columns[best]) + 3


def dashed(mask: np.ndarray, period: int = 8) -> np.ndarray:
    """Break an outline into dashes (objects left out, told apart without color)."""
    y, x = np.nonzero(mask)
    gap = ((y + x) % period >= period * 5 // 8) | ((y - x) % period >= period * 6 // 8)
    broken = mask.copy()
    broken[y[gap], x[gap]] = False
    return broken


@dataclass(frozen=True)
class Outlines:
    """Where outlines run in one label image, whatever the classes: computed once, beside the window.

    Attributes
    ----------
    labels : numpy.ndarray
        ``(Y, X)``, the label image they belong to.
    width : int
    of_cells, of_left_out : numpy.ndarray
        ``(Y, X)`` bool; the second is dashed, None when nothing was left out.
    """

    labels: np.ndarray
    width: int
    of_cells: np.ndarray
    of_left_out: np.ndarray | None

    @classmethod
    def of(cls, cells: Cells, width: int) -> Outlines | None:
        """Return the outlines of ``cells``, None for a lazy label image (drawn tile by tile)."""
        if not isinstance(cells.labels, np.ndarray):
            return None
        left_out = None
        if cells.rejected is not None and len(cells.rejected.table):
            left_out = dashed(inner_outline(cells.rejected.labels, width))
        return cls(cells.labels, width, inner_outline(cells.labels, width), left_out)

    def raster(self, ids: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the class raster ``(Y, X)`` uint8 of these cells."""
        raster = np.zeros(self.labels.shape, np.uint8)
        raster[self.of_cells] = lookup(self.labels[self.of_cells], ids, codes)
        return raster


def color_table(scheme: ClassScheme | None, is_light: bool = False) -> dict[int | None, Any]:
    """Return the colors of the class raster: 1..K, K+1 no class, K+2 not classified, K+3 left out.

    Parameters
    ----------
    scheme : ClassScheme or None
    is_light : bool
        The image is a bright field, not fluorescence.
    """
    colors: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    classes = scheme.classes if scheme is not None else ()
    for code, cell_class in enumerate(classes, start=1):
        colors[code] = cell_class.color
    plain = _ON_LIGHT if is_light else _ON_DARK
    for code, color in enumerate((NO_CLASS, *plain), start=len(classes) + 1):
        colors[code] = color
    return colors


def feature_table(cells: Cells, predictions: Predictions | None) -> pd.DataFrame:
    """Return the features of the id layer: row number = label (napari's table relies on it).

    Sparse ids (far more numbers than cells) get one row per cell instead and are found by the
    column ``index``, which tooltips honor.
    """
    table = cells.table
    ids = cells.ids
    columns: dict[str, Any] = {}
    if predictions is not None:
        columns["class"] = [name or "no class" for name in predictions.predicted]
        columns[COLUMNS.confidence] = np.round(np.asarray(predictions.confidence, float), 3)
        columns.update(_probabilities(predictions))
        if predictions.sets is not None:
            columns["could be"] = [text or None for text in predictions.could_be]
    area = COLUMNS.area_um2 if table[COLUMNS.area_um2].notna().any() else COLUMNS.area_px
    columns[area] = np.round(table[area].to_numpy(float), 2)
    if COLUMNS.flags in table:
        flags = table[COLUMNS.flags] if predictions is None else predictions.flags(cells)
        columns[COLUMNS.flags] = [text or None for text in flags]
    frame = pd.DataFrame(columns, index=ids)
    top = int(ids[-1]) if len(ids) else 0
    if top <= _DENSE_ROWS or top <= 4 * len(ids):
        frame = frame.reindex(np.arange(top + 1))
        # A row of zeros for the background keeps numeric columns numeric and the table aligned.
    frame.insert(0, "index", frame.index.to_numpy())
    if "class" in frame:
        frame["class"] = pd.Categorical(frame["class"])
    return frame.reset_index(drop=True)


def _probabilities(predictions: Predictions) -> dict[str, Any]:
    scheme, p = predictions.scheme, np.asarray(predictions.probabilities, float)
    if len(scheme) <= _FEW_CLASSES:
        return {f"p {name}": np.round(p[:, k], 3) for k, name in enumerate(scheme.names)}
    second = np.argsort(p, axis=1)[:, -2] if len(p) else np.zeros(0, int)
    return {"next best": [f"{scheme.names[k]} {p[i, k]:.2f}" for i, k in enumerate(second)]}
