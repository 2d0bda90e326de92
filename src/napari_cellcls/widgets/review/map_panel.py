"""The map of likeness: cells that look alike lie side by side, linked to gallery and image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cellcls.review.embedding_map import embedding_map, has_umap
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import GAP, caption
from napari_cellcls.widgets.review.picture import decided
from napari_cellcls.widgets.review.scatter import Scatter
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.widgets.review.subject import Subject

_NOBODY = (138, 138, 138)


class MapPanel(QWidget):
    """Draws the map when it is first looked at, in a worker.

    Signals
    -------
    picked(int)
    lassoed(object)
        Rows to show alone; None for all again.
    failed(CellClsError)
    """

    picked = Signal(int)
    lassoed = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._subject: Subject | None = None
        self._drawn_for: np.ndarray | None = None
        self.is_open = False
        self.method = Menu(self)
        no_umap = "" if has_umap() else 'Not installed: pip install "napari-cellcls[umap]"'
        options = [
            Option("main axes (PCA)", "pca", "At once"),
            Option(
                "neighborhoods (UMAP)", "umap", "Takes a minute or more, beside the window", no_umap
            ),
        ]
        self.method.fill(options, "pca")
        self.method.picked.connect(self._on_method)
        self.all_button = QPushButton("Show all", self)
        self.all_button.setToolTip(
            "Show every cell in the gallery again, not only those in the lasso"
        )
        self.all_button.clicked.connect(self._on_all)
        self.all_button.setEnabled(False)
        self.scatter = Scatter(self)
        self.scatter.picked.connect(self.picked)
        self.scatter.lassoed.connect(self._on_lasso)
        self.note = caption("", self)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        line.addWidget(self.method, 1)
        line.addWidget(self.all_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(line)
        layout.addWidget(self.scatter, 1)
        layout.addWidget(self.note)
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_drawn)
        self._runner.failed.connect(self.failed)
        self._say("")

    @property
    def busy(self) -> bool:
        """Whether the map is being computed."""
        return self._runner.running

    def set_open(self, is_open: bool) -> None:
        """Draw the map now that somebody looks at it."""
        self.is_open = is_open
        self._draw()

    def show_subject(self, subject: Subject | None) -> None:
        """Show the cells of another plane."""
        self._subject = subject
        self.all_button.setEnabled(False)
        self._draw()

    def recolor(self, _rows: Sequence[int] = ()) -> None:
        """Take in what was decided."""
        if self.is_open and self._subject is not None:
            sheet = self._subject.sheet
            self.scatter.recolor(colors_of(sheet), decided(sheet))

    def retire(self) -> None:
        """Stop what runs."""
        self._runner.cancel()

    def _draw(self) -> None:
        if not self.is_open:
            return
        opinion = self._subject.sheet.opinion if self._subject is not None else None
        embeddings = opinion.embeddings if opinion is not None else None
        if embeddings is None or not len(embeddings):
            self._runner.cancel()
            self._drawn_for = None
            self.scatter.show_points(np.zeros((0, 2)))
            self._say("The map needs a classification: classify the cells first.")
        elif embeddings is self._drawn_for:
            self.recolor()
        else:
            self._drawn_for = embeddings
            self._say("Drawing the map …")
            self._runner.start(
                partial(embedding_map, embeddings, self.method.value), "Map of likeness"
            )

    def _on_drawn(self, points: np.ndarray) -> None:
        self._say("")
        self.scatter.show_points(points)
        self.recolor()

    def _on_method(self, _method: str) -> None:
        self._drawn_for = None
        self._draw()

    def _on_lasso(self, rows: np.ndarray) -> None:
        self.all_button.setEnabled(True)
        self._say(f"{len(rows):,} cells in the lasso are shown.")
        self.lassoed.emit(rows)

    def _on_all(self) -> None:
        self.all_button.setEnabled(False)
        self._say("")
        self.lassoed.emit(None)

    def _say(self, text: str) -> None:
        self.note.setText(text)
        self.note.setVisible(bool(text))


def colors_of(sheet: Sheet) -> np.ndarray:
    """Return the color of each cell, ``(N, 3)`` uint8: of the class people see, gray without one."""
    table = [tuple(int(one.color[i : i + 2], 16) for i in (1, 3, 5)) for one in sheet.classes]
    return np.array([*table, _NOBODY], np.uint8)[sheet.shown]
