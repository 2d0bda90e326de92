"""The cell at hand: what the model says of it, and a button with its key for every decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.review.state import ClassState
from napari_cellcls.widgets.panels.look import GAP, caption, card_frame, discard, ink_on
from napari_cellcls.widgets.review.model import MIME, rows_of
from napari_cellcls.widgets.review.rendering import Chance

_PICTURE = 96
_FEW = 8
_BLIND = "Hide predictions and what others decided, to judge for yourself"


class ClassButton(QPushButton):
    """Gives the selected cells a class; cells can be dropped on it.

    Signals
    -------
    asked(str), dropped(str, object)
        The class, and the rows dropped.
    """

    asked = Signal(str)
    dropped = Signal(str, object)

    def __init__(self, one: ClassState, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.class_id, self._name, self._key, self._color = one.id, one.name, key, one.color
        self._look: tuple[int, bool] | None = None
        self.setAcceptDrops(True)
        self.setMinimumHeight(26)
        self.setAccessibleName(f"Class {one.name}")
        self.clicked.connect(self._on_clicked)
        self.show_chance(Chance(one.id, None))

    def show_chance(self, chance: Chance) -> None:
        """Show how probable the class is, and whether the cell was judged."""
        sign = {1: "✓ ", -1: "✗ "}.get(chance.judged, "")
        key = f"{self._key.upper()}  " if self._key else ""
        told = "" if chance.probability is None else f"  {chance.probability:.2f}"
        self.setText(f"{sign}{key}{self._name}{told}")
        edge = 3 if chance.is_shown or chance.judged == 1 else 0
        strong = chance.judged == 1
        if self._look == (edge, strong):
            return  # a style sheet takes Qt longer than all the rest
        self._look = (edge, strong)
        fill = self._color if strong else "transparent"
        ink = f"color: {ink_on(self._color)};" if strong else ""
        self.setStyleSheet(
            f"QPushButton {{ text-align: left; padding: 3px 6px; background: {fill}; {ink}"
            f" border: 1px solid {self._color}; border-left: {6 + edge}px solid {self._color};"
            " border-radius: 4px; }"
            f"QPushButton:hover {{ border-width: 2px; border-left-width: {6 + edge}px; }}"
            "QPushButton:disabled { color: rgba(128, 128, 128, 160); }"
        )

    def set_possible(self, why_not: str) -> None:
        """Enable the button, or say why not."""
        self.setEnabled(not why_not)
        key = f"key {self._key.upper()}" if self._key else "no key is free"
        self.setToolTip(
            why_not or f"Give the class {self._name} ({key}); cells can be dropped here"
        )

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take cells."""
        if event is not None and event.mimeData().hasFormat(MIME) and self.isEnabled():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Give the cells dropped this class."""
        if event is None:
            return
        rows = rows_of(event.mimeData())
        event.acceptProposedAction()
        if rows:
            self.dropped.emit(self.class_id, rows)

    def _on_clicked(self) -> None:
        self.asked.emit(self.class_id)


class DecidePanel(QWidget):
    """One cell, and what can be decided about the selection.

    Signals
    -------
    class_asked(str), class_dropped(str, object)
    asked(str)
        One of the names in :data:`ACTIONS`.
    blind_changed(bool), advance_changed(bool), remarked(str)
    """

    class_asked = Signal(str)
    class_dropped = Signal(str, object)
    asked = Signal(str)
    blind_changed = Signal(bool)
    advance_changed = Signal(bool)
    remarked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.class_buttons: dict[str, ClassButton] = {}
        self.actions_by_name: dict[str, QPushButton] = {}
        self.remark = QLineEdit(self)
        frame = card_frame(self)
        self.picture = QLabel(frame)
        self.picture.setFixedSize(_PICTURE, _PICTURE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setAccessibleName("The cell at hand")
        self.words = caption("", frame)
        self.words.setMinimumHeight(_PICTURE)
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        top = QHBoxLayout()
        top.setSpacing(GAP)
        top.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.words, 1)
        self._classes = QGridLayout()
        self._classes.setSpacing(4)
        inner = self._inner = QVBoxLayout(frame)
        inner.setContentsMargins(8, 8, 8, 8)
        inner.setSpacing(GAP)
        inner.addLayout(top)
        inner.addLayout(self._classes)
        self._actions = self._action_buttons()
        inner.addLayout(self._actions)
        switches = QHBoxLayout()
        self.advance = QCheckBox("Go on after a decision", frame)
        self.advance.setChecked(True)
        self.advance.setToolTip("After a class, go to the next cell that is not decided")
        self.advance.toggled.connect(self.advance_changed)
        self.blind = QCheckBox("Blind", frame)
        self.blind.setToolTip(_BLIND)
        self._held = self._was_blind = False
        self.blind.toggled.connect(self.blind_changed)
        switches.addWidget(self.advance)
        switches.addStretch(1)
        switches.addWidget(self.blind)
        inner.addLayout(switches)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)

    def show_classes(self, classes: Sequence[ClassState], keys: Mapping[str, str]) -> None:
        """Offer these classes."""
        for button in self.class_buttons.values():
            self._classes.removeWidget(button)
            discard(button)
        self.class_buttons = {}
        for k, one in enumerate(classes):
            button = ClassButton(one, keys.get(one.id, ""), self)
            button.asked.connect(self.class_asked)
            button.dropped.connect(self.class_dropped)
            self._classes.addWidget(button, k // 2, k % 2)
            self.class_buttons[one.id] = button
        # Many classes would push the other buttons out of sight.
        self._inner.removeItem(self._actions)
        self._inner.insertLayout(1 if len(classes) > _FEW else 2, self._actions)

    def hold_blind(self, on: bool) -> None:
        """Judge blind and offer no choice about it; afterwards it is as it was before."""
        if on == self._held:
            return
        self._held = on
        if on:
            self._was_blind = self.blind.isChecked()
        self.blind.setChecked(on or self._was_blind)
        self.blind.setEnabled(not on)
        self.blind.setToolTip(
            "A second look is always blind: what the first person said stays hidden"
            if on
            else _BLIND
        )

    def show_cell(self, picture: QPixmap | None, words: str, chances: Sequence[Chance]) -> None:
        """Show the cell at hand."""
        if picture is None:
            self.picture.clear()
        else:
            size = QSize(_PICTURE, _PICTURE)
            smooth = Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(picture.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, smooth))
        self.words.setText(words)
        for chance in chances:
            if chance.class_id in self.class_buttons:
                self.class_buttons[chance.class_id].show_chance(chance)

    def set_possible(self, why_not: str, impossible: Mapping[str, str] | None = None) -> None:
        """Enable everything, or say why not: all with one reason, some with their own."""
        for button in self.class_buttons.values():
            button.set_possible(why_not)
        for name, button in self.actions_by_name.items():
            reason = why_not or (impossible or {}).get(name, "")
            if name == "next":
                reason = (impossible or {}).get(name, "")
            button.setEnabled(not reason)
            button.setToolTip(reason or TIPS[name])
        self.remark.setEnabled(not why_not)
        self.remark.setToolTip(why_not)

    def _action_buttons(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        for k, (name, text, tip) in enumerate(ACTIONS):
            button = QPushButton(text, self)
            button.setToolTip(tip)
            button.setProperty("action", name)
            button.clicked.connect(self._on_action)
            self.actions_by_name[name] = button
            grid.addWidget(button, k // 3, k % 3)
        self.remark.setPlaceholderText("Remark about the cell, Enter to keep it")
        self.remark.setAccessibleName("Remark about the cell")
        self.remark.returnPressed.connect(self._on_remark)
        grid.addWidget(self.remark, len(ACTIONS) // 3, len(ACTIONS) % 3, 1, -1)
        return grid

    def _on_remark(self) -> None:
        text = self.remark.text().strip()
        if text:
            self.remark.clear()
            self.remarked.emit(text)

    def _on_action(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.asked.emit(str(sender.property("action")))


ACTIONS = (
    ("accept", "⏎ Accept", "Accept the class shown (Enter)"),
    ("accept_all", "⇧⏎ Accept all", "Accept what is shown of every selected cell (Shift+Enter); one undo takes it back"),
    ("clear", "0 Clear", "Take your label away (0)"),
    ("skip", "S Skip", "Pass the cell over (S)"),
    ("bad_segmentation", "B Bad mask", "The outline does not fit the cell (B)"),
    ("ambiguous", "A Ambiguous", "Nobody could tell (A)"),
    ("undo", "↶ Undo", "Take back your last decision, of any session (Ctrl+Z)"),
    ("redo", "↷ Redo", "Decide again what was taken back (Ctrl+Shift+Z)"),
    ("settle", "J Last word", "Settle what people disagree about: what is shown is the last word (J)"),
    ("next", "␣ Next", "Go to the next cell that is not decided (Space)"),
)  # fmt: skip
TIPS = {name: tip for name, _, tip in ACTIONS}
