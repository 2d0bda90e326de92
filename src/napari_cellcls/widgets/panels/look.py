"""Small parts that give the panels one look: class marks, collapsible sections, captions."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QFont
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

GAP = 6
_NARROWEST = 350


def discard(widget: QWidget) -> None:
    """Take a widget out of sight at once; Qt deletes it when its event loop gets there."""
    widget.hide()
    widget.deleteLater()


def caption(text: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a wrapping label in a slightly smaller font that can be selected with the mouse."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    label.setFont(small(label.font()))
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def small(font: QFont, factor: float = 0.92) -> QFont:
    """Return a copy of ``font`` that is a little smaller."""
    font = QFont(font)
    font.setPointSizeF(max(font.pointSizeF() * factor, 7.0))
    return font


def ink_on(color: str) -> str:
    """Return black or white, whichever reads better on ``color`` (``#rrggbb``)."""
    c = QColor(color)
    channels = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in c.getRgbF()[:3]
    ]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


class ClassMark(QLabel):
    """A colored chip with the letter of a class."""

    def __init__(self, mark: str, color: str, parent: QWidget | None = None) -> None:
        super().__init__(mark, parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFixedSize(24, 18)
        self.setStyleSheet(
            f"background: {color}; color: {ink_on(color)}; border-radius: 4px; font-weight: bold;"
        )


class Section(QWidget):
    """A heading with an arrow that shows and hides its content; reachable by keyboard."""

    def __init__(self, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.content = content
        self.button = QToolButton(self)
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet(
            "QToolButton { border: none; background: transparent; padding: 2px; }"
        )
        self.button.toggled.connect(self._on_toggled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(content)
        self._on_toggled(False)

    def set_open(self, is_open: bool) -> None:
        """Show or hide the content."""
        self.button.setChecked(is_open)

    def _on_toggled(self, is_open: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self.button.setArrowType(arrow)
        self.content.setVisible(is_open)


class TallArea(QScrollArea):
    """Scrolls its content up and down only: it is always as wide as the widest panel needs."""

    def __init__(self, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        self.setMinimumWidth(_NARROWEST)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the width of the content; scroll areas watch their content already."""
        if (
            event is not None
            and event.type() == QEvent.Type.LayoutRequest
            and watched is self.widget()
        ):
            needed = (
                self.widget().minimumSizeHint().width()
                + self.verticalScrollBar().sizeHint().width()
            )
            self.setMinimumWidth(max(_NARROWEST, needed))
        return bool(super().eventFilter(watched, event))


def card_frame(parent: QWidget | None = None) -> QFrame:
    """Return a frame with a thin border that fits light and dark themes."""
    frame = QFrame(parent)
    frame.setObjectName("cellclsCard")
    frame.setStyleSheet(
        "#cellclsCard { border: 1px solid rgba(128, 128, 128, 130); border-radius: 6px; }"
    )
    return frame
