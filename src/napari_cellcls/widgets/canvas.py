"""Keeps the removal of layers from crashing software OpenGL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    import napari.viewer


class CanvasGuard(QObject):
    """Makes the OpenGL context of the canvas current before a layer is removed.

    napari 0.9.2 frees the textures and programs of a removed layer at once, in whichever context
    is current then; after a paint that is Qt's, not the canvas's. Mesa's software renderers
    (llvmpipe and softpipe 22.3) then crash in ``glDrawArrays`` at the second redraw that follows;
    plain napari does so without this plugin.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    dock : QWidget
        Anything in the window of the canvas; also the parent.
    """

    def __init__(self, viewer: napari.viewer.Viewer, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self._canvases: list[QOpenGLWidget] = []
        viewer.layers.events.removing.connect(self._on_removing)

    def remember(self) -> list[QOpenGLWidget]:
        """Return the canvases of the window; of a dock that was closed, those of its last window."""
        self._canvases = self._dock.window().findChildren(QOpenGLWidget) or self._canvases
        return self._canvases

    def _on_removing(self, _event: Any) -> None:
        make_current(self.remember())


def make_current(canvases: Iterable[QOpenGLWidget]) -> None:
    """Make the OpenGL context of canvases current, where they are still there."""
    for canvas in canvases:
        with contextlib.suppress(RuntimeError):  # Qt deleted it together with its window
            if canvas.isValid():
                canvas.makeCurrent()
