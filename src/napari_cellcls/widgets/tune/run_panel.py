"""Quick or deep, start and cancel, how far it is, and the curve of a deep training."""

from __future__ import annotations

import time

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.vocabulary import Progress
from napari_cellcls.widgets.pace import Pace
from napari_cellcls.widgets.panels.look import GAP, caption
from napari_cellcls.widgets.panels.run import time_left
from napari_cellcls.widgets.tune.chart import Curve
from napari_cellcls.widgets.tune.words import DEEP, QUICK


class TuneRunPanel(QWidget):
    """What runs.

    Signals
    -------
    start_asked(), cancel_asked()
    way_changed()
        Quick or deep.
    """

    start_asked = Signal()
    cancel_asked = Signal()
    way_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.quick, self.deep = QRadioButton("&Quick", self), QRadioButton("D&eep", self)
        self.quick.setToolTip(QUICK)
        self.deep.setToolTip(DEEP)
        self.quick.setChecked(True)
        self.quick.toggled.connect(self._on_way)
        self.about = caption(QUICK, self)
        self.keep_going = QCheckBox("&Keep training when the window closes", self)
        self.keep_going.setToolTip("The next window takes the training up again")
        self.start_button = QPushButton("&Fine-tune", self)
        font = self.start_button.font()
        font.setBold(True)
        self.start_button.setFont(font)
        self.cancel_button = QPushButton("Ca&ncel", self)
        self.start_button.clicked.connect(self.start_asked)
        self.cancel_button.clicked.connect(self.cancel_asked)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.status, self.curve = caption("", self), Curve(self)
        self._lay_out()
        self._why_not, self._begun, self._first = "", 0.0, 0
        self._pace = Pace(self._show_step, self)
        self._on_way()
        self.set_idle()

    @property
    def is_deep(self) -> bool:
        """Whether the whole network shall learn."""
        return bool(self.deep.isChecked())

    def set_ready(self, why_not: str) -> None:
        """Enable *Fine-tune*, or say why it cannot start."""
        self._why_not = why_not
        if not self.cancel_button.isEnabled():
            self.start_button.setEnabled(not why_not)
            self.start_button.setToolTip(why_not or "Learn from the labels (Alt+F)")

    def set_running(self, text: str) -> None:
        """Show that something runs."""
        self._begun, self._first = 0.0, 0
        self._pace.forget()
        self.start_button.setEnabled(False)
        self.start_button.setToolTip("Wait for the run to end, or cancel it first.")
        self.cancel_button.setEnabled(True)
        self.cancel_button.setToolTip("Stop now; the model in use stays as it is (Alt+N)")
        self.bar.setRange(0, 1)
        self.bar.setValue(0)
        self.bar.show()
        self.status.setText(text)
        self.status.show()
        self.curve.setVisible(self.is_deep)

    def show_progress(self, step: Progress) -> None:
        """Move the bar and tell the time left, by the pace since the first counted step; some times a second."""
        if not self.cancel_button.isEnabled():
            return  # it came after the end
        if not self._begun and step.total > 0:
            self._begun, self._first = time.monotonic(), step.done
        self._pace.offer(step)

    def _show_step(self, step: Progress) -> None:
        now = time.monotonic()
        self.bar.setRange(0, max(step.total, 1))
        self.bar.setValue(min(step.done, step.total))
        left = ""
        if step.total > 0:
            done, total = step.done - self._first, step.total - self._first
            left = time_left(done, total, now - self._begun)
        self.status.setText(" · ".join(part for part in (step.message, left) if part))

    def set_idle(self, text: str = "") -> None:
        """Show that nothing runs, and how the last run ended."""
        self._pace.forget()
        self.cancel_button.setEnabled(False)
        self.cancel_button.setToolTip("Nothing is running.")
        self.bar.hide()
        self.status.setText(text)
        self.status.setVisible(bool(text))
        self.curve.setVisible(self.is_deep and bool(self.curve.points))
        self.set_ready(self._why_not)

    def offer_to_go_on(self, is_there: bool) -> None:
        """Let *Fine-tune* go on with a training that has not come to its end."""
        self.start_button.setText("&Go on with the training" if is_there else "&Fine-tune")

    def _on_way(self) -> None:
        self.about.setText(DEEP if self.is_deep else QUICK)
        self.keep_going.setVisible(self.is_deep)
        self.way_changed.emit()

    def _lay_out(self) -> None:
        ways, buttons = QHBoxLayout(), QHBoxLayout()
        ways.addWidget(self.quick)
        ways.addWidget(self.deep)
        ways.addStretch(1)
        buttons.setSpacing(GAP)
        buttons.addWidget(self.start_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        for button in (self.start_button, self.cancel_button):
            button.setMinimumHeight(30)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(ways)
        layout.addWidget(self.about)
        layout.addWidget(self.keep_going)
        layout.addLayout(buttons)
        for widget in (self.bar, self.status, self.curve):
            layout.addWidget(widget)
