"""The list of labels that a new segmentation has no single cell for: one line each, a click goes there."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.widgets.panels.look import GAP, caption
from napari_cellcls.widgets.review.rendering import LeftoverLine

_LINES = 4


class CarriedPanel(QWidget):
    """A button that takes labels over, and the list of those it cannot take.

    Signals
    -------
    carry_asked()
    picked(str), aside_asked(str)
        The id of an old cell.
    """

    carry_asked = Signal()
    picked = Signal(str)
    aside_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("", self)
        self.button.setToolTip(
            "Cells whose outlines agree keep their labels; splits, merges and losses are listed"
        )
        self.button.clicked.connect(self.carry_asked)
        self.head = caption("", self)
        self.list = QListWidget(self)
        self.list.setAccessibleName("Labels that were not taken over")
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.currentItemChanged.connect(self._on_item)
        self.list.itemClicked.connect(self._on_item)
        self.aside = QPushButton("Set aside", self)
        self.aside.clicked.connect(self._on_aside)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        line.addWidget(self.head, 1)
        line.addWidget(self.aside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.button)
        layout.addLayout(line)
        layout.addWidget(self.list)
        self._quiet = False
        self.offer(0)
        self.show_lines("", (), None, "")

    def offer(self, keepable: int) -> None:
        """Offer to take over so many labels; none: offer nothing."""
        cells = "1 cell has its label" if keepable == 1 else f"{keepable:,} cells have labels"
        self.button.setText(f"{cells} on another segmentation: take over")
        self.button.setVisible(keepable > 0)
        self._fit()

    def show_lines(
        self, head: str, lines: Sequence[LeftoverLine], current: str | None, why_not: str
    ) -> None:
        """Show these entries; ``why_not`` says why none can be set aside (empty: they can)."""
        self._quiet = True
        self.list.clear()
        for line in lines:
            item = QListWidgetItem(_chip(line.color), line.text)
            item.setToolTip(line.tip)
            item.setData(Qt.ItemDataRole.UserRole, line.cell_id)
            self.list.addItem(item)
            if line.cell_id == current:
                self.list.setCurrentItem(item)
        self._quiet = False
        self.head.setText(head)
        for part in (self.head, self.list, self.aside):
            part.setVisible(bool(lines))
        height = self.list.sizeHintForRow(0) if lines else 0
        self.list.setFixedHeight(min(len(lines), _LINES) * height + 2 * self.list.frameWidth())
        self._why_not = why_not
        self._show_possible()
        self._fit()

    def choose(self, cell_id: str | None) -> None:
        """Mark an entry without saying so."""
        self._quiet = True
        self.list.setCurrentItem(None)
        for row in range(self.list.count()):
            if self.list.item(row).data(Qt.ItemDataRole.UserRole) == cell_id:
                self.list.setCurrentRow(row)
        self._quiet = False
        self._show_possible()

    def _fit(self) -> None:
        self.setVisible(not self.button.isHidden() or self.list.count() > 0)

    def _show_possible(self) -> None:
        why_not = self._why_not or ("" if self.list.currentItem() else "Click an entry first.")
        self.aside.setEnabled(not why_not)
        self.aside.setToolTip(
            why_not
            or "Take this entry off the list: nothing is to be decided here. The old label stays "
            "with its old outline. Ctrl+Z brings the entry back."
        )

    def _on_item(self, item: QListWidgetItem | None, _before: object = None) -> None:
        self._show_possible()
        if item is not None and not self._quiet:
            self.picked.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def _on_aside(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.aside_asked.emit(str(item.data(Qt.ItemDataRole.UserRole)))


def _chip(color: str) -> QIcon:
    chip = QPixmap(12, 12)
    chip.fill(QColor(color) if color else Qt.GlobalColor.transparent)
    return QIcon(chip)
