"""The input card: exactly what the network sees for the cell under the cursor."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.widgets.panels.look import GAP, caption, card_frame, small
from napari_cellcls.widgets.preview import CropView

_COMPOSITE = 112
_PLANE = 54
_COLUMNS = 4


def pixmap(array: np.ndarray, edge: int) -> QPixmap:
    """Return an ``edge`` x ``edge`` pixmap of a uint8 array ``(Y, X)`` or ``(Y, X, 3)``."""
    array = np.ascontiguousarray(array)
    gray = array.ndim == 2
    kind = QImage.Format.Format_Grayscale8 if gray else QImage.Format.Format_RGB888
    height, width = array.shape[:2]
    image = QImage(array.data, width, height, width * (1 if gray else 3), kind).copy()
    return QPixmap.fromImage(image).scaled(
        QSize(edge, edge),
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


class InputCard(QWidget):
    """Composite and planes with their roles, scale, normalization, and the verdict on the cell.

    Signals
    -------
    evidence_asked()
        Where in this cell does the evidence lie?
    """

    evidence_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view: CropView | None = None
        self.title = QLabel("What the model sees", self)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.composite = QLabel(self)
        self.composite.setFixedSize(_COMPOSITE, _COMPOSITE)
        self.composite.setAccessibleName("Network input, composite")
        self.verdict, self.scale, self.treatment = (caption("", self) for _ in range(3))
        self.evidence = QPushButton("Show where", self)
        self.evidence.setToolTip(
            "Cover this cell place by place and ask the model again: on which parts does its class "
            "hang? Red speaks for it, blue against it."
        )
        self.evidence.clicked.connect(self.evidence_asked)
        self.evidence.hide()
        self._planes = QGridLayout()
        self._planes.setSpacing(4)
        self._cells: list[tuple[QLabel, QLabel]] = []
        self._build()

    def _build(self) -> None:
        frame = card_frame(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        inner = QVBoxLayout(frame)
        inner.setContentsMargins(8, 6, 8, 8)
        inner.setSpacing(GAP)
        inner.addWidget(self.title)
        words = QVBoxLayout()
        words.setSpacing(GAP)
        for label in (self.verdict, self.scale, self.treatment):
            words.addWidget(label)
        words.addWidget(self.evidence, 0, Qt.AlignmentFlag.AlignLeft)
        words.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.composite, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)
        inner.addLayout(top)
        inner.addLayout(self._planes)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def show_reason(self, text: str) -> None:
        """Say why there is nothing to see."""
        self.view = None
        self.title.setText("What the model sees")
        self.verdict.setText(text)
        self.scale.clear()
        self.treatment.clear()
        self.composite.clear()
        self.composite.hide()
        self.evidence.hide()
        self._set_planes(0)

    def show_view(self, view: CropView) -> None:
        """Show the network input of one cell."""
        self.view = view
        self.title.setText(f"What the model sees: cell {view.label}")
        self.composite.show()
        self.composite.setPixmap(pixmap(view.composite(), _COMPOSITE))
        self.verdict.setText(view.verdict)
        self.evidence.setVisible(view.classified)
        self.scale.setText(view.scale)
        self.treatment.setText(view.treatment)
        self._set_planes(view.planes.shape[-1])
        for k, (picture, name) in enumerate(self._cells):
            picture.setPixmap(pixmap(view.plane(k), _PLANE))
            full = view.names[k] if k < len(view.names) else ""
            name.setText(full.split(" ← ")[0] or f"plane {k + 1}")
            picture.setToolTip(full)
            name.setToolTip(full)

    def _set_planes(self, count: int) -> None:
        while len(self._cells) > count:
            for label in self._cells.pop():
                self._planes.removeWidget(label)
                label.deleteLater()
        while len(self._cells) < count:
            k = len(self._cells)
            picture, name = QLabel(self), caption("", self)
            picture.setFixedSize(_PLANE, _PLANE)
            name.setAlignment(Qt.AlignmentFlag.AlignTop)
            name.setFont(small(self.font(), 0.8))
            name.setIndent(0)
            name.setWordWrap(False)
            name.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
            row, column = divmod(k, _COLUMNS)
            self._planes.addWidget(picture, 2 * row, column, Qt.AlignmentFlag.AlignLeft)
            self._planes.addWidget(name, 2 * row + 1, column)
            self._cells.append((picture, name))
        for column in range(_COLUMNS):
            self._planes.setColumnStretch(column, 1)
