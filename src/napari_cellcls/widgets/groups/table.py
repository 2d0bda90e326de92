"""The table of images and what they belong to, as Qt sees it; what is typed waits here until it is saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtGui import QFont

from napari_cellcls.project.groups import plain
from napari_cellcls.review.state import GROUPS, ImageState

TITLES = ("Image", "Labels", *(kind.capitalize() for kind in GROUPS), "Kept together as")
FIRST, LAST = 2, 2 + len(GROUPS)
"""Columns of the groups: from the first, before the last."""


class GroupsModel(QAbstractTableModel):
    """One row per image, one column per kind of group.

    Parameters
    ----------
    images : sequence of ImageState
    labels : mapping of str to int
        Image id -> labeled cells.
    places : mapping of str to str
        Image id -> where it is.
    editable : bool
    parent : QObject

    Signals
    -------
    edited()
        Something differs from before.
    """

    edited = Signal()

    def __init__(
        self,
        images: Sequence[ImageState],
        labels: Mapping[str, int],
        places: Mapping[str, str],
        editable: bool,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.images, self.editable = tuple(images), editable
        self._labels, self._places = labels, places
        self._row = {one.id: row for row, one in enumerate(self.images)}
        self._now = [one.groups for one in self.images]
        known = Counter(one.name for one in self.images)
        self._short = [
            one.name if known[one.name] == 1 else "/".join(places[one.id].split("/")[-2:])
            for one in self.images
        ]

    @property
    def wanted(self) -> dict[str, dict[str, str]]:
        """What differs from what is saved: image id -> kind -> name, "" for one that goes."""
        found = {}
        for image, now in zip(self.images, self._now, strict=True):
            before = image.groups
            differs = {k: now.get(k, "") for k in GROUPS if now.get(k) != before.get(k)}
            if differs:
                found[image.id] = differs
        return found

    @property
    def result(self) -> list[ImageState]:
        """The images as they would be after saving."""
        return [self._image(row) for row in range(len(self.images))]

    def used(self, column: int) -> bool:
        """Return whether any image has a group of this kind."""
        return any(GROUPS[column - FIRST] in now for now in self._now)

    def take(self, wanted: Mapping[str, Mapping[str, str]]) -> int:
        """Write names for several images; return how many images differ from before by it."""
        changed = 0
        for image_id, given in wanted.items():
            row = self._row[image_id]
            before = dict(self._now[row])
            self._write(row, given)
            changed += self._now[row] != before
        self._tell(range(len(self.images)))
        return changed

    def write(self, cells: Iterable[tuple[int, int, str]]) -> None:
        """Write names into cells, given as row, column and name; those outside are passed over."""
        rows = set()
        for row, column, name in cells:
            if 0 <= row < len(self.images) and FIRST <= column < LAST:
                self._write(row, {GROUPS[column - FIRST]: name})
                rows.add(row)
        self._tell(rows)

    # What Qt asks

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else len(self.images)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(TITLES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the title of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return what can be done with a cell."""
        found = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self.editable and FIRST <= index.column() < LAST:
            found |= Qt.ItemFlag.ItemIsEditable
        return found

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = index.row(), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole and self._before(row, column) is not None:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take what was typed."""
        if role != Qt.ItemDataRole.EditRole or not self.editable:
            return False
        self.write([(index.row(), index.column(), str(value))])
        return True

    def _write(self, row: int, given: Mapping[str, str]) -> None:
        for kind, name in given.items():
            self._now[row][kind] = plain(name)
        self._now[row] = {k: n for k in GROUPS if (n := self._now[row].get(k, ""))}

    def _tell(self, rows: Iterable[int]) -> None:
        for row in rows:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(TITLES) - 1))
        self.edited.emit()

    def _image(self, row: int) -> ImageState:
        now = self._now[row]
        hints = {**self.images[row].hints, **{kind: now.get(kind, "") for kind in GROUPS}}
        return replace(self.images[row], hints=hints)

    def _text(self, row: int, column: int) -> str:
        if column == 0:
            return self._short[row]
        if column == 1:
            return f"{self._labels.get(self.images[row].id, 0):,}"
        if column < LAST:
            return self._now[row].get(GROUPS[column - FIRST], "")
        return self._image(row).group if self._now[row] else "itself"

    def _tip(self, row: int, column: int) -> str:
        if column == 0:
            return self._places.get(self.images[row].id, "")
        before = self._before(row, column)
        return "" if before is None else f"Not saved yet; it was {before or 'empty'}."

    def _before(self, row: int, column: int) -> str | None:
        """Return what is saved where something else is shown, else None."""
        if not FIRST <= column < LAST:
            return None
        kind = GROUPS[column - FIRST]
        before = self.images[row].groups.get(kind, "")
        return None if self._now[row].get(kind, "") == before else before
