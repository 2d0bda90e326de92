"""From the cursor to the input card: finds the cell under it, debounced, and shows its crop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_cellcls.vocabulary import COLUMNS, CellClsError
from napari_cellcls.widgets.preview import (
    CropView,
    Lens,
    can_look,
    lens_of,
    look,
    verdict_words,
)
from napari_cellcls.widgets.worker import Runner, unexpected

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.session import Session
    from napari_cellcls.widgets.layers import SessionLayers
    from napari_cellcls.widgets.panels.input_card import InputCard

_PAUSE_MS = 60


class Hover(QObject):
    """Keeps the input card on the cell under the cursor; before any hover, on a typical one.

    What all crops of an image share is measured once per image and model, in a worker.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        session: Session,
        layers: SessionLayers,
        card: InputCard,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.viewer, self.session, self.layers, self.card = viewer, session, layers, card
        self._row: int | None = None
        self._lens: Lens | None = None
        self._view: CropView | None = None
        self._viewed = -1
        self._made_of: tuple[Any, Any] = (None, None)
        self._measuring = Runner(self)
        self._measuring.succeeded.connect(self._on_measured)
        self._measuring.failed.connect(self._on_failed)
        self._asked: tuple[Any, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.look_under_cursor)
        viewer.cursor.events.position.connect(self._on_cursor)

    @property
    def busy(self) -> bool:
        """Whether the image is being measured for the card."""
        return self._measuring.running

    def retire(self) -> None:
        """React to nothing more."""
        self._measuring.cancel()
        self._timer.stop()
        self.viewer.cursor.events.position.disconnect(self._on_cursor)

    def refresh(self) -> None:
        """Show the present cell again after the session changed."""
        reason = can_look(self.session)
        if reason:
            self._row = None
            self.card.show_reason(reason)
            return
        cells = self.session.cells
        assert cells is not None
        if self._row is None or self._row >= len(cells):
            self._row = typical_row(cells.table, cells.labels.shape)
        self._show(self._row)

    def look_under_cursor(self) -> None:
        """Show the cell under the cursor; off the cells the card keeps the last one."""
        if self.viewer.dims.ndisplay != 2 or can_look(self.session):
            return
        row = self.session.row_of(self.layers.label_at(self.viewer.cursor.position))
        if row is not None and row != self._row:
            self._row = row
            self._show(row)

    def _show(self, row: int) -> None:
        if self._lens is None or not self._lens.fits(self.session):
            self._measure()
            return
        try:
            self.card.show_view(self._look(row, self._lens))
        except Exception as failure:  # noqa: BLE001 - an exception must not leave a Qt slot
            self._on_failed(failure if isinstance(failure, CellClsError) else unexpected(failure))

    def _measure(self) -> None:
        wanted = (self.session.image, self.session.manifest, self.session.mapping)
        if self.busy and all(a is b for a, b in zip(wanted, self._asked, strict=True)):
            return
        self._asked = wanted
        self.card.show_reason("Measuring the image …")
        self._measuring.start(lens_of(self.session))

    def _on_measured(self, lens: Lens) -> None:
        self._lens = lens
        if lens.fits(self.session):
            self.refresh()

    def _on_failed(self, error: CellClsError) -> None:
        self.card.show_reason(f"{error.what} {error.why}".strip())

    def _look(self, row: int, lens: Lens) -> CropView:
        """Cut the cell, unless only what is said about it has changed."""
        made_of = (lens, self.session.cells)
        if (
            self._view is None
            or row != self._viewed
            or any(a is not b for a, b in zip(made_of, self._made_of, strict=True))
        ):
            self._view = look(self.session, row, lens)
            self._viewed, self._made_of = row, made_of
        else:
            self._view = replace(
                self._view,
                verdict=verdict_words(self.session, row),
                classified=self.session.predictions is not None,
            )
        return self._view

    def _on_cursor(self, _event: Any) -> None:
        if not self._timer.isActive():
            self._timer.start()


def typical_row(table: Any, shape: tuple[int, ...]) -> int:
    """Return the row of the cell nearest the center of the image, away from the border if possible."""
    y, x = table[COLUMNS.y].to_numpy(float), table[COLUMNS.x].to_numpy(float)
    distance = np.hypot(y - shape[-2] / 2, x - shape[-1] / 2)
    if COLUMNS.border in table:
        distance = distance + 1e9 * table[COLUMNS.border].to_numpy(bool)
    return int(np.argmin(distance))
