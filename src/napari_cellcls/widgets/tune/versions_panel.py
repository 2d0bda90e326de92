"""The versions of the project's model: which one is in use, back to the one before, delete what nobody used."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.widgets.panels.look import GAP, small

_SHOWN = 6


class VersionsPanel(QWidget):
    """A list with three buttons.

    Signals
    -------
    roll_back_asked(), delete_asked()
    use_asked(str)
        ``name@version``; "" for the released model.
    """

    roll_back_asked = Signal()
    delete_asked = Signal()
    use_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget(self)
        self.list.setFont(small(self.list.font()))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setAccessibleName("Versions of the model")
        self.list.itemSelectionChanged.connect(self._on_selected)
        self.list.itemDoubleClicked.connect(self._on_use)
        self.back_button = QPushButton("Roll &back", self)
        self.use_button = QPushButton("Use &selected", self)
        self.delete_button = QPushButton("&Delete unused", self)
        self.back_button.clicked.connect(self.roll_back_asked)
        self.use_button.clicked.connect(self._on_use)
        self.delete_button.clicked.connect(self.delete_asked)
        self.delete_button.setToolTip("Delete versions that were never in use and never shown")
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        for button in (self.back_button, self.use_button, self.delete_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 4)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self._labels: tuple[str, ...] = ()
        self.show_versions((), (), 0, "There is no project.")

    @property
    def labels(self) -> tuple[str, ...]:
        """The versions shown; "" is the released model."""
        return self._labels

    def show_versions(
        self,
        labels: Sequence[str],
        lines: Sequence[tuple[str, str]],
        current: int,
        why_no_back: str,
    ) -> None:
        """Show versions with their tooltips; ``current`` is the row in use."""
        self._labels = tuple(labels)
        self.list.clear()
        for text, tip in lines:
            item = QListWidgetItem(text)
            item.setToolTip(tip)
            if self.list.count() == current:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.list.addItem(item)
        rows = max(1, min(len(lines), _SHOWN))
        height = self.list.sizeHintForRow(0) if lines else self.list.fontMetrics().height() + 4
        self.list.setFixedHeight(rows * height + 2 * self.list.frameWidth() + 2)
        self.back_button.setEnabled(not why_no_back)
        self.back_button.setToolTip(why_no_back or "Use the version that was in use before")
        self.delete_button.setEnabled(len(labels) > 1)
        self._on_selected()

    def _on_selected(self) -> None:
        row = self.list.currentRow() if self.list.selectedItems() else -1
        self.use_button.setEnabled(0 <= row < len(self._labels))
        self.use_button.setToolTip(
            "Use the version selected" if self.use_button.isEnabled() else "Select a version first"
        )

    def _on_use(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._labels):
            self.use_asked.emit(self._labels[row])
