"""Start, cancel, progress with the time left."""

from __future__ import annotations

import time

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_cellcls.vocabulary import Progress
from napari_cellcls.widgets.pace import Pace
from napari_cellcls.widgets.panels.look import GAP, caption


def time_left(done: int, total: int, elapsed_s: float) -> str:
    """Return "about 12 s left", empty while there is too little to judge by."""
    if total <= 0 or done <= 0 or done >= total or elapsed_s < 1.0:
        return ""
    seconds = elapsed_s * (total - done) / done
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s left"
    return f"about {round(seconds / 60)} min left"


class RunPanel(QWidget):
    """Two buttons and a bar.

    Signals
    -------
    classify_asked(), cancel_asked()
    """

    classify_asked = Signal()
    cancel_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.classify_button = QPushButton("&Classify", self)
        self.classify_button.clicked.connect(self.classify_asked)
        font = self.classify_button.font()
        font.setBold(True)
        self.classify_button.setFont(font)
        self.classify_button.setMinimumHeight(30)
        self.cancel_button = QPushButton("Ca&ncel", self)
        self.cancel_button.clicked.connect(self.cancel_asked)
        self.cancel_button.setMinimumHeight(30)
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.status = caption("", self)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self.classify_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        self._why_not, self._stage, self._since = "", "", 0.0
        self._pace = Pace(self._show_step, self)
        self.set_idle()

    def set_ready(self, why_not: str) -> None:
        """Enable *Classify*, or say why it cannot start."""
        self._why_not = why_not
        if not self.cancel_button.isEnabled():
            self.classify_button.setEnabled(not why_not)
            self.classify_button.setToolTip(why_not or "Classify every cell of the image (Alt+C)")

    def set_running(self, title: str) -> None:
        """Show that something runs."""
        self._stage, self._since = "", time.monotonic()
        self.classify_button.setEnabled(False)
        self.classify_button.setToolTip("Wait for the run to end, or cancel it first.")
        self.cancel_button.setEnabled(True)
        self.cancel_button.setToolTip("Stop now (Alt+N)")
        self._pace.forget()
        self.bar.setRange(0, 1)
        self.bar.setValue(0)
        self.bar.setVisible(True)
        self.status.setText(title)
        self.status.show()

    def show_progress(self, step: Progress) -> None:
        """Move the bar, some times a second; the time left is told from the pace of the present stage."""
        if not self.cancel_button.isEnabled():
            return  # it came after the end
        if step.message != self._stage:
            self._stage, self._since = step.message, time.monotonic()
        self._pace.offer(step)

    def _show_step(self, step: Progress) -> None:
        self.bar.setRange(0, max(step.total, 1))
        self.bar.setValue(min(step.done, step.total))
        left = time_left(step.done, step.total, time.monotonic() - self._since)
        self.status.setText(" · ".join(part for part in (step.message, left) if part))

    def set_idle(self, text: str = "") -> None:
        """Show that nothing runs, and how the last run ended."""
        self._pace.forget()
        self.cancel_button.setEnabled(False)
        self.cancel_button.setToolTip("Nothing is running.")
        self.bar.setVisible(False)
        self.status.setText(text)
        self.status.setVisible(bool(text))
        self.set_ready(self._why_not)
