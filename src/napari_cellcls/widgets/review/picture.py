"""What is drawn over the image while cells are reviewed, as plain arrays. No Qt, no napari.

One uint8 raster: a thin outline in the color of its predicted class for each cell, a thick one in that
of its label for a decided cell, dashed where people disagree. So a decision shows without color, and
changing it touches the pixels of one cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.marks import class_marks
from napari_cellcls.review.sheet import Sheet
from napari_cellcls.vocabulary import COLUMNS, CellClass, ClassScheme
from napari_cellcls.widgets import drawing

_MOST_PIXELS = 1 << 28
_MOST_LETTERS = 2_000
_MOST_CLASSES = 250
FRAME_COLOR = "#ff4dff"

Box: TypeAlias = tuple[int, int, int, int]
"""``y0, x0, y1, x1``, half-open, pixels."""


@dataclass(frozen=True, eq=False)
class Strokes:
    """Where lines can run, whatever the classes: computed once per segmentation.

    Attributes
    ----------
    labels : numpy.ndarray
        ``(Y, X)``.
    thin, thick, dashes : numpy.ndarray
        ``(Y, X)`` bool: outlines of predictions, of decisions, of disagreements.
    letters : bool
        Whether cells carry the letters of their classes.
    coarse : float
        See ``drawing.coarseness``.
    """

    labels: np.ndarray
    thin: np.ndarray
    thick: np.ndarray
    dashes: np.ndarray
    letters: bool
    coarse: float

    @classmethod
    def of(cls, cells: Cells, width: int = 3, letters: bool = True) -> Strokes | None:
        """Return the strokes of cells, None where the image is too large to draw on at once."""
        if cells.labels.size > _MOST_PIXELS or not len(cells):
            return None
        labels = np.asarray(cells.labels)
        coarse = drawing.coarseness(cells)
        wanted = int(np.clip(round(0.05 * _edge(cells)), 1, max(round(width * coarse), 1)))
        thick = drawing.inner_outline(labels, 2 * wanted)
        few = letters and len(cells) <= _MOST_LETTERS
        thin = drawing.inner_outline(labels, wanted)
        return cls(labels, thin, thick, drawing.dashed(thick), few, coarse)


def codes_of(sheet: Sheet) -> np.ndarray:
    """Return the number drawn for each cell, uint8: class 1..P, P + 1 no class, P + 2 not known."""
    count = min(len(sheet.classes), _MOST_CLASSES)
    shown = np.minimum(sheet.shown, count - 1).astype(np.int64)
    knows = sheet.opinion is not None and not sheet.blind
    nothing = np.where(sheet.mine | knows, count + 1, count + 2)
    return np.where(shown >= 0, shown + 1, nothing).astype(np.uint8)


def colors_of(sheet: Sheet, on_light: bool) -> dict[int | None, Any]:
    """Return number -> color."""
    return drawing.color_table(scheme_of(sheet), on_light) | {frame_code(sheet): FRAME_COLOR}


def frame_code(sheet: Sheet) -> int:
    """Return the number of the frame around the cell at hand."""
    return len(scheme_of(sheet)) + 4


def frame(strokes: Strokes, box: Box) -> tuple[np.ndarray, ...]:
    """Return the pixels of a square frame around a box, ``(y, x)``, as far as it is in the image."""
    y0, x0, y1, x1 = box
    width = max(round(max(y1 - y0, x1 - x0) / 40), round(strokes.coarse), 1)
    half = round(0.62 * max(y1 - y0, x1 - x0)) + width + 1
    cy, cx = (y0 + y1) // 2, (x0 + x1) // 2
    square = np.ones((2 * half, 2 * half), bool)
    square[width:-width, width:-width] = False
    y, x = np.nonzero(square)
    y, x = y + cy - half, x + cx - half
    height, length = strokes.labels.shape
    inside = (y >= 0) & (x >= 0) & (y < height) & (x < length)
    return y[inside], x[inside]


def scheme_of(sheet: Sheet) -> ClassScheme:
    """Return the classes of a project as a scheme."""
    return ClassScheme(tuple(CellClass(c.id, c.name, c.color) for c in sheet.classes))


def marks_of(sheet: Sheet) -> tuple[str, ...]:
    """Return the letter of each class."""
    return class_marks(tuple(one.name for one in sheet.classes))


def raster(sheet: Sheet, strokes: Strokes) -> np.ndarray:
    """Return the whole picture, ``(Y, X)`` uint8."""
    cells, codes = sheet.cells, codes_of(sheet)
    drawn = np.zeros(strokes.labels.shape, np.uint8)
    _draw(drawn, strokes.thin, cells, codes)
    judged = decided(sheet)
    if judged.any():
        _draw(drawn, strokes.thick, cells, np.where(judged, codes, 0).astype(np.uint8))
        if sheet.disagreed.any():
            gaps = strokes.thick & ~strokes.dashes
            gaps[gaps] = drawing.lookup(
                strokes.labels[gaps], cells.ids, sheet.disagreed.astype(np.uint8)
            ).astype(bool)
            drawn[gaps] = 0
    if strokes.letters:
        drawing.write_marks(drawn, cells, codes, marks_of(sheet), strokes.coarse)
    return drawn


def decided(sheet: Sheet) -> np.ndarray:
    """Return which cells have a thick outline: somebody's decision is shown, ``(N,)`` bool."""
    return np.asarray(sheet.mine | (sheet.judged != 0).any(axis=1))


def patch(sheet: Sheet, strokes: Strokes, row: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return the pixels of one cell, ``(y, x)``, and what they are drawn as now, uint8."""
    y0, x0, y1, x1 = sheet.boxes[row].tolist()
    window = (slice(y0, y1), slice(x0, x1))
    inside = strokes.labels[window] == sheet.cells.ids[row]
    code = int(codes_of_row(sheet, row))
    part = np.zeros(inside.shape, np.uint8)
    if bool(sheet.mine[row]) or bool(sheet.judged[row].any()):
        lines = strokes.dashes if sheet.disagreed[row] else strokes.thick
    else:
        lines = strokes.thin
    part[lines[window] & inside] = code
    marks = marks_of(sheet)
    if strokes.letters and 1 <= code <= len(marks):
        drawing.write_mark(part, inside, code, marks[code - 1], strokes.coarse)
    y, x = np.nonzero(inside)
    return (y + y0, x + x0), part[inside]


def codes_of_row(sheet: Sheet, row: int) -> int:
    """Return the number drawn for one cell."""
    count = min(len(sheet.classes), _MOST_CLASSES)
    shown = int(sheet.shown[row])
    if shown >= 0:
        return min(shown, count - 1) + 1
    knows = sheet.opinion is not None and not sheet.blind
    return count + 1 if sheet.mine[row] or knows else count + 2


def _draw(drawn: np.ndarray, where: np.ndarray, cells: Cells, codes: np.ndarray) -> None:
    values = drawing.lookup(np.asarray(cells.labels)[where], cells.ids, codes)
    drawn[where] = np.where(values > 0, values, drawn[where])


def _edge(cells: Cells) -> float:
    y0, x0, y1, x1 = (cells.table[name].to_numpy(float) for name in COLUMNS.bbox)
    return float(np.median(np.minimum(y1 - y0, x1 - x0)))
