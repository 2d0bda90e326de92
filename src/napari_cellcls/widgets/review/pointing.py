"""Clicks in the image: which cell was meant, told apart from moving the view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    import napari.viewer

_STILL_PIXELS = 3


class Pointer(QObject):
    """Emits the cell that was clicked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    row_at : callable
        World position -> row, or None.
    parent : QObject

    Signals
    -------
    picked(int, bool)
        The row; whether others stay selected (Ctrl or Shift was held).
    """

    picked = Signal(int, bool)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        row_at: Callable[[Any], int | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.viewer, self._row_at = viewer, row_at
        viewer.mouse_drag_callbacks.append(self._on_press)

    def retire(self) -> None:
        """React to no more clicks."""
        callbacks = self.viewer.mouse_drag_callbacks
        if self._on_press in callbacks:
            callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        if event.button != 1 or str(getattr(active, "mode", "pan_zoom")) != "pan_zoom":
            return
        begin = np.asarray(event.pos, float)
        position, modifiers = event.position, {str(m) for m in event.modifiers}
        moved = 0.0
        yield
        while event.type == "mouse_move":
            moved = max(moved, float(np.abs(np.asarray(event.pos, float) - begin).max()))
            yield
        if moved > _STILL_PIXELS or viewer.dims.ndisplay != 2:
            return
        row = self._row_at(position)
        if row is not None:
            self.picked.emit(row, bool(modifiers & {"Control", "Shift", "Meta"}))
