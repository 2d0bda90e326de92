"""Hides the Labels layer that the user took as cells, while its outlines are drawn over the image.

napari fills labels with colors of its own, which would cover both the cells and the colors of
their classes. Nothing is changed but the visibility, and it comes back.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cellcls.widgets.notices import Notice


class Veil(QObject):
    """Hides one layer at a time and shows it again.

    A user who shows the layer meanwhile, by its eye, keeps it shown: it is hidden once only.

    Signals
    -------
    changed()
        A layer was hidden or given back.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._covered: Any = None
        self._hidden = False

    def cover(self, layer: Any) -> None:
        """Hide ``layer``, unless that was done before or it is hidden already."""
        if self._covered is not None and self._covered == layer:
            return
        self.lift()
        self._covered, self._hidden = layer, bool(layer.visible)
        if self._hidden:
            layer.visible = False
            layer.events.visible.connect(self._on_visible)
            self.changed.emit()

    def lift(self) -> None:
        """Show the layer again, if it was hidden here and still is."""
        layer, hidden = self._covered, self._hidden
        self._covered, self._hidden = None, False
        if hidden:
            layer.events.visible.disconnect(self._on_visible)
            layer.visible = True
            self.changed.emit()

    def notices(self) -> tuple[Notice, ...]:
        """Say what is hidden, and how to see it."""
        if not self._hidden:
            return ()
        text = f"The layer “{self._covered.name}” is hidden while its outlines are drawn; its eye in the layer list shows it."
        return (("info", text),)

    def _on_visible(self, _event: Any) -> None:
        if self._hidden and self._covered.visible:
            self._hidden = False
            self._covered.events.visible.disconnect(self._on_visible)
            self.changed.emit()
