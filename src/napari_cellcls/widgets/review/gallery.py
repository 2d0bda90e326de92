"""The gallery: all cells as tiles, thousands at once, only those in view ever drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QListView, QWidget

from napari_cellcls.review.order import Section
from napari_cellcls.widgets.review.crops import Thumbnails
from napari_cellcls.widgets.review.model import GalleryModel
from napari_cellcls.widgets.review.tile import TileDelegate

if TYPE_CHECKING:
    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.widgets.review.subject import Subject

_MOST_KEPT = 500


class Gallery(QListView):
    """Tiles of cells.

    Signals
    -------
    chosen(int)
        The user moved to another cell.
    selected()
        The selection changed.
    """

    chosen = Signal(int)
    selected = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles = GalleryModel(self)
        self.delegate = TileDelegate(self)
        self._quiet = False
        self.setModel(self.tiles)
        self.setItemDelegate(self.delegate)
        # Not the mode of icons: that keeps a tree of all places, which takes as long as all the rest.
        self.setViewMode(QListView.ViewMode.ListMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSpacing(0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalScrollBar().setSingleStep(40)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(180)
        self.setAccessibleName("Gallery of cells")
        self.set_edge(self.delegate.edge)
        self.selectionModel().currentChanged.connect(self._on_current)
        self.selectionModel().selectionChanged.connect(self._on_selection)

    def show_subject(self, subject: Subject | None) -> None:
        """Show the cells of another plane; :meth:`show_order` follows."""
        sheet = subject.sheet if subject is not None else None
        self.delegate.show(sheet, Thumbnails(subject) if subject is not None else None)
        self.show_order(sheet, np.zeros(0, np.int64), ())

    def show_order(
        self, sheet: Sheet | None, order: np.ndarray, sections: Sequence[Section]
    ) -> None:
        """Show rows in this order, with the same cell current and selected where they are there."""
        current, chosen = self.current_row, self.selected_rows
        self._quiet = True
        self.tiles.show(sheet, order, sections)
        self._quiet = False
        few = chosen if len(chosen) <= _MOST_KEPT else []
        self.choose(current, [row for row in few if row != current])

    @property
    def current_row(self) -> int | None:
        """The row the user is at."""
        return self.tiles.row_at(self.currentIndex())

    @property
    def selected_rows(self) -> list[int]:
        """Rows selected, in the order shown; a section stands for its cells."""
        places = sorted(
            place
            for part in self.selectionModel().selection()
            for place in range(part.top(), part.bottom() + 1)
        )
        return self.tiles.rows_at(places)

    def choose(self, row: int | None, also: Iterable[int] = (), *, scroll: bool = True) -> bool:
        """Go to a row without saying so, with others selected too; False when it is not shown."""
        index = self.tiles.index_of(row)
        self._quiet = True
        try:
            model = self.selectionModel()
            if not index.isValid():
                model.clear()
                return False
            wanted = QItemSelection(index, index)
            for other in also:
                found = self.tiles.index_of(other)
                if found.isValid():
                    wanted.select(found, found)
            model.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            model.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            if scroll:
                self.scrollTo(index)
            return True
        finally:
            self._quiet = False

    def touch(self, rows: Sequence[int] | None = None) -> None:
        """Paint rows (all by default) again. The model is not asked to say so: Qt would lay out all tiles."""
        if rows is None or len(rows) > _MOST_KEPT:
            self.viewport().update()
            return
        for row in rows:
            index = self.tiles.index_of(row)
            if index.isValid():
                self.viewport().update(self.visualRect(index))

    def reset_all(self) -> None:
        """Lay all tiles out anew, with pictures cut again."""
        self.delegate.forget_pictures()
        tiles = self.tiles
        self.show_order(tiles.sheet, tiles.order, tiles.sections)

    def set_edge(self, edge: int) -> None:
        """Draw tiles of another size, pixels."""
        self.delegate.edge = edge
        self._fill_lines()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Spread the tiles over the whole width."""
        super().resizeEvent(event)
        self._fill_lines()

    def _fill_lines(self) -> None:
        size, width = self.delegate.size, self.viewport().width() - 1
        columns = max(width // size.width(), 1)
        grid = QSize(max(width // columns, size.width()), size.height())
        if grid != self.gridSize():
            self.setGridSize(grid)
            self.scheduleDelayedItemsLayout()

    def sizeHint(self) -> QSize:
        """Return room for a few rows of tiles."""
        return QSize(340, 320)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Leave letters to the shortcuts: no search by name, as tiles have none."""
        if event is None or event.text().strip():
            if event is not None:
                event.ignore()
            return
        super().keyPressEvent(event)

    def _on_current(self, index: QModelIndex, _before: QModelIndex) -> None:
        row = self.tiles.row_at(index)
        if row is not None and not self._quiet:
            self.chosen.emit(row)

    def _on_selection(self, *_changes: object) -> None:
        if not self._quiet:
            self.selected.emit()
