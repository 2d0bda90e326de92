"""Turns keys, buttons and drops into decisions of the desk, and goes on to the next cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_cellcls.review.desk import next_open
from napari_cellcls.review.events import Flag

if TYPE_CHECKING:
    from napari_cellcls.review.desk import Desk, Step
    from napari_cellcls.widgets.review.gallery import Gallery

_FLAGS = {"bad_segmentation": Flag.BAD_SEGMENTATION, "ambiguous": Flag.AMBIGUOUS}


class Decider(QObject):
    """Decides about what is selected in the gallery.

    Parameters
    ----------
    gallery : Gallery
    desk : callable
        Returns the desk, None when there is none; with True it starts a project where none is open.
    parent : QObject

    Signals
    -------
    went(int)
        To another row.
    told(str)
        One line on what happened.
    """

    went = Signal(int)
    told = Signal(str)

    def __init__(
        self, gallery: Gallery, desk: Callable[[bool], Desk | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self.gallery, self._desk = gallery, desk
        self.goes_on = True

    def set_goes_on(self, goes_on: bool) -> None:
        """Whether the next cell comes by itself after a decision."""
        self.goes_on = goes_on

    def set_class(self, class_id: str, rows: Sequence[int] | None = None) -> None:
        """Give the selection (or rows dropped) a class; go on, unless several classes are judged."""
        chosen = self._rows(rows)
        desk = self._desk(True) if chosen else None
        if desk is None:
            return
        desk.set_class(chosen, class_id)
        if rows is None and not desk.multi_label:
            self._go_on(desk, chosen)

    def act(self, name: str) -> None:
        """Do what a button or key of this name stands for."""
        if name in ("undo", "redo"):
            desk = self._desk(False)
            if desk is not None:
                self._step(desk.undo() if name == "undo" else desk.redo())
            return
        rows = self._rows(None)
        if name == "next":
            self.next()
            return
        desk = self._desk(True) if rows else None
        if desk is None:
            return
        if name in _FLAGS:
            on = desk.toggle_flag(rows, _FLAGS[name])
            self.told.emit(f"{name.replace('_', ' ')}: {'set' if on else 'cleared'}")
            return
        if name == "settle":
            done = desk.settle(rows)
            self.told.emit(f"{done:,} settled" if done else "People agree about this cell.")
            return
        if name == "clear":
            desk.clear(rows)
            return
        if name == "skip":
            desk.skip(rows)
        elif name in ("accept", "accept_all"):
            if name == "accept":
                current = self.gallery.current_row
                rows = rows[:1] if current is None else [current]
            if not self._accepted(desk, rows, bulk=name == "accept_all"):
                return
        self._go_on(desk, rows)

    def remark(self, text: str) -> None:
        """Add a remark about the selection."""
        rows = self._rows(None)
        desk = self._desk(True) if rows else None
        if desk is not None:
            desk.comment(rows, text)

    def next(self) -> None:
        """Go to the next cell that waits for me; without a project, to the one behind this."""
        shown = self.gallery.tiles
        order = shown.order
        if shown.sheet is None or not len(order):
            return
        after = self.gallery.current_row
        found = next_open(shown.sheet.is_open(), order, after)
        if found is None:
            self.told.emit("Every cell shown is decided.")
        else:
            self.go(found)

    def go(self, row: int) -> None:
        """Go to a row."""
        if self.gallery.choose(row):
            self.went.emit(row)

    def _accepted(self, desk: Desk, rows: Sequence[int], *, bulk: bool) -> bool:
        """Accept what is shown; return whether to go on."""
        done = desk.accept(rows, bulk=bulk)
        if bulk:
            self.told.emit(f"{done:,} of {len(rows):,} cells accepted")
        elif not done and not desk.sheet.mine[rows[0]]:
            self.told.emit("Nothing is shown that could be accepted.")
            return False
        return True

    def _rows(self, rows: Sequence[int] | None) -> list[int]:
        if rows is not None:
            return list(rows)
        chosen = self.gallery.selected_rows
        current = self.gallery.current_row
        return chosen or ([] if current is None else [current])

    def _go_on(self, desk: Desk, rows: Sequence[int]) -> None:
        if not self.goes_on:
            return
        found = next_open(desk.sheet.is_open(), self.gallery.tiles.order, rows[-1])
        if found is not None:
            self.go(found)

    def _step(self, step: Step) -> None:
        self.told.emit(step.text)
        if step.rows:
            self.go(step.rows[0])
