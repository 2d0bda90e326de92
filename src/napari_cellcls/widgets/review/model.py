"""The rows of the gallery as a Qt model: cells in order, and a tile that opens each section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QByteArray, QMimeData, QModelIndex, QObject, QStringListModel, Qt

from napari_cellcls.review.order import Section
from napari_cellcls.review.sheet import FLAGS

if TYPE_CHECKING:
    from napari_cellcls.review.sheet import Sheet

ROW = int(Qt.ItemDataRole.UserRole)
"""Role: the row of the sheet, None for the tile of a section."""
SECTION = ROW + 1
"""Role: the section a tile opens, None for a cell."""
MIME = "application/x-cellcls-cells"


class GalleryModel(QStringListModel):
    """Cells of one sheet in the order of the view.

    To Qt it is a list of empty lines. Laying tiles out, Qt asks for their number once per tile: a method in Python
    would be called ten thousand times.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sheet: Sheet | None = None
        self.sections: list[Section] = []
        self._items = np.zeros(0, np.int64)
        self._place = np.zeros(0, np.int64)

    def show(self, sheet: Sheet | None, order: np.ndarray, sections: Sequence[Section]) -> None:
        """Show other rows."""
        self.sheet, self.sections = sheet, list(sections)
        starts = [section.start for section in sections]
        self._items = np.insert(order.astype(np.int64), starts, -1 - np.arange(len(starts)))
        self._place = np.full(len(sheet) if sheet is not None else 0, -1, np.int64)
        cells = np.flatnonzero(self._items >= 0)
        self._place[self._items[cells]] = cells
        self.setStringList([""] * len(self._items))

    def supportedDragActions(self) -> Qt.DropAction:
        """Cells are copied to where they are dropped, never moved away."""
        return Qt.DropAction.CopyAction

    def removeRows(self, row: int, count: int, parent: QModelIndex | None = None) -> bool:
        """Nobody but :meth:`show` changes the rows."""
        return False

    @property
    def order(self) -> np.ndarray:
        """Rows in the order shown, sections left out."""
        return self._items[self._items >= 0]

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return the row or section of a tile, and its tooltip."""
        if self.sheet is None or not 0 <= index.row() < len(self._items):
            return None
        item = int(self._items[index.row()])
        if role == ROW:
            return item if item >= 0 else None
        if role == SECTION:
            return None if item >= 0 else self.sections[-1 - item]
        if role == int(Qt.ItemDataRole.ToolTipRole) and item >= 0:
            return words(self.sheet, item)
        if role == int(Qt.ItemDataRole.AccessibleTextRole):
            return words(self.sheet, item) if item >= 0 else "section"
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return that tiles can be selected and cells dragged."""
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return usual | Qt.ItemFlag.ItemIsDragEnabled

    def row_at(self, index: QModelIndex) -> int | None:
        """Return the row of the sheet that a tile shows, None for a section."""
        place = index.row()
        if not index.isValid() or not 0 <= place < len(self._items) or self._items[place] < 0:
            return None
        return int(self._items[place])

    def rows_at(self, places: Iterable[int]) -> list[int]:
        """Return the rows of tiles, a section standing for all its cells; each once, in order."""
        found: dict[int, None] = {}
        for place in places:
            item = int(self._items[place])
            if item >= 0:
                found[item] = None
            else:
                length = self.sections[-1 - item].length
                found.update(dict.fromkeys(self._items[place + 1 : place + 1 + length].tolist()))
        return list(found)

    def index_of(self, row: int | None) -> QModelIndex:
        """Return where a row is shown, an invalid index when it is not."""
        if row is None or not 0 <= row < len(self._place) or self._place[row] < 0:
            return QModelIndex()
        return self.index(int(self._place[row]), 0)

    def mimeTypes(self) -> list[str]:
        """Return what a dragged selection is."""
        return [MIME]

    def mimeData(self, indexes: Iterable[QModelIndex]) -> QMimeData:
        """Return the rows of a dragged selection."""
        rows = self.rows_at(sorted({index.row() for index in indexes}))
        data = QMimeData()
        data.setData(MIME, QByteArray(",".join(map(str, rows)).encode()))
        return data


def rows_of(data: QMimeData) -> list[int]:
    """Return the rows of something dropped, none when it is nothing of ours."""
    try:
        return [int(n) for n in bytes(data.data(MIME).data()).decode().split(",") if n]
    except ValueError:
        return []


def words(sheet: Sheet, row: int) -> str:
    """Return what is known of a cell, one line each."""
    lines = [f"Cell {int(sheet.cells.ids[row])}"]
    label, predicted = int(sheet.label[row]), int(sheet.predicted[row])
    if label >= 0:
        names = [c.name for c, v in zip(sheet.classes, sheet.judged[row], strict=True) if v == 1]
        who = ", ".join(name for name, mask in sheet.by.items() if mask[row])
        lines.append(f"{' | '.join(names)}, by {who}" if who else " | ".join(names))
    if predicted >= 0 and not sheet.blind:
        lines.append(f"predicted {sheet.classes[predicted].name} {sheet.confidence[row]:.2f}")
    if sheet.skipped[row]:
        lines.append("skipped")
    lines += [name.replace("_", " ") for k, name in enumerate(FLAGS) if sheet.flags[row] >> k & 1]
    if sheet.disagreed[row]:
        lines.append("people disagree about it")
    return "\n".join(lines)
