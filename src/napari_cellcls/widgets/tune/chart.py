"""The curve of a training: loss and macro F1 by epoch, painted by hand; no plotting library is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cellcls.learn.deep import Point
from napari_cellcls.widgets.panels.look import small

LOSS, SCORE = QColor("#e69f00"), QColor("#56b4e9")
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 34, 22, 20


class Curve(QWidget):
    """Loss falls on the left axis, macro F1 rises on the right one (0 to 1)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points: tuple[Point, ...] = ()
        self.epochs = -1
        self.setFont(small(self.font()))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Loss and macro F1 by epoch")
        self.show_points((), 0)

    def sizeHint(self) -> QSize:
        """Return a flat picture."""
        return QSize(320, 150)

    def minimumSizeHint(self) -> QSize:
        """Return the smallest picture that can be read."""
        return QSize(200, 150)

    def show_points(self, points: Sequence[Point], epochs: int) -> None:
        """Show the epochs so far, with room for ``epochs``."""
        wanted = tuple(points), max(epochs, len(points))
        if wanted == (self.points, self.epochs):
            return  # drawing the same again costs a frame of the whole window
        self.points, self.epochs = wanted
        side = "on images that only check it" if self._validated else "on what it learns from"
        self.setToolTip(f"After each epoch, {side}")
        self.update()

    @property
    def _validated(self) -> bool:
        return any(one.val_loss is not None for one in self.points)

    def losses(self) -> list[float]:
        """Return what is drawn as loss."""
        return [one.loss if one.val_loss is None else one.val_loss for one in self.points]

    def scores(self) -> list[float]:
        """Return what is drawn as macro F1."""
        return [
            one.macro_f1 if one.val_macro_f1 is None else one.val_macro_f1 for one in self.points
        ]

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw axes, both lines, and the last numbers."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        faint = QColor(ink)
        faint.setAlpha(60)
        painter.setPen(QPen(faint, 1))
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        losses, scores = self.losses(), self.scores()
        top = _ceiling(max(losses, default=1.0))
        self._mark(painter, area, top, ink)
        if not self.points:
            painter.setPen(ink)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "the first epoch is on its way")
            return
        self._line(painter, area, [v / top for v in losses], LOSS)
        self._line(painter, area, scores, SCORE)

    def _mark(self, painter: QPainter, area: QRectF, top: float, ink: QColor) -> None:
        losses, scores = self.losses(), self.scores()
        left, right = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft
        middle = Qt.AlignmentFlag.AlignVCenter
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.setPen(LOSS)
            painter.drawText(QRectF(0, y - 8, _LEFT - 5, 16), left | middle, f"{share * top:.2g}")
            painter.setPen(SCORE)
            beside = QRectF(area.right() + 5, y - 8, _RIGHT - 5, 16)
            painter.drawText(beside, right | middle, f"{share:g}")
        head = QRectF(area.left(), 0, area.width(), _TOP - 2)
        painter.setPen(LOSS)
        painter.drawText(head, right | middle, f"loss {losses[-1]:.3f}" if losses else "loss")
        painter.setPen(SCORE)
        painter.drawText(
            head, left | middle, f"macro F1 {scores[-1]:.3f}" if scores else "macro F1"
        )
        painter.setPen(ink)
        foot = QRectF(area.left(), area.bottom() + 2, area.width(), _BOTTOM - 2)
        text = f"epoch {len(self.points)} of {self.epochs}" if self.epochs else "epoch"
        painter.drawText(foot, Qt.AlignmentFlag.AlignCenter, text)

    def _line(
        self, painter: QPainter, area: QRectF, shares: Sequence[float], color: QColor
    ) -> None:
        steps = max(self.epochs - 1, 1)
        spots = [
            QPointF(
                area.left() + k / steps * area.width(),
                area.bottom() - min(max(share, 0.0), 1.0) * area.height(),
            )
            for k, share in enumerate(shares)
        ]
        painter.setPen(QPen(color, 2))
        painter.drawPolyline(QPolygonF(spots))
        painter.setBrush(color)
        painter.drawEllipse(spots[-1], 3, 3)


def _ceiling(value: float) -> float:
    """Return a round number not below ``value``."""
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
        if value <= step:
            return step
    return float(value)
