"""How the new model did: the verdict in words, each class before and after, and what to do with it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cellcls.learn.gate import Fall, Verdict
from napari_cellcls.widgets.panels.look import GAP, caption, card_frame, discard, small
from napari_cellcls.widgets.tune.words import SIGNS, class_row, evidence, headline


class VerdictPanel(QWidget):
    """Hidden until there is a verdict.

    Signals
    -------
    use_asked(), keep_asked()
        The new model, or the one before.
    """

    use_asked = Signal()
    keep_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        frame = card_frame(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.sign, self.headline = QLabel("", frame), QLabel("", frame)
        font = self.headline.font()
        font.setBold(True)
        self.headline.setFont(font)
        self.headline.setWordWrap(True)
        self.evidence, self.notes, self.state = (caption("", frame) for _ in range(3))
        self.use_button = QPushButton("&Use it", frame)
        self.keep_button = QPushButton("Keep the &old one", frame)
        self.use_button.clicked.connect(self.use_asked)
        self.keep_button.clicked.connect(self.keep_asked)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(2 * GAP)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        head, buttons = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.headline, 1)
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.keep_button)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(GAP)
        layout.addLayout(head)
        layout.addWidget(self.evidence)
        layout.addLayout(self._grid)
        for widget in (self.notes, self.state):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        self._rows: list[QWidget] = []
        self.hide()

    def show_verdict(self, verdict: Verdict, notes: str, label: str) -> None:
        """Show what can be said of a new version, and let the user choose."""
        sign, color = SIGNS[verdict.word]
        self.sign.setText(f'<span style="color: {color}; font-size: 16px;">{sign}</span>')
        self.sign.setAccessibleName(verdict.word)
        self.headline.setText(headline(verdict))
        self.headline.setToolTip(label)
        self.evidence.setText(evidence(verdict))
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))
        self._fill(verdict.classes)
        self.show()

    def show_choice(self, text: str, *, can_use: bool, can_keep: bool, anyway: bool) -> None:
        """Say which model is in use now, and what can still be chosen."""
        self.state.setText(text)
        self.use_button.setText("&Use it anyway" if anyway else "&Use it")
        self.use_button.setEnabled(can_use)
        self.keep_button.setEnabled(can_keep)
        self.use_button.setToolTip(
            "Take the new model for this project and classify the cells of the window with it"
            if can_use
            else "The new model is in use"
        )
        self.keep_button.setToolTip(
            "Keep the model that was in use before" if can_keep else "The model before is in use"
        )

    def _fill(self, classes: Sequence[Fall]) -> None:
        for widget in self._rows:
            self._grid.removeWidget(widget)
            discard(widget)
        self._rows = []
        if not classes:
            return
        self._row(0, "F1 of each class", "before", "after", "cells")
        for line, one in enumerate(classes, start=1):
            self._row(line, *class_row(one))

    def _row(self, line: int, *texts: str) -> None:
        for column, text in enumerate(texts):
            label = QLabel(text, self)
            label.setFont(small(label.font()))
            if column:
                label.setAlignment(Qt.AlignmentFlag.AlignRight)
            if line == 0:
                label.setEnabled(False)
            self._grid.addWidget(label, line, column)
            self._rows.append(label)
