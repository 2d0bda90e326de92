"""Draws the session in the viewer. It owns the layers it makes, by reference and never by name.

Two layers per image: *cells* holds the ids (invisible but pickable: tooltips, napari's features
table) and *classes* the outlines by class. A user may delete, rename or move either at any time.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.marks import class_marks
from napari_cellcls.session import Session
from napari_cellcls.widgets import drawing
from napari_cellcls.widgets.choices import META, OURS

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.cells.cells import Cells


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the world: copied to every layer drawn for it."""

    options: dict[str, Any]

    @classmethod
    def of(cls, parent: Any) -> Placement:
        """Return the placement of the last two axes of ``parent``."""
        options: dict[str, Any] = {
            "scale": tuple(parent.scale[-2:]),
            "translate": tuple(parent.translate[-2:]),
            "units": tuple(parent.units[-2:]),
            "axis_labels": tuple(parent.axis_labels[-2:]),
        }
        if parent.ndim == 2:
            affine = np.asarray(parent.affine.affine_matrix)
            options.update(rotate=parent.rotate, shear=parent.shear, affine=affine)
        return cls(options)


class SessionLayers:
    """The layers drawn for one session.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : Session
    """

    def __init__(self, viewer: napari.viewer.Viewer, session: Session) -> None:
        self.viewer, self.session = viewer, session
        self.cells_layer: Any = None
        self.classes_layer: Any = None
        self.placement = Placement({})
        self.outline_width, self.show_letters = 3, True
        self._drawn_labels: Any = None
        self._outlines: drawing.Outlines | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def draw(self) -> None:
        """Show the cells of the session and, when there are predictions, their classes."""
        cells = self.session.cells
        if cells is None or not len(cells):
            self.clear()
            return
        if self._drawn_labels is not cells.labels:
            self.clear()
        selected = self._make_missing(cells.labels)
        self.classes_layer.data = self._raster()
        self._color()
        self.cells_layer.features = drawing.feature_table(cells, self.session.predictions)
        self._drawn_labels = cells.labels
        if selected:
            self.viewer.layers.selection.active = self.cells_layer

    def prepare(self, cells: Cells) -> None:
        """Compute what drawing ``cells`` needs; safe in a worker thread, the viewer is not touched."""
        self._outlines = drawing.Outlines.of(cells, self.outline_width)

    def clear(self) -> None:
        """Take the layers of the session out of the viewer."""
        for layer in (self.classes_layer, self.cells_layer):
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.release()

    def release(self) -> None:
        """Leave the layers to the user: they stay in the viewer, the session forgets them."""
        self.cells_layer = self.classes_layer = self._drawn_labels = None

    def label_at(self, position: Any) -> int:
        """Return the cell id at a world position, 0 where there is none."""
        cells, layer = self.session.cells, self.cells_layer
        if cells is None or layer is None:
            return 0
        y, x = (int(np.floor(v + 0.5)) for v in layer.world_to_data(position)[-2:])
        height, width = cells.labels.shape
        if not (0 <= y < height and 0 <= x < width):
            return 0
        return int(np.asarray(cells.labels[y, x]))

    def toggle_outlines(self) -> None:
        """Show or hide the class outlines (key O)."""
        if self.classes_layer is not None:
            self.classes_layer.visible = not self.classes_layer.visible

    def _make_missing(self, labels: Any) -> bool:
        """Add the layers that are not in the viewer; return whether the id layer is new."""
        name = self.session.image.name if self.session.image is not None else "image"
        mark = {META: {OURS: True}}
        if self.classes_layer is None:
            self.classes_layer = self.viewer.add_labels(
                np.zeros(labels.shape, np.uint8), name=f"{name}: classes", opacity=1.0,
                metadata=mark, **self.placement.options,
            )  # fmt: skip
        if self.cells_layer is not None:
            return False
        # Opacity 0 and visible: napari answers "which cell is here" only for visible layers.
        self.cells_layer = self.viewer.add_labels(
            _integer(labels), name=f"{name}: cells", opacity=0.0,
            metadata=mark, **self.placement.options,
        )  # fmt: skip
        self._bind_keys()
        return True

    def _raster(self) -> Any:
        session = self.session
        assert session.cells is not None
        cells, codes = session.cells, session.codes
        known = len(session.scheme) if session.scheme is not None else 0
        if session.predictions is None:
            codes = np.full(len(cells), known + 2, np.uint8)
        outlines = self._outlines
        if (
            outlines is None
            or outlines.labels is not cells.labels
            or outlines.width != self.outline_width
        ):
            self.prepare(cells)
            outlines = self._outlines
        if outlines is None:
            return drawing.class_raster(cells.labels, cells.ids, codes, self.outline_width)
        raster = outlines.raster(cells.ids, codes)
        if self.show_letters and session.scheme is not None and session.predictions is not None:
            drawing.write_marks(raster, cells, codes, class_marks(session.scheme.names))
        if outlines.of_left_out is not None:
            raster[outlines.of_left_out & (raster == 0)] = known + 3
        return raster

    def _color(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        image = self.session.image
        colors = drawing.color_table(self.session.scheme, image is not None and image.is_rgb)
        self.classes_layer.colormap = DirectLabelColormap(color_dict=colors)

    def _bind_keys(self) -> None:
        # The layer outlives the dock: it must not keep it alive, so the key holds a weak reference.
        me = weakref.ref(self)

        def toggle(_layer: Any) -> None:
            drawn = me()
            if drawn is not None:
                drawn.toggle_outlines()

        self.cells_layer.bind_key("o", toggle, overwrite=True)

    def _on_removed(self, event: Any) -> None:
        if self.cells_layer is not None and event.value == self.cells_layer:
            self.cells_layer = None
        if self.classes_layer is not None and event.value == self.classes_layer:
            self.classes_layer = None


def _integer(labels: Any) -> Any:
    return labels.astype(np.uint8) if labels.dtype == bool else labels
