"""The four choices at the top of the dock: image, cells, model, device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_cellcls.widgets.panels.look import GAP


@dataclass(frozen=True)
class Option:
    """One entry of a menu. ``why_not`` disables it and says why in its tooltip."""

    text: str
    value: Any
    tip: str = ""
    why_not: str = ""


class Menu(QComboBox):
    """A combo box over :class:`Option` values; emits only what the user picks."""

    picked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options: tuple[Option, ...] = ()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.activated.connect(self._on_activated)

    def fill(self, options: Sequence[Option], current: Any, *, empty: str = "") -> None:
        """Show ``options`` with ``current`` selected; ``empty`` is the text when there are none."""
        self._options = tuple(options)
        self.clear()
        for row, option in enumerate(self._options):
            self.addItem(option.text)
            self.setItemData(row, option.why_not or option.tip, Qt.ItemDataRole.ToolTipRole)
            item = self.model().item(row)
            item.setEnabled(not option.why_not)
        self.setEnabled(bool(options))
        if not options:
            self.addItem(empty)
        self.select(current)

    def select(self, value: Any) -> None:
        """Select the option with this value (compared with ==) without emitting."""
        rows = [i for i, option in enumerate(self._options) if option.value == value]
        self.setCurrentIndex(rows[0] if rows else (0 if not self._options else -1))
        self._show_tip()

    @property
    def value(self) -> Any:
        """The value selected, None when nothing is."""
        row = self.currentIndex()
        return self._options[row].value if 0 <= row < len(self._options) else None

    @property
    def options(self) -> tuple[Option, ...]:
        """What the menu offers."""
        return self._options

    def _show_tip(self) -> None:
        row = self.currentIndex()
        option = self._options[row] if 0 <= row < len(self._options) else None
        self.setToolTip(option.tip if option is not None else self.currentText())

    def _on_activated(self, row: int) -> None:
        if 0 <= row < len(self._options):
            self._show_tip()
            self.picked.emit(self._options[row].value)


class InputsPanel(QWidget):
    """Image, cells, model and device, each with a mnemonic.

    Signals
    -------
    image_picked(object), cells_picked(object), model_picked(object), engine_picked(object)
        The value of the option.
    find_asked()
        Look for the cells (again).
    card_asked()
        Show the model card.
    """

    find_asked = Signal()
    card_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image, self.cells, self.model, self.device = (Menu(self) for _ in range(4))
        self.image_picked, self.cells_picked = self.image.picked, self.cells.picked
        self.model_picked, self.engine_picked = self.model.picked, self.device.picked
        self.find_button = self._tool("⟳", "Find the cells again (Alt+F)", "Alt+F")
        self.find_button.clicked.connect(self.find_asked)
        self.card_button = self._tool("i", "Show the model card (Alt+I)", "Alt+I")
        self.card_button.clicked.connect(self.card_asked)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(GAP)
        rows = (
            ("I&mage", self.image, None),
            ("Ce&lls", self.cells, self.find_button),
            ("M&odel", self.model, self.card_button),
            ("&Device", self.device, None),
        )
        for row, (text, menu, button) in enumerate(rows):
            label = QLabel(text, self)
            label.setBuddy(menu)
            grid.addWidget(label, row, 0)
            grid.addWidget(menu, row, 1, 1, 1 if button else 2)
            if button:
                grid.addWidget(button, row, 2)
        grid.setColumnStretch(1, 1)

    def set_find_state(self, why_not: str) -> None:
        """Enable *find again*, or say why it is not possible."""
        self.find_button.setEnabled(not why_not)
        self.find_button.setToolTip(why_not or "Find the cells again (Alt+F)")

    def set_card_state(self, why_not: str) -> None:
        """Enable the card button, or say why there is no card."""
        self.card_button.setEnabled(not why_not)
        self.card_button.setToolTip(why_not or "Show the model card (Alt+I)")

    def _tool(self, text: str, tip: str, shortcut: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setToolTip(tip)
        button.setShortcut(shortcut)
        button.setFixedSize(28, 26)
        return button
