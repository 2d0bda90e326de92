"""Draws the session in the viewer. It owns the layers it makes, by reference and never by name.

Two layers per image: *cells* holds the ids (invisible but pickable: tooltips, napari's features
table) and *classes* the outlines by class. A user may delete, rename or move either at any time.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellcls.session import Session
from napari_cellcls.vocabulary import CellClsError
from napari_cellcls.widgets.choices import META, OURS
from napari_cellcls.widgets.picture import Picture, Subject, paint
from napari_cellcls.widgets.worker import Runner, unexpected

if TYPE_CHECKING:
    import napari.viewer


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


class SessionLayers(QObject):
    """The layers drawn for one session.

    A picture is computed in a worker thread and then handed to napari in several turns of the
    event loop: adding one layer alone holds the window for most of the tenth of a second that
    a user does not notice.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : Session
    parent : QObject, optional

    Signals
    -------
    drawn()
        The viewer shows the session.
    failed(CellClsError)
    """

    drawn = Signal()
    failed = Signal(object)

    def __init__(
        self, viewer: napari.viewer.Viewer, session: Session, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer, self.session = viewer, session
        self.cells_layer: Any = None
        self.classes_layer: Any = None
        self.placement = Placement({})
        self.outline_width, self.show_letters = 3, True
        self._picture: Picture | None = None
        self._colors: Any = None
        self._painter = Runner(self)
        self._painter.succeeded.connect(self._on_painted)
        self._painter.failed.connect(self.failed)
        self._steps: Iterator[None] | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._take_turn)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def busy(self) -> bool:
        """Whether a picture is on its way into the viewer."""
        return self._painter.running or self._steps is not None

    def draw(self) -> None:
        """Show the cells of the session and, when there are predictions, their classes, soon."""
        self._stop()
        subject = Subject.of(self.session, self.outline_width, self.show_letters)
        if subject is None:
            self.clear()
            return
        before = self._picture
        self._painter.start(lambda: paint(subject, before))

    def clear(self) -> None:
        """Take the layers of the session out of the viewer."""
        for layer in (self.classes_layer, self.cells_layer):
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.release()

    def release(self) -> None:
        """Leave the layers to the user: they stay in the viewer, the session forgets them."""
        self._stop()
        self.cells_layer = self.classes_layer = self._picture = None

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

    def _stop(self) -> None:
        self._painter.cancel()
        self._turn.stop()
        self._steps = None

    def _on_painted(self, picture: Picture) -> None:
        self._steps = self._handed_over(picture)
        self._take_turn()

    def _take_turn(self) -> None:
        """Hand over the next part; an exception must not leave a Qt slot."""
        if self._steps is None:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
            self.drawn.emit()
        except Exception as error:  # noqa: BLE001 - see above
            self._steps = None
            self.failed.emit(error if isinstance(error, CellClsError) else unexpected(error))
        else:
            self._turn.start()

    def _handed_over(self, picture: Picture) -> Iterator[None]:
        """Bring the layers in line with ``picture``, one slow call of napari per turn."""
        for name in ("classes_layer", "cells_layer"):
            layer = getattr(self, name)
            if layer is not None and tuple(layer.data.shape) != tuple(picture.raster.shape):
                self.viewer.layers.remove(layer)
                yield
        before, self._picture = self._picture, picture
        self._show_classes(picture)
        yield
        if self.cells_layer is None:
            self._add_cells(picture)
            yield
            self.viewer.layers.selection.active = self.cells_layer
        else:
            if before is None or before.ids is not picture.ids:
                self.cells_layer.data = picture.ids
            self.cells_layer.features = picture.features

    def _show_classes(self, picture: Picture) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        colors = picture.colors
        if self.classes_layer is None:
            self.classes_layer = self._added(
                picture.raster, "classes", colormap=DirectLabelColormap(color_dict=colors)
            )
        else:
            self.classes_layer.data = picture.raster
            if colors != self._colors:
                self.classes_layer.colormap = DirectLabelColormap(color_dict=colors)
        self._colors = colors

    def _add_cells(self, picture: Picture) -> None:
        # Opacity 0 and visible: napari answers "which cell is here" only for visible layers.
        self.cells_layer = self._added(picture.ids, "cells", opacity=0.0, features=picture.features)
        # The layer outlives the dock: it must not keep it alive, so the key holds a weak reference.
        me = weakref.ref(self)

        def toggle(_layer: Any) -> None:
            drawn = me()
            if drawn is not None:
                drawn.toggle_outlines()

        self.cells_layer.bind_key("o", toggle, overwrite=True)

    def _added(self, data: Any, what: str, **options: Any) -> Any:
        name = self.session.image.name if self.session.image is not None else "image"
        return self.viewer.add_labels(
            data, name=f"{name}: {what}", metadata={META: {OURS: True}},
            **{"opacity": 1.0} | options, **self.placement.options,
        )  # fmt: skip

    def _on_removed(self, event: Any) -> None:
        if self.cells_layer is not None and event.value == self.cells_layer:
            self.cells_layer = None
        if self.classes_layer is not None and event.value == self.classes_layer:
            self.classes_layer = None
