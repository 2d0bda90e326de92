"""A scatter of all cells: one small square each, drawn in one go; a click picks, a drag is a lasso."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cellcls.review.embedding_map import in_lasso
from napari_cellcls.widgets.review.crops import to_qimage

_MARGIN, _NEAR, _STILL = 8, 14, 4
_MANY = 2_000
_FRAME = QColor("#ff4dff")


class Scatter(QWidget):
    """Points with colors.

    Signals
    -------
    picked(int)
        The row clicked.
    lassoed(object)
        Rows in the lasso, int64.
    """

    picked = Signal(int)
    lassoed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points = np.zeros((0, 2), np.float32)
        self._colors = np.zeros((0, 3), np.uint8)
        self._strong = np.zeros(0, bool)
        self._places = np.zeros((0, 2))
        self._image: np.ndarray | None = None
        self._path: list[QPointF] = []
        self.current: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(220)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Map of the cells by likeness")
        self.setToolTip("Click a cell to go there; draw a line around cells to see only those")

    def show_points(self, points: np.ndarray) -> None:
        """Show other points ``(N, 2)``; :meth:`recolor` follows."""
        self._points = np.asarray(points, np.float32)
        self._colors = np.full((len(points), 3), 138, np.uint8)
        self._strong = np.zeros(len(points), bool)
        self._place()

    def recolor(self, colors: np.ndarray, strong: np.ndarray) -> None:
        """Give points colors ``(N, 3)`` uint8; strong ones are drawn larger and on top."""
        if len(colors) == len(self._points):
            self._colors, self._strong = colors, strong
            self._image = None
            self.update()

    def set_current(self, row: int | None) -> None:
        """Put a ring around a point."""
        self.current = row
        self.update()

    def place_of(self, row: int) -> QPointF:
        """Return where a point is in the widget."""
        x, y = self._places[row]
        return QPointF(float(x), float(y))

    def sizeHint(self) -> QSize:
        """Return a square that fits the dock."""
        return QSize(320, 260)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Spread the points anew."""
        super().resizeEvent(event)
        self._place()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw points, ring and lasso."""
        painter = QPainter(self)
        if self._image is None:
            self._image = self._drawn()
        painter.drawImage(0, 0, to_qimage(self._image))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.current is not None and self.current < len(self._places):
            painter.setPen(QPen(_FRAME, 2))
            painter.drawEllipse(self.place_of(self.current), 7, 7)
        if len(self._path) > 1:
            painter.setPen(QPen(QColor("#ffffff"), 1, Qt.PenStyle.DashLine))
            painter.drawPolygon(QPolygonF(self._path))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Begin a click or a lasso."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._path = [event.position()]

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Draw the lasso on."""
        if event is not None and self._path:
            self._path.append(event.position())
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Pick the nearest cell, or those in the lasso."""
        path, self._path = self._path, []
        self.update()
        if event is None or not path or not len(self._places):
            return
        corners = np.array([(p.x(), p.y()) for p in [*path, event.position()]])
        if float(np.ptp(corners, axis=0).max()) <= _STILL:
            distance = np.hypot(*(self._places - corners[0]).T)
            row = int(distance.argmin())
            if distance[row] <= _NEAR:
                self.picked.emit(row)
            return
        rows = in_lasso(self._places, corners)
        if len(rows):
            self.lassoed.emit(rows)

    def _place(self) -> None:
        self._image = None
        self._places = np.zeros((0, 2))
        if len(self._points):
            # A single far cell must not press all others into one corner.
            low, high = np.percentile(self._points, [0.2, 99.8], axis=0)
            share = (self._points - low) / np.maximum(high - low, 1e-9)
            size = np.array([self.width(), self.height()]) - 2 * _MARGIN
            self._places = _MARGIN + np.clip(share, 0, 1) * (1, -1) * size + (0, 1) * size
        self.update()

    def _drawn(self) -> np.ndarray:
        height, width = max(self.height(), 1), max(self.width(), 1)
        canvas = np.full((height, width, 3), 30, np.uint8)
        x, y = np.round(self._places).astype(np.int64).T
        small = 1 if len(x) > _MANY else 2
        weak, strong = np.flatnonzero(~self._strong), np.flatnonzero(self._strong)
        for rows, reach in ((weak, small), (strong, small + 1)):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    at_y = np.clip(y[rows] + dy, 0, height - 1)
                    at_x = np.clip(x[rows] + dx, 0, width - 1)
                    canvas[at_y, at_x] = self._colors[rows]
        return canvas
