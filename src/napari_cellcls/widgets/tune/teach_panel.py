"""What is taught: the project, the released model to start from, and the labels of each class."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.marks import class_marks
from napari_cellcls.project.description import SUFFIX
from napari_cellcls.project.recent import recent_projects
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import GAP, ClassMark, caption, discard, small
from napari_cellcls.widgets.tune.words import Stock, missing_words, stock_words


class TeachPanel(QWidget):
    """Project, base, labels per class.

    Signals
    -------
    open_asked(str)
        Folder of a project.
    base_picked(object)
        Path of a released model.
    as_i_label(bool)
        Learn while labels come, or no more.
    groups_asked()
        Say which images are of one patient, slide or plate.
    """

    open_asked = Signal(str)
    groups_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.project = QPushButton("No project", self)
        self.project.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.project.setMenu(self.menu)
        self.base = Menu(self)
        self.base_picked = self.base.picked
        self.in_use, self.hint = caption("", self), caption("", self)
        self.learn_box = QCheckBox("&Learn as I label", self)
        self.learn_box.setToolTip(
            "After every 10 labels the suggested order of the open cells follows what they say; "
            "no class that is shown changes"
        )
        self.as_i_label = self.learn_box.toggled
        self.groups_button = QPushButton("&Groups of images …", self)
        self.groups_button.clicked.connect(self.groups_asked)
        top = QGridLayout()
        top.setHorizontalSpacing(GAP)
        top.setVerticalSpacing(4)
        for row, (text, widget) in enumerate(
            (("Project", self.project), ("&Start from", self.base))
        ):
            label = QLabel(text, self)
            label.setBuddy(widget)
            top.addWidget(label, row, 0)
            top.addWidget(widget, row, 1)
        top.addWidget(self.in_use, 2, 1)
        top.setColumnStretch(1, 1)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(top)
        layout.addLayout(self._grid)
        layout.addWidget(self.hint)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        line.addWidget(self.learn_box)
        line.addStretch(1)
        line.addWidget(self.groups_button)
        layout.addLayout(line)
        self._rows: list[QWidget] = []
        self.counts: dict[str, QLabel] = {}
        self.show_project("", "")

    def fill_menu(self) -> None:
        """Offer to open a project."""
        self.menu.clear()
        self.menu.addAction("Open project …", self._on_open)
        self.menu.addSeparator()
        for one in recent_projects()[:8]:
            action = self.menu.addAction(one.name)
            action.setData(one.path)
            action.setEnabled(one.is_there)
            action.triggered.connect(self._on_recent)

    def show_project(self, name: str, folder: str) -> None:
        """Show which project teaches; an empty folder for none."""
        self.project.setText(name or "No project yet")
        self.project.setToolTip(folder or "Open a project, or label cells in Review cells")
        self.groups_button.setEnabled(bool(folder))
        self.groups_button.setToolTip(
            "Say which images are of one patient, slide or plate: they judge together, or are learned from together"
            if folder
            else "There is no project."
        )

    def show_bases(self, options: Sequence[Option], current: object, in_use: str) -> None:
        """Offer released models, and say which model the project uses now."""
        self.base.fill(options, current, empty="none")
        self.in_use.setText(in_use)
        self.in_use.setVisible(bool(in_use))

    def show_stock(self, stock: Stock | None, deep: bool) -> None:
        """Show the labels of each class and what is missing."""
        for widget in self._rows:
            self._grid.removeWidget(widget)
            discard(widget)
        self._rows, self.counts = [], {}
        if stock is None:
            self.hint.show()
            self.hint.setText(
                "Label cells in the dock Review cells; what you label there teaches the model here."
            )
            return
        marks = class_marks(tuple(one.name for one in stock.classes))
        for line, (mark, one) in enumerate(zip(marks, stock.classes)):
            count = QLabel(missing_words(one, deep), self)
            count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            count.setFont(small(count.font()))
            self.counts[one.name] = count
            row = (ClassMark(mark, one.color, self), QLabel(one.name, self), count)
            for column, widget in enumerate(row):
                self._grid.addWidget(widget, line, column)
                self._rows.append(widget)
        self.hint.setText(stock_words(stock, deep))
        self.hint.setVisible(bool(self.hint.text()))

    def _on_open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, f"Open a project (a folder *{SUFFIX})")
        if path:
            self.open_asked.emit(path)

    def _on_recent(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.open_asked.emit(str(sender.data()))  # type: ignore[attr-defined]
