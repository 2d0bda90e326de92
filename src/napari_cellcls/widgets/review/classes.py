"""The classes of the project: name, color, key, merging, and how many cells each has towards the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.review.keys import is_possible, taken_by
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import CLASS_COLORS
from napari_cellcls.widgets.panels.look import GAP, caption, discard, small
from napari_cellcls.widgets.settings import preferences


class ClassRow(QWidget):
    """One class. What it emits goes through its panel."""

    renamed = Signal(str, str)
    recolored = Signal(str, str)
    rekeyed = Signal(str, str)
    merged = Signal(str, str)

    def __init__(
        self, one: ClassState, key: str, others: Sequence[ClassState], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.one, self.shown_key = one, key
        self.color = QToolButton(self)
        self.color.setFixedSize(26, 24)
        self.color.setStyleSheet(f"QToolButton {{ background: {one.color}; border-radius: 4px; }}")
        self.color.setToolTip(f"Color of {one.name}: those safe for color-blind people come first")
        self.color.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.color.setMenu(self._colors())
        self.name = QLineEdit(one.name, self)
        self.name.setToolTip("Name of the class; its labels stay when it changes")
        self.name.editingFinished.connect(self._on_name)
        self.key = QLineEdit(key.upper(), self)
        self.key.setFixedWidth(26)
        self.key.setMaxLength(1)
        self.key.setToolTip("Key that gives a cell this class: a digit or a letter")
        self.key.editingFinished.connect(self._on_key)
        self.count = QLabel("0", self)
        self.count.setFont(small(self.count.font()))
        self.more = QToolButton(self)
        self.more.setText("⋯")
        self.more.setToolTip("Merge into another class")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self)
        for other in others:
            action = menu.addAction(f"Merge into {other.name}")
            action.setData(other.id)
        menu.triggered.connect(self._on_merge)
        self.more.setMenu(menu)
        self.more.setEnabled(bool(others))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addWidget(self.color)
        line.addWidget(self.name, 1)
        line.addWidget(self.key)
        line.addWidget(self.count)
        line.addWidget(self.more)

    def show_count(self, count: int, missing: int) -> None:
        """Show how many cells have the class, and how many more are wanted."""
        self.count.setText(f"{count:,}" + (f" · {missing:,} more" if missing else " ✓"))

    def _colors(self) -> QMenu:
        menu = QMenu(self)
        for color in CLASS_COLORS:
            square = QPixmap(16, 16)
            square.fill(QColor(color))
            action = menu.addAction(QIcon(square), color)
            action.setData(color)
        menu.addSeparator()
        menu.addAction("Another color …").setData("")
        menu.triggered.connect(self._on_color)
        return menu

    def _on_color(self, action: object) -> None:
        color = str(action.data())  # type: ignore[attr-defined]
        if not color:
            chosen = QColorDialog.getColor(QColor(self.one.color), self)
            color = chosen.name() if chosen.isValid() else self.one.color
        if color != self.one.color:
            self.recolored.emit(self.one.id, color)

    def _on_merge(self, action: object) -> None:
        self.merged.emit(self.one.id, str(action.data()))  # type: ignore[attr-defined]

    def _on_name(self) -> None:
        name = self.name.text().strip()
        if name and name != self.one.name:
            self.renamed.emit(self.one.id, name)
        else:
            self.name.setText(self.one.name)

    def _on_key(self) -> None:
        key = self.key.text().strip().lower()
        if key != self.shown_key:
            self.rekeyed.emit(self.one.id, key)


class ClassesPanel(QWidget):
    """Class editor with live counts.

    Signals
    -------
    added(str), renamed(str, str), recolored(str, str), rekeyed(str, str), merged(str, str)
        The class first.
    refused(str)
        Why a key cannot be given.
    goal_changed(int)
    model_classes_asked()
    """

    added = Signal(str)
    renamed = Signal(str, str)
    recolored = Signal(str, str)
    rekeyed = Signal(str, str)
    merged = Signal(str, str)
    refused = Signal(str)
    goal_changed = Signal(int)
    model_classes_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: dict[str, ClassRow] = {}
        self._keys: Mapping[str, str] = {}
        self._grid = QVBoxLayout()
        self._grid.setSpacing(3)
        self.new_name = QLineEdit(self)
        self.new_name.setPlaceholderText("New class")
        self.new_name.setAccessibleName("Name of a new class")
        self.new_name.returnPressed.connect(self._on_add)
        self.add_button = QPushButton("Add", self)
        self.add_button.clicked.connect(self._on_add)
        self.model_button = QPushButton("Take the model's", self)
        self.model_button.setToolTip("Add the classes of the model that are not here yet")
        self.model_button.clicked.connect(self.model_classes_asked)
        self.goal = QSpinBox(self)
        self.goal.setRange(1, 100_000)
        self.goal.setValue(preferences().goal)
        self.goal.setKeyboardTracking(False)
        self.goal.setToolTip("Labeled cells wanted of each class")
        self.goal.valueChanged.connect(self.goal_changed)
        self.progress, self.people = caption("", self), caption("", self)
        bottom = QGridLayout()
        bottom.setSpacing(4)
        bottom.addWidget(self.new_name, 0, 0)
        bottom.addWidget(self.add_button, 0, 1)
        bottom.addWidget(self.model_button, 0, 2)
        label = QLabel("Cells wanted of each class", self)
        label.setBuddy(self.goal)
        bottom.addWidget(label, 1, 0, 1, 2)
        bottom.addWidget(self.goal, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 4)
        layout.setSpacing(GAP)
        layout.addLayout(self._grid)
        layout.addLayout(bottom)
        layout.addWidget(self.progress)
        layout.addWidget(self.people)

    def show_classes(self, classes: Sequence[ClassState], keys: Mapping[str, str]) -> None:
        """Show these classes."""
        for row in self.rows.values():
            self._grid.removeWidget(row)
            discard(row)
        self.rows, self._keys = {}, keys
        for one in classes:
            others = [other for other in classes if other.id != one.id]
            row = ClassRow(one, keys.get(one.id, ""), others, self)
            row.renamed.connect(self.renamed)
            row.recolored.connect(self.recolored)
            row.merged.connect(self.merged)
            row.rekeyed.connect(self._on_key)
            self._grid.addWidget(row)
            self.rows[one.id] = row

    def show_counts(
        self, counts: Mapping[str, Mapping[str, int]], missing: Mapping[str, int]
    ) -> None:
        """Show annotator -> class -> labeled cells, and class -> how many more are wanted."""
        for class_id, row in self.rows.items():
            total = sum(by_class.get(class_id, 0) for by_class in counts.values())
            row.show_count(total, missing.get(class_id, 0))
            by = [f"{who} {n[class_id]:,}" for who, n in counts.items() if n.get(class_id)]
            row.count.setToolTip("\n".join(by) or "Nobody has labeled a cell with it yet.")
        self.progress.setText(
            progress_words(missing, {k: r.one.name for k, r in self.rows.items()})
        )
        told = [f"{who} {sum(by_class.values()):,}" for who, by_class in counts.items()]
        self.people.setText("Labels by " + " · ".join(told) if told else "No labels yet.")

    def set_possible(self, why_not: str, why_no_model: str) -> None:
        """Enable editing, or say why not."""
        for row in self.rows.values():
            row.setEnabled(not why_not)
        for widget in (self.new_name, self.add_button):
            widget.setEnabled(not why_not)
            widget.setToolTip(why_not or "Add a class of your own")
        reason = why_not or why_no_model
        self.model_button.setEnabled(not reason)
        self.model_button.setToolTip(reason or "Add the classes of the model that are not here yet")

    def _on_add(self) -> None:
        name = self.new_name.text().strip()
        if name:
            self.new_name.clear()
            self.added.emit(name)

    def _on_key(self, class_id: str, key: str) -> None:
        holder = taken_by(key, self._keys)
        if key and not is_possible(key):
            self.refused.emit(
                f"'{key.upper()}' has a meaning of its own, or is no digit or letter."
            )
        elif key and holder not in (None, class_id):
            self.refused.emit(f"'{key.upper()}' is the key of {self.rows[str(holder)].one.name}.")
        else:
            self.rekeyed.emit(class_id, key)
            return
        self.rows[class_id].key.setText(self._keys.get(class_id, "").upper())


def progress_words(missing: Mapping[str, int], names: Mapping[str, str]) -> str:
    """Return "30 more of rods & rings, 12 more of nucleoli", the class with least to go first."""
    if not names:
        return ""
    if not missing:
        return "The goal is reached for every class."
    nearest = sorted(missing.items(), key=lambda item: (item[1], names.get(item[0], "")))
    told = [f"{count:,} more of {names.get(class_id, class_id)}" for class_id, count in nearest[:3]]
    rest = len(missing) - len(told)
    return "Still wanted: " + ", ".join(told) + (f", and {rest} other classes" if rest > 0 else "")
