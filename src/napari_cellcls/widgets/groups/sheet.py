"""The view of the table, with what people know from spreadsheets: copy, paste, fill down, clear."""

from __future__ import annotations

from qtpy.QtCore import QItemSelectionModel, Qt, Signal
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_cellcls.widgets.groups.table import FIRST, LAST, GroupsModel

_ALWAYS = (FIRST, FIRST + 3)  # patient and slide


class GroupsSheet(QTableView):
    """Shows a :class:`GroupsModel`.

    Signals
    -------
    headed(str)
        A table with titles was pasted: its rows name their images.
    """

    headed = Signal(str)

    def __init__(self, model: GroupsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups = model
        self.setModel(model)
        self.setAccessibleName("Images and what they belong to")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)
        for column, width in enumerate((230, 60, *(110,) * (LAST - FIRST), 150)):
            self.setColumnWidth(column, width)
        for column in range(FIRST, LAST):
            self.setColumnHidden(column, column not in _ALWAYS)
        self.show_used()
        if model.images:
            self.setCurrentIndex(model.index(0, FIRST))

    def show_used(self) -> None:
        """Show every column that has something in it."""
        for column in range(FIRST, LAST):
            if self.groups.used(column):
                self.setColumnHidden(column, False)

    def fill_down(self) -> None:
        """Write what is in the first row selected into those below; one cell alone: from the cell above."""
        by_column: dict[int, list[int]] = {}
        for index in self.selectedIndexes():
            if FIRST <= index.column() < LAST and not self.isColumnHidden(index.column()):
                by_column.setdefault(index.column(), []).append(index.row())
        cells = []
        for column, rows in by_column.items():
            rows.sort()
            source = rows[0] if len(rows) > 1 else rows[0] - 1
            if source >= 0:
                name = str(self.groups.index(source, column).data() or "")
                cells += [(row, column, name) for row in rows if row != source]
        self._write(cells)

    def clear_selected(self) -> None:
        """Take the names out of the cells selected."""
        self._write([(one.row(), one.column(), "") for one in self.selectedIndexes()])

    def copy(self) -> None:
        """Put the cells selected onto the clipboard, for a spreadsheet."""
        found = sorted((one.row(), one.column(), str(one.data())) for one in self.selectedIndexes())
        lines: dict[int, list[str]] = {}
        for row, column, text in found:
            if not self.isColumnHidden(column):
                lines.setdefault(row, []).append(text)
        QGuiApplication.clipboard().setText("\n".join("\t".join(line) for line in lines.values()))

    def paste(self) -> None:
        """Take names from the clipboard: by their images where they are named, else from the cell at hand on."""
        from napari_cellcls.project.grouptable import has_header

        text = QGuiApplication.clipboard().text()
        if not text.strip() or not self.groups.editable:
            return
        if has_header(text):
            self.headed.emit(text)
            return
        block = [line.split("\t") for line in text.rstrip("\r\n").splitlines()]
        chosen = [one for one in self.selectedIndexes() if FIRST <= one.column() < LAST]
        if len(block) == len(block[0]) == 1 and len(chosen) > 1:
            self._write([(one.row(), one.column(), block[0][0]) for one in chosen])
            return
        at = min(chosen, key=lambda one: (one.row(), one.column()), default=self.currentIndex())
        start, shown = at.row(), [
            column
            for column in range(max(at.column(), FIRST), LAST)
            if not self.isColumnHidden(column)
        ]  # fmt: skip
        self._write(
            [
                (start + down, column, name)
                for down, line in enumerate(block)
                for column, name in zip(shown, line)
            ]
        )

    def select_rows(self, first: int, last: int, column: int) -> None:
        """Select cells of one column."""
        chosen = self.selectionModel()
        chosen.clear()
        for row in range(first, last + 1):
            index = self.groups.index(row, column)
            chosen.select(index, QItemSelectionModel.SelectionFlag.Select)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Copy, paste, fill down and clear by the usual keys."""
        if event is None:
            return
        fill = (
            event.modifiers() == Qt.KeyboardModifier.ControlModifier and event.key() == Qt.Key.Key_D
        )
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.Paste):
            self.paste()
        elif fill:
            self.fill_down()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.clear_selected()
        else:
            super().keyPressEvent(event)

    def _write(self, cells: list[tuple[int, int, str]]) -> None:
        if self.groups.editable and cells:
            self.groups.write(cells)
