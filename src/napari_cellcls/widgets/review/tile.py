"""Paints one tile of the gallery: the cell, a frame in the color of its class, its letter, what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QObject, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPalette, QPen, QPixmap
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_cellcls.review.sheet import FLAGS
from napari_cellcls.widgets.panels.look import ink_on
from napari_cellcls.widgets.review.model import ROW, SECTION
from napari_cellcls.widgets.review.picture import marks_of

if TYPE_CHECKING:
    from napari_cellcls.review.order import Section
    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.widgets.review.crops import Thumbnails

_CAPTION, _GAP = 15, 3
_SIGNS = {"bad_segmentation": "B", "ambiguous": "A", "border": "/"}
_NOBODY = "#8a8a8a"


class TileDelegate(QStyledItemDelegate):
    """Draws tiles of one size."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.edge = 72
        self._sheet: Sheet | None = None
        self._thumbnails: Thumbnails | None = None
        self._classes: tuple[Any, ...] = ()
        self._looks: list[tuple[QColor, QColor, str]] = []
        self._font = QFont()
        self._font.setPixelSize(11)
        self._bold = QFont(self._font)
        self._bold.setBold(True)

    def show(self, sheet: Sheet | None, thumbnails: Thumbnails | None) -> None:
        """Draw the cells of another sheet."""
        self._sheet, self._thumbnails = sheet, thumbnails
        self._classes = ()

    def forget_pictures(self) -> None:
        """Cut pictures again when they are drawn next."""
        if self._thumbnails is not None:
            self._thumbnails.clear()

    def picture(self, row: int) -> QPixmap | None:
        """Return the picture of a cell."""
        return self._thumbnails.of(row) if self._thumbnails is not None else None

    @property
    def size(self) -> QSize:
        """Size of a tile."""
        return QSize(self.edge + 2 * _GAP, self.edge + _CAPTION + 2 * _GAP)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the one size of all tiles."""
        return self.size

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw one tile."""
        sheet = self._sheet
        if painter is None or sheet is None or self._thumbnails is None:
            return
        if self._classes is not sheet.classes:
            self._prepare(sheet)
        painter.save()
        painter.setFont(self._font)
        is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
        section = index.data(SECTION)
        if section is not None:
            self._paint_section(painter, option.rect, section, is_selected)
        else:
            row = index.data(ROW)
            if row is not None and row < len(sheet):
                self._paint_cell(painter, option.rect, sheet, row, is_selected)
        painter.restore()

    def _prepare(self, sheet: Sheet) -> None:
        self._classes = sheet.classes
        marks = marks_of(sheet)
        self._looks = [
            (QColor(one.color), QColor(ink_on(one.color)), mark)
            for one, mark in zip(sheet.classes, marks, strict=True)
        ]

    def _paint_cell(
        self, painter: QPainter, rect: QRect, sheet: Sheet, row: int, is_selected: bool
    ) -> None:
        assert self._thumbnails is not None
        left = rect.x() + (rect.width() - self.edge) // 2
        box = QRect(left, rect.y() + _GAP, self.edge, self.edge)
        if is_selected:
            painter.fillRect(rect, option_palette(self.parent()).highlight())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, self._thumbnails.of(row))
        shown, is_decided = int(sheet.shown[row]), bool(sheet.label[row] >= 0 or sheet.mine[row])
        color, ink, mark = (
            self._looks[shown] if shown >= 0 else (QColor(_NOBODY), QColor("#fff"), "")
        )
        pen = QPen(color, 4 if is_decided else 1.5)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        if sheet.disagreed[row]:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        half = pen.widthF() / 2
        painter.drawRect(QRectF(box).adjusted(half, half, -half, -half))
        if mark:
            self._chip(painter, QRect(box.x(), box.y(), 9 + 8 * len(mark), 15), mark, color, ink)
        signs = [_SIGNS[name] for k, name in enumerate(FLAGS) if int(sheet.flags[row]) >> k & 1]
        if sheet.skipped[row]:
            signs.append("S")
        for k, sign in enumerate(signs):
            place = QRect(box.right() - 16 * (k + 1), box.y(), 15, 15)
            self._chip(painter, place, sign, QColor("#202020"), QColor("#ffffff"))
        below = QRect(box.x(), box.bottom() + 1, box.width(), _CAPTION)
        painter.setPen(QPen(self._text_color()))
        painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), self._caption(sheet, row))

    def _caption(self, sheet: Sheet, row: int) -> str:
        sure = sheet.confidence[row]
        told = "" if sheet.blind or sure != sure else f"{sure:.2f}"
        return f"✓ {told}" if sheet.mine[row] else told

    def _chip(self, painter: QPainter, place: QRect, text: str, color: QColor, ink: QColor) -> None:
        painter.fillRect(place, color)
        painter.setPen(QPen(ink))
        painter.setFont(self._bold)
        painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)
        painter.setFont(self._font)

    def _paint_section(
        self, painter: QPainter, rect: QRect, section: Section, is_selected: bool
    ) -> None:
        assert self._sheet is not None
        color, ink, mark = QColor(_NOBODY), QColor("#ffffff"), "–"
        name = "no class"
        if section.column >= 0:
            color, ink, mark = self._looks[section.column]
            name = self._sheet.classes[section.column].name
        left = rect.x() + (rect.width() - self.edge) // 2
        box = QRect(left, rect.y() + _GAP, self.edge, self.edge + _CAPTION)
        painter.fillRect(box, color)
        painter.setPen(QPen(ink))
        flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
        painter.setFont(self._bold)
        metrics, room = painter.fontMetrics(), box.width() - 6
        right = Qt.TextElideMode.ElideRight
        fitting = " ".join(metrics.elidedText(word, right, room) for word in name.split())
        painter.drawText(box.adjusted(2, 2, -2, -18), flags, f"{mark}\n{fitting}")
        painter.setFont(self._font)
        below = QRect(box.x(), box.bottom() - 18, box.width(), 16)
        painter.drawText(below, flags, f"{section.length:,}")
        if is_selected:
            painter.setPen(QPen(QColor("#ffffff"), 2))
            painter.drawRect(box.adjusted(1, 1, -1, -1))

    def _text_color(self) -> QColor:
        return option_palette(self.parent()).text().color()


def option_palette(view: QObject | None) -> QPalette:
    """Return the colors of the theme."""
    return view.palette() if isinstance(view, QWidget) else QPalette()
