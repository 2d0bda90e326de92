"""The strip "because it looks like these": a button, a sentence, and a few labeled cells to click."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_cellcls.widgets.panels.look import GAP, caption, discard, small
from napari_cellcls.widgets.review.likeness import Example

_EDGE, _WIDTH = 58, 64
_TIP = "Show the labeled cells that this cell looks like most (W)"
_LIKENESS = "100 % is the same, above 50 % is as near as neighbors usually are."


class WhyPanel(QWidget):
    """What the cell at hand looks like.

    Signals
    -------
    asked()
    picked(int)
        Number of an example.
    """

    asked = Signal()
    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("W Why?", self)
        self.button.clicked.connect(self.asked)
        self.head, self.compared = caption("", self), caption("", self)
        self.tiles: list[QToolButton] = []
        top = QHBoxLayout()
        top.setSpacing(GAP)
        top.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.head, 1)
        self._strip = QHBoxLayout()
        self._strip.setSpacing(2)
        self._strip.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(self._strip)
        layout.addWidget(self.compared)
        self.set_possible("Nothing is open.")
        self.clear()

    def set_possible(self, why_not: str) -> None:
        """Enable the button, or say why not."""
        self.button.setEnabled(not why_not)
        self.button.setToolTip(why_not or _TIP)

    def clear(self) -> None:
        """Show nothing but the button."""
        self.show_answer("", "", (), ())

    def show_answer(
        self,
        head: str,
        compared: str,
        examples: Sequence[Example],
        pictures: Sequence[QPixmap | None],
    ) -> None:
        """Show examples with their pictures, nearest first."""
        for tile in self.tiles:
            self._strip.removeWidget(tile)
            discard(tile)
        self.tiles = [
            self._tile(k, one, picture)
            for k, (one, picture) in enumerate(zip(examples, pictures, strict=True))
        ]
        for k, tile in enumerate(self.tiles):
            self._strip.insertWidget(k, tile)
        self.head.setText(head)
        self.compared.setText(compared)
        self.compared.setVisible(bool(compared))

    def _tile(self, number: int, one: Example, picture: QPixmap | None) -> QToolButton:
        tile = QToolButton(self)
        tile.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        tile.setAutoRaise(True)
        tile.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys where they are
        tile.setFont(small(tile.font(), 0.85))
        tile.setFixedWidth(_WIDTH)
        tile.setIconSize(QSize(_EDGE, _EDGE))
        tile.setIcon(QIcon(_framed(picture, one.color)))
        name = tile.fontMetrics().elidedText(one.name, Qt.TextElideMode.ElideRight, _WIDTH - 8)
        percent = f"{one.likeness:.0%}".replace("%", " %")
        tile.setText(f"{name}\n{percent}{' ↗' if one.row is None else ''}")
        where = "Click to go there." if one.row is not None else f"It is in {one.image}."
        tile.setToolTip(f"{one.name}, likeness {percent}. {where} {_LIKENESS}")
        tile.setAccessibleName(f"{one.name}, likeness {percent}")
        tile.setProperty("number", number)
        tile.clicked.connect(self._on_tile)
        return tile

    def _on_tile(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.picked.emit(int(sender.property("number")))


def _framed(picture: QPixmap | None, color: str) -> QPixmap:
    """Return a picture of the size of a tile with a frame in the color of its class."""
    made = QPixmap(_EDGE, _EDGE)
    made.fill(QColor("#282828"))
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if picture is not None:
        painter.drawPixmap(made.rect(), picture)
    pen = QPen(QColor(color), 4)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    painter.drawRect(QRectF(made.rect()).adjusted(2, 2, -2, -2))
    painter.end()
    return made
