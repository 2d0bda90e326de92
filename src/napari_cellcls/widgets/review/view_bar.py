"""Order, filters, sections and size of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.review.candidates import FEWEST
from napari_cellcls.review.order import Show, Sort, View
from napari_cellcls.review.state import ClassState
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import GAP

_SORTS = (
    (Sort.SUGGESTED, "suggested", "What helps the model most: doubtful and varied cells, rare classes"),
    (Sort.DOUBT, "most doubtful", "Smallest gap between the two most probable classes first"),
    (Sort.CONFIDENCE, "most confident", "Highest probability first"),
    (Sort.CLASS, "class", "One section per class, most confident first"),
    (Sort.AREA, "area", "Largest cells first"),
    (Sort.SIMILAR, "similar to this cell", "Most like the selected cell first"),
    (Sort.PLACE, "place in the image", "As in the cell table"),
)  # fmt: skip
_SHOWS: tuple[tuple[Any, ...], ...] = (
    (Show.ALL, "all cells"),
    (Show.OPEN, "not decided by me"),
    (Show.LABELED, "labeled"),
    (Show.HUMAN, "chosen by a person"),
    (Show.ACCEPTED, "accepted one by one"),
    (Show.BULK, "labeled many at once"),
    (Show.IMPORTED, "imported"),
    (Show.SKIPPED, "skipped"),
    (Show.BAD_SEGMENTATION, "bad segmentation"),
    (Show.AMBIGUOUS, "ambiguous"),
    (Show.BORDER, "at the border"),
    (Show.DISAGREED, "people disagree"),
    (
        Show.SUSPECTS,
        "likely label errors",
        f"Labels that do not fit the cells labeled alike, the least fitting first. Enter keeps a label. Needs {FEWEST} labels",
    ),
    (
        Show.SECOND,
        "second look",
        "Cells that one other person has labeled, drawn for a second opinion. You see neither label nor prediction",
    ),
)
SMALLEST, LARGEST = 40, 200


class ViewBar(QWidget):
    """What the gallery shows.

    Signals
    -------
    changed(View), resized(int), renewed()
    """

    changed = Signal(object)
    resized = Signal(int)
    renewed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = View()
        self.sort, self.show_menu, self.classes, self.people = (Menu(self) for _ in range(4))
        for menu in (self.sort, self.show_menu, self.classes, self.people):
            menu.setMinimumContentsLength(8)
            menu.picked.connect(self._on_picked)
        self.sections = QCheckBox("Sections", self)
        self.sections.setToolTip("One section per class")
        self.sections.toggled.connect(self._on_picked)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(SMALLEST, LARGEST)
        self.slider.setValue(72)
        self.slider.setToolTip("Size of the tiles")
        self.slider.setAccessibleName("Size of the tiles")
        self.slider.valueChanged.connect(self.resized)
        self.again = QToolButton(self)
        self.again.setText("⟳")
        self.again.setToolTip("Put the cells in order again after your decisions (F5)")
        self.again.clicked.connect(self.renewed)
        self.total = QLabel("", self)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(4)
        places = (
            ("Order", self.sort),
            ("Show", self.show_menu),
            ("Class", self.classes),
            ("By", self.people),
        )
        for k, (text, menu) in enumerate(places):
            label = QLabel(text, self)
            label.setBuddy(menu)
            grid.addWidget(label, k // 2, 2 * (k % 2))
            grid.addWidget(menu, k // 2, 2 * (k % 2) + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        for widget in (self.total, self.again, self.sections):
            line.addWidget(widget)
        line.addStretch(1)
        line.addWidget(self.slider, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        outer.addLayout(grid)
        outer.addLayout(line)
        self.show_menu.fill([Option(text, value, *tip) for value, text, *tip in _SHOWS], Show.ALL)
        self.set_likeness("Nothing is open.")
        self.set_choices((), ())

    def set_likeness(self, why_not: str) -> None:
        """Offer the order by similarity, or say why it cannot be."""
        options = [
            Option(text, value, tip, why_not if value == Sort.SIMILAR else "")
            for value, text, tip in _SORTS
        ]
        if why_not and self.view.sort == Sort.SIMILAR:
            self.view = replace(self.view, sort=Sort.SUGGESTED)
        self.sort.fill(options, self.view.sort)

    def set_choices(self, classes: tuple[ClassState, ...], people: tuple[str, ...]) -> None:
        """Offer these classes and annotators; a choice that is gone becomes "all"."""
        view = self.view
        if view.class_id not in {None, *(one.id for one in classes)}:
            view = replace(view, class_id=None)
        if view.annotator not in {None, *people}:
            view = replace(view, annotator=None)
        self.view = view
        named = [Option(one.name, one.id) for one in classes]
        self.classes.fill([Option("all classes", None), *named], view.class_id)
        self.people.fill([Option("anybody", None), *(Option(p, p) for p in people)], view.annotator)

    def show_total(self, shown: int, total: int) -> None:
        """Say how many cells are shown."""
        self.total.setText(
            f"{shown:,} cells" if shown == total else f"{shown:,} of {total:,} cells"
        )

    def set_view(self, view: View) -> None:
        """Show another view without saying so."""
        self.view = view
        for menu, value in (
            (self.sort, view.sort), (self.show_menu, view.show), (self.classes, view.class_id),
            (self.people, view.annotator),
        ):  # fmt: skip
            menu.select(value)
        self.sections.blockSignals(True)
        self.sections.setChecked(view.sections)
        self.sections.blockSignals(False)

    def _on_picked(self, _value: object = None) -> None:
        self.view = View(
            Sort(self.sort.value), Show(self.show_menu.value), self.classes.value,
            self.people.value, self.sections.isChecked(), self.view.only,
        )  # fmt: skip
        self.changed.emit(self.view)

    def show_only(self, rows: Sequence[int] | None) -> None:
        """Show some rows alone, or all again."""
        only = None if rows is None else tuple(int(row) for row in rows)
        self.view = replace(self.view, only=only)
        self.changed.emit(self.view)

    def forget_rows(self) -> None:
        """Other cells come: rows mean something else."""
        self.view = replace(self.view, only=None)
