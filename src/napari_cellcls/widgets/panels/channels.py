"""Which image channel feeds which model input, why, and the user's own choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_cellcls.vocabulary import InputPlane
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import GAP, caption

AUTOMATIC = -1
"""Value of the menu entry that takes the user's choice back."""


class ChannelsPanel(QWidget):
    """One row per model input: its name, a menu of channels, the reason.

    Signals
    -------
    changed(object)
        dict role -> channel index, only the inputs chosen by hand.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.menus: dict[str, Menu] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 0, 0, 4)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[QWidget] = []
        self._shown: tuple[object, ...] = ()

    def show_note(self, text: str) -> None:
        """Show one sentence instead of rows."""
        self._clear()
        self._put(caption(text, self), 0, 0, 2)

    def show_mapping(
        self,
        inputs: Sequence[InputPlane],
        names: Sequence[str],
        indices: Sequence[int | None],
        reasons: Sequence[str],
        overrides: Mapping[str, str | int],
        refusal: str = "",
    ) -> None:
        """Show the mapping.

        Parameters
        ----------
        inputs : sequence of InputPlane
            What the model needs.
        names : sequence of str
            Channels of the image.
        indices, reasons : sequence
            Per input; empty when the mapping failed.
        overrides : mapping
            Inputs chosen by hand.
        refusal : str
            Why there is no mapping.
        """
        shown = (*map(tuple, (inputs, names, indices, reasons)), dict(overrides), refusal)
        if shown == self._shown:
            return  # menus take long to make, and the next version of a model has the same
        self._clear()
        self._shown = shown
        line = 0
        if refusal:
            self._put(caption(refusal, self), 0, 0, 2)
            line = 1
        for k, plane in enumerate(inputs):
            menu = Menu(self)
            options = [Option("automatic", AUTOMATIC, "Choose by name, dye and wavelength")]
            options += [Option(name, i) for i, name in enumerate(names)]
            index = indices[k] if k < len(indices) else None
            menu.fill(options, AUTOMATIC if index is None else index)
            menu.picked.connect(self._on_picked)
            label = QLabel(plane.name + (" (optional)" if plane.optional else ""), self)
            label.setToolTip(f"The model input with the role {plane.role.value}")
            label.setBuddy(menu)
            self._put(label, line, 0)
            self._put(menu, line, 1)
            reason = reasons[k] if k < len(reasons) else ""
            if reason:
                self._put(caption(reason, self), line + 1, 1)
            self.menus[plane.role.value] = menu
            line += 2
        self._overrides = {str(k): v for k, v in overrides.items()}

    def _on_picked(self, index: int) -> None:
        self._shown = ()  # the menu may show something else than the choice now
        chosen = dict(self._overrides)
        for role, menu in self.menus.items():
            if menu is self.sender():
                chosen.pop(role, None)
                if index != AUTOMATIC:
                    chosen[role] = index
        self.changed.emit(chosen)

    def _put(self, widget: QWidget, row: int, column: int, span: int = 1) -> None:
        self._grid.addWidget(widget, row, column, 1, span)
        self._rows.append(widget)
        widget.show()

    def _clear(self) -> None:
        for widget in self._rows:
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._rows, self.menus, self._shown = [], {}, ()
