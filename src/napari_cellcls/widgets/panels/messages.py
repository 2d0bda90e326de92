"""What the user should know: one error with its remedy, and quiet notices."""

from __future__ import annotations

import platform

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cellcls import __version__
from napari_cellcls.vocabulary import CellClsError, sentence
from napari_cellcls.widgets.panels.look import GAP, caption


def details(error: CellClsError) -> str:
    """Return what *Copy details* puts on the clipboard: everything a report needs."""
    lines = [f"{error.code}: {error.what}"]
    lines += [f"{name}: {text}" for name, text in (
        ("file", error.path), ("why", error.why), ("what to do", error.remedy),
        ("cause", repr(error.__cause__) if error.__cause__ is not None else ""),
        ("napari-cellcls", __version__), ("python", platform.python_version()),
        ("system", platform.platform()),
    ) if text]  # fmt: skip
    return "\n".join(lines)


class ErrorPanel(QFrame):
    """One error: what happened, which file, why, what to do, the code, and a way to copy it all."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.error: CellClsError | None = None
        self.setObjectName("cellclsError")
        self.setStyleSheet(
            "#cellclsError { border: 1px solid #d9534f; border-left: 5px solid #d9534f; border-radius: 4px; }"
        )
        self.what, self.why, self.remedy = (caption("", self) for _ in range(3))
        font = self.what.font()
        font.setBold(True)
        self.what.setFont(font)
        self.code = QLabel("", self)
        self.copy_button = QPushButton("Copy &details", self)
        self.copy_button.clicked.connect(self._on_copy)
        self.close_button = QPushButton("Dismiss", self)
        self.close_button.clicked.connect(self.clear)
        line = QHBoxLayout()
        line.addWidget(self.code)
        line.addStretch(1)
        line.addWidget(self.copy_button)
        line.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 8, 6)
        layout.setSpacing(4)
        for widget in (self.what, self.why, self.remedy):
            layout.addWidget(widget)
        layout.addLayout(line)
        self.hide()

    def show_error(self, error: CellClsError) -> None:
        """Show ``error``."""
        self.error = error
        where = f"\nFile: {error.path}" if error.path else ""
        for label, text in (
            (self.what, error.what),
            (self.why, (f"Why: {sentence(error.why)}" if error.why else "") + where),
            (self.remedy, f"What to do: {error.remedy}" if error.remedy else ""),
        ):
            label.setText(text.strip())
            label.setVisible(bool(text.strip()))
        self.code.setText(error.code)
        self.show()

    def clear(self) -> None:
        """Hide the panel."""
        self.error = None
        self.hide()

    def _on_copy(self) -> None:
        if self.error is not None:
            QGuiApplication.clipboard().setText(details(self.error))
            self.copy_button.setText("Copied")


class NoticesPanel(QWidget):
    """Quiet notices, one line each, with a sign that is no mere color."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(GAP // 2)
        self.texts: tuple[str, ...] = ()

    def show_notices(self, notices: tuple[tuple[str, str], ...]) -> None:
        """Show pairs of level (``warning`` or ``info``) and text."""
        texts = tuple(text for _, text in notices)
        if texts == self.texts:
            return
        self.texts = texts
        while self._layout.count():
            self._layout.takeAt(0).widget().deleteLater()
        for level, text in notices:
            self._layout.addWidget(self._line(level, text))
        self.setVisible(bool(notices))

    def _line(self, level: str, text: str) -> QWidget:
        color, sign = ("#e6a700", "▲") if level == "warning" else ("#5b9bd5", "●")
        line = QFrame(self)
        layout = QHBoxLayout(line)
        layout.setContentsMargins(2, 0, 0, 0)
        mark = QLabel(sign, line)
        mark.setStyleSheet(f"color: {color};")
        mark.setAccessibleName(level)
        layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(caption(text, line), 1)
        return line
