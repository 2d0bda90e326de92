"""Draws what is reviewed in the viewer: outlines by class, and a frame around the cell at hand.

One layer, which belongs to the dock by reference; a user may delete or rename it at any time. The
frame is drawn into it: moving a layer of its own costs napari ten times as much (6 ms, measured).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_cellcls.widgets.choices import META, OURS
from napari_cellcls.widgets.layers import Placement
from napari_cellcls.widgets.review import picture
from napari_cellcls.widgets.veil import Veil

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.widgets.review.subject import Subject

_AT_ONCE = 200


class ReviewLayers(QObject):
    """The layers of one dock.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.outlines: Any = None
        self.placement = Placement({})
        self.reference: Any = None
        self.veil = Veil(self)
        self._subject: Subject | None = None
        self._colors: Any = None
        self._framed: picture.Box | None = None
        self._beneath: tuple[tuple[np.ndarray, ...], np.ndarray] | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def retire(self) -> None:
        """Take the layer out and react to nothing more."""
        self.clear()
        self.viewer.layers.events.removed.disconnect(self._on_removed)

    def clear(self) -> None:
        """Take the layers out of the viewer, and show again what was hidden under them."""
        self._subject = None
        self._framed = None
        self._drop_outlines()
        self.veil.lift()

    def draw(self, subject: Subject, drawn: np.ndarray | None, beneath: Any = None) -> None:
        """Show a subject; ``beneath`` is the layer of outlines by prediction, hidden meanwhile.

        Parameters
        ----------
        subject : Subject
        drawn : numpy.ndarray or None
            What :func:`picture.raster` gave; None where the image is too large.
        beneath : napari layer, optional
        """
        if subject is not self._subject:
            self._framed = None
        self._subject, self._beneath = subject, None
        if drawn is None:
            self._drop_outlines()
            return
        if beneath is not None:
            self.veil.cover(beneath)
        if self.outlines is not None and tuple(self.outlines.data.shape) != drawn.shape:
            self._drop_outlines()
        if self.outlines is None:
            self.outlines = self._add(subject, drawn)
        else:
            self.outlines.data = drawn
            self._recolor(subject)
        self.frame_box(self._framed)

    def repaint(self, rows: Iterable[int]) -> None:
        """Draw some cells anew, touching nothing but their pixels."""
        subject = self._subject
        if subject is None or subject.strokes is None or self.outlines is None:
            return
        wanted = list(rows)
        self._lift_frame()
        if len(wanted) > _AT_ONCE:
            self.outlines.data = picture.raster(subject.sheet, subject.strokes)
        else:
            for row in wanted:
                where, values = picture.patch(subject.sheet, subject.strokes, row)
                self._write(where, values)
        self.frame_box(self._framed)

    def frame_row(self, row: int | None) -> None:
        """Put the frame around a cell, or take it away."""
        subject = self._subject
        self.frame_box(None if subject is None or row is None else _box_of(subject, row))

    def frame_box(self, box: picture.Box | None) -> None:
        """Put the frame around a place ``y0, x0, y1, x1``, or take it away."""
        self._lift_frame()
        subject, self._framed = self._subject, box
        if subject is None or subject.strokes is None or self.outlines is None or box is None:
            return
        where = picture.frame(subject.strokes, box)
        self._beneath = where, np.asarray(self.outlines.data)[where].copy()
        self._write(where, picture.frame_code(subject.sheet))

    def fly_to(self, row: int) -> None:
        """Move the camera to a cell; the zoom changes only where the cell is tiny or too large."""
        if self._subject is not None:
            self.fly_to_box(_box_of(self._subject, row))

    def fly_to_box(self, box: picture.Box) -> None:
        """Move the camera to a place, as to a cell."""
        layer = self._in_place()
        if layer is None or self.viewer.dims.ndisplay != 2:
            return
        y0, x0, y1, x1 = box
        corners = [np.asarray(layer.data_to_world(p))[-2:] for p in ((y0, x0), (y1, x1))]
        middle, edge = (corners[0] + corners[1]) / 2, float(np.abs(corners[1] - corners[0]).max())
        camera = self.viewer.scene.camera
        camera.center = (0.0, *(float(v) for v in middle))
        canvas = min(self.viewer.canvas.size)
        if edge > 0 and canvas > 0:
            share = edge * camera.zoom / canvas
            if not 0.08 <= share <= 0.6:
                camera.zoom = 0.2 * canvas / edge

    def row_at(self, position: Any) -> int | None:
        """Return the row of the cell at a world position."""
        subject, layer = self._subject, self._in_place()
        if subject is None or layer is None:
            return None
        labels, ids = subject.sheet.cells.labels, subject.sheet.cells.ids
        y, x = (int(np.floor(v + 0.5)) for v in layer.world_to_data(position)[-2:])
        if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
            return None
        label = int(np.asarray(labels[y, x]))
        at = int(np.searchsorted(ids, label))
        return at if label > 0 and at < len(ids) and ids[at] == label else None

    def toggle(self) -> None:
        """Show or hide the outlines."""
        if self.outlines is not None:
            self.outlines.visible = not self.outlines.visible

    def _in_place(self) -> Any:
        """Return a layer that lies where the cells do: ours, or one beneath where ours is not drawn."""
        if self.outlines is not None:
            return self.outlines
        return self.reference if self.reference in self.viewer.layers else None

    def _write(self, where: tuple[np.ndarray, ...], values: Any) -> None:
        """Write pixels and show only those anew; where napari shows no plane, simply write them."""
        if self.outlines.visible and self.viewer.dims.ndisplay == 2:
            self.outlines.data_setitem(where, values)
        else:
            np.asarray(self.outlines.data)[where] = values
            self.outlines.refresh()

    def _lift_frame(self) -> None:
        if self._beneath is not None and self.outlines is not None:
            where, values = self._beneath
            self._write(where, values)
        self._beneath = None

    def _add(self, subject: Subject, drawn: np.ndarray) -> Any:
        from napari.utils.colormaps import DirectLabelColormap

        self._colors = picture.colors_of(subject.sheet, subject.image.is_rgb)
        active = self.viewer.layers.selection.active
        layer = self.viewer.add_labels(
            drawn, name=f"{subject.image.name}: review", opacity=1.0,
            colormap=DirectLabelColormap(color_dict=self._colors),
            metadata={META: {OURS: True}}, **self.placement.options,
        )  # fmt: skip
        if active is not None:
            self.viewer.layers.selection.active = active
        return layer

    def _recolor(self, subject: Subject) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colors = picture.colors_of(subject.sheet, subject.image.is_rgb)
        if colors != self._colors:
            self._colors = colors
            self.outlines.colormap = DirectLabelColormap(color_dict=colors)

    def _drop_outlines(self) -> None:
        if self.outlines is not None and self.outlines in self.viewer.layers:
            self.viewer.layers.remove(self.outlines)
        self.outlines = self._beneath = None

    def _on_removed(self, event: Any) -> None:
        if self.outlines is not None and event.value == self.outlines:
            self.outlines = self._beneath = None


def _box_of(subject: Subject, row: int) -> picture.Box:
    y0, x0, y1, x1 = subject.sheet.boxes[row].tolist()
    return y0, x0, y1, x1
