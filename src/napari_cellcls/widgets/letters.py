"""Writes the letter of its class into each cell in view, so that color is never the only sign.

Text costs per glyph, not per cell changed, so only the cells in view are written, and only while
they are few enough to be read at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_cellcls.vocabulary import COLUMNS
from napari_cellcls.widgets.choices import META, OURS
from napari_cellcls.widgets.drawing import NO_CLASS
from napari_cellcls.widgets.panels.look import class_marks

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.widgets.layers import SessionLayers

MOST = 250
_PAUSE_MS = 120


class Letters(QObject):
    """A points layer without points: only their text shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layers : SessionLayers
        Gives the session and the layer the letters belong to.
    parent : QObject
    """

    def __init__(self, viewer: napari.viewer.Viewer, layers: SessionLayers, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer, self.layers = viewer, layers
        self.wanted = True
        self.layer: Any = None
        self._shown: tuple[Any, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.update)
        viewer.scene.camera.events.center.connect(self._on_camera)
        viewer.scene.camera.events.zoom.connect(self._on_camera)
        viewer.layers.events.removed.connect(self._on_removed)

    def update(self) -> None:
        """Show the letters of the cells in view, or none when they are too many."""
        rows = self._rows_in_view()
        session = self.layers.session
        if not len(rows) or len(rows) > MOST or session.scheme is None or session.cells is None:
            self._write(np.zeros((0, 2)), np.zeros(0, object))
            return
        marks = np.array([*class_marks(session.scheme.names), "–"], object)
        table = session.cells.table
        top, bottom = (table[c].to_numpy(float)[rows] for c in (COLUMNS.bbox[0], COLUMNS.bbox[2]))
        # Near the upper edge: in the middle it would hide what the class rests on.
        y = top + self.layers.outline_width + 0.16 * (bottom - top)
        self._write(np.column_stack([y, table[COLUMNS.x].to_numpy(float)[rows]]), marks[session.codes[rows] - 1])

    def clear(self) -> None:
        """Take the letters out of the viewer."""
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)
        self.layer = None

    def _rows_in_view(self) -> np.ndarray:
        session, parent = self.layers.session, self.layers.cells_layer
        if not self.wanted or session.predictions is None or session.cells is None or parent is None:
            return np.zeros(0, int)
        if self.viewer.dims.ndisplay != 2:
            return np.zeros(0, int)
        camera = self.viewer.scene.camera
        half = np.asarray(self.viewer.canvas.size, float) / (2 * max(camera.zoom, 1e-12))
        center = np.asarray(camera.center[-2:], float)
        corners = [parent.world_to_data(center + sign * half) for sign in (-1, 1)]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        table = session.cells.table
        place = table[[COLUMNS.y, COLUMNS.x]].to_numpy(float)
        return np.flatnonzero(((place >= low) & (place <= high)).all(axis=1))

    def _write(self, points: np.ndarray, texts: np.ndarray) -> None:
        shown = (points.tobytes(), tuple(texts))
        if self.layer is None:
            if not len(points):
                return
            self._make()
        elif shown == self._shown:
            return
        self._shown = shown
        self.layer.data = points
        self.layer.features = {"letter": texts}

    def _make(self) -> None:
        active, session = self.viewer.layers.selection.active, self.layers.session
        name = session.image.name if session.image is not None else "image"
        self.layer = self.viewer.add_points(
            np.zeros((0, 2)), features={"letter": np.zeros(0, object)}, feature_defaults={"letter": "–"},
            name=f"{name}: letters",
            text={"string": "{letter}", "size": 9, "color": self._colors(), "anchor": "center"},
            size=1, opacity=1.0, face_color="transparent", border_color="transparent",
            metadata={META: {OURS: True}}, **self.layers.placement.options,
        )  # fmt: skip
        self.viewer.layers.selection.active = active

    def _colors(self) -> Any:
        from napari.layers.utils.color_encoding import NominalColorEncoding
        from napari.utils.colormaps.categorical_colormap import CategoricalColormap

        scheme = self.layers.session.scheme
        assert scheme is not None
        colors: dict[Any, Any] = {m: c.color for m, c in zip(class_marks(scheme.names), scheme.classes)}
        colors["–"] = NO_CLASS
        return NominalColorEncoding(feature="letter", colormap=CategoricalColormap(colormap=colors))

    def _on_camera(self, _event: Any) -> None:
        if self.layer is not None or self.layers.session.predictions is not None:
            self._timer.start()

    def _on_removed(self, event: Any) -> None:
        if self.layer is not None and event.value == self.layer:
            self.layer = None
