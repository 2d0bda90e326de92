"""From which probability on a cell gets a class: one number per class."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import ClassScheme
from napari_cellcls.widgets.panels.look import GAP, ClassMark, caption, discard


class ThresholdsPanel(QWidget):
    """A number per class and a button back to the model's own values.

    Signals
    -------
    changed(object)
        tuple of float, one per class.
    reset_asked()
    """

    changed = Signal(object)
    reset_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes: list[QDoubleSpinBox] = []
        self._note = caption("", self)
        self.reset_button = QPushButton("&Reset to the model's own", self)
        self.reset_button.clicked.connect(self.reset_asked)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(12, 0, 0, 4)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(self._note, 0, 0, 1, 3)
        self._rows: list[QWidget] = []

    def show_scheme(self, scheme: ClassScheme | None, values: tuple[float, ...]) -> None:
        """Show one row per class of ``scheme`` with its threshold in 0..1."""
        for widget in self._rows:
            self._grid.removeWidget(widget)
            discard(widget)
        self._rows, self.boxes = [], []
        names = scheme.names if scheme is not None else ()
        self._note.setText(self._explain(scheme))
        self.reset_button.setVisible(bool(names))
        for k, (mark, name) in enumerate(zip(class_marks(names), names)):
            assert scheme is not None
            box = QDoubleSpinBox(self)
            box.setRange(0.0, 1.0)
            box.setSingleStep(0.05)
            box.setDecimals(2)
            box.setKeyboardTracking(False)
            box.setValue(values[k])
            box.setAccessibleName(f"Threshold of {name}")
            box.valueChanged.connect(self._on_changed)
            row = (ClassMark(mark, scheme.classes[k].color, self), QLabel(name, self), box)
            for column, widget in enumerate(row):
                self._grid.addWidget(widget, k + 1, column)
                self._rows.append(widget)
            self.boxes.append(box)
        self._grid.addWidget(self.reset_button, len(names) + 1, 0, 1, 3)

    def set_values(self, values: tuple[float, ...]) -> None:
        """Show other values without emitting."""
        for box, value in zip(self.boxes, values):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)

    def _on_changed(self) -> None:
        self.changed.emit(tuple(box.value() for box in self.boxes))

    @staticmethod
    def _explain(scheme: ClassScheme | None) -> str:
        if scheme is None:
            return "This model has no classes."
        if scheme.multi_label:
            return "A cell gets every class whose probability reaches the number."
        return "A cell gets the class that exceeds its number by the largest factor, or none."
