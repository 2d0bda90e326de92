"""Small pictures of cells for the gallery: cut from the raw channels when asked for, a few thousand kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtGui import QImage, QPixmap

from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.image import Image
    from napari_cellcls.widgets.review.subject import Subject

_KEPT = 4000
_ROOM = 1.35
_OUTSIDE = 40


class Cutter:
    """Cuts one cell after the other, all at the same scale but for the few that are far larger.

    Parameters
    ----------
    image : Image
    cells : Cells
    limits : numpy.ndarray
        ``(C, 2)`` black and white per channel.
    """

    def __init__(self, image: Image, cells: Cells, limits: np.ndarray) -> None:
        self.image = image
        self._boxes = cells.table[list(COLUMNS.bbox)].to_numpy(np.int64)
        edges = np.maximum(
            self._boxes[:, 2] - self._boxes[:, 0], self._boxes[:, 3] - self._boxes[:, 1]
        )
        usual = float(np.percentile(edges, 75)) if len(edges) else 1.0
        self._edges = np.ceil(_ROOM * np.maximum(edges, usual)).astype(np.int64)
        self._labels, self._ids = cells.labels, cells.ids
        self._black = limits[:, 0].astype(np.float32)
        spread = limits[:, 1] - limits[:, 0]
        scale = np.divide(255.0, spread, out=np.zeros(len(spread)), where=spread > 0)
        self._scale = scale.astype(np.float32)
        self._tints = np.array([_rgb(c.color) for c in image.channels], np.float32) / 255
        if image.is_rgb:
            self._tints = np.eye(3, dtype=np.float32)

    def cut(self, row: int) -> np.ndarray:
        """Return a square ``(S, S, 3)`` uint8 around a cell; gray beyond the image."""
        y0, x0, y1, x1 = self._boxes[row]
        edge = int(self._edges[row])
        top, left = int(y0 + y1 - edge) // 2, int(x0 + x1 - edge) // 2
        height, width = self.image.shape
        a, b = max(top, 0), min(top + edge, height)
        c, d = max(left, 0), min(left + edge, width)
        out = np.full((edge, edge, 3), _OUTSIDE, np.uint8)
        if b > a and d > c:
            planes = np.asarray(self.image.data[:, a:b, c:d])
            part = self._colored(planes)
            if isinstance(self._labels, np.ndarray):
                others = self._labels[a:b, c:d] != self._ids[row]
                part = np.where(others[..., None], self._faded(part), part)
            out[a - top : b - top, c - left : d - left] = part
        return out

    def _faded(self, part: np.ndarray) -> np.ndarray:
        """Return what is around the cell, so pale that the cell itself is plain."""
        paper = 150 if self.image.is_rgb else 0
        return (paper + 0.4 * part.astype(np.float32)).clip(0, 255).astype(np.uint8)

    def _colored(self, planes: np.ndarray) -> np.ndarray:
        if self.image.is_rgb and planes.dtype == np.uint8:
            return planes.transpose(1, 2, 0)
        values = planes.astype(np.float32) - self._black[:, None, None]
        values *= self._scale[:, None, None]
        if planes.dtype.kind == "f":
            np.nan_to_num(values, copy=False)
        np.clip(values, 0, 255, out=values)
        mixed = np.tensordot(values, self._tints, axes=(0, 0))
        return np.clip(mixed, 0, 255).astype(np.uint8)


class Thumbnails:
    """Pixmaps of the cells of one subject, the latest few thousand.

    Parameters
    ----------
    subject : Subject
    """

    def __init__(self, subject: Subject) -> None:
        self._cutter = Cutter(subject.image, subject.sheet.cells, subject.limits)
        self._kept: OrderedDict[int, QPixmap] = OrderedDict()

    def clear(self) -> None:
        """Forget all pictures."""
        self._kept.clear()

    def of(self, row: int) -> QPixmap:
        """Return the picture of a cell."""
        found = self._kept.get(row)
        if found is not None:
            self._kept.move_to_end(row)
            return found
        found = QPixmap.fromImage(to_qimage(self._cutter.cut(row)))
        self._kept[row] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def to_qimage(rgb: np.ndarray) -> QImage:
    """Return ``(Y, X, 3)`` uint8 as an image of its own memory."""
    rgb = np.ascontiguousarray(rgb)
    height, width = rgb.shape[:2]
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
