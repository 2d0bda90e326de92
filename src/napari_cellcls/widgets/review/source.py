"""Where the cells to review come from: the dock *Classify cells* of the same window, or an image of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_cellcls.widgets.classify import ClassifyWidget
from napari_cellcls.widgets.docks import share_a_tab

if TYPE_CHECKING:
    from napari_cellcls.session import Session
    from napari_cellcls.widgets.layers import SessionLayers
    from napari_cellcls.widgets.review.subject import Subject


class ClassifyLink(QObject):
    """Follows the dock *Classify cells* of a window, whenever it is opened or closed.

    Parameters
    ----------
    dock : QWidget
        Anything in the same window; also the parent.

    Signals
    -------
    changed()
        Image, cells or predictions are others now, or will not become others as was expected.
    drawn()
        The dock has drawn its layers.
    """

    changed = Signal()
    drawn = Signal()

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self.widget: ClassifyWidget | None = None
        self._awaited = False

    @property
    def session(self) -> Session | None:
        """The session of the dock found."""
        return self.widget.session if self.widget is not None else None

    @property
    def layers(self) -> SessionLayers | None:
        """The layers of the dock found."""
        return self.widget.controller.layers if self.widget is not None else None

    @property
    def cells_layer(self) -> Any:
        """Its layer of ids, None when there is none."""
        return self.layers.cells_layer if self.layers is not None else None

    @property
    def classes_layer(self) -> Any:
        """Its layer of outlines, None when there is none."""
        return self.layers.classes_layer if self.layers is not None else None

    def renews(self, subject: Subject | None) -> bool:
        """Whether the dock found classifies the cells of a subject again, and its old predictions are dropped."""
        session = self.session
        if self.widget is None or session is None or subject is None:
            return False
        dropped = subject.sheet.opinion is not None and session.predictions is None
        same = session.cells is subject.sheet.cells
        self._awaited = dropped and same and self.widget.controller.classifying
        return self._awaited

    def look(self) -> None:
        """Find the dock; the one at hand is kept while it is there."""
        there = self._dock.window().findChildren(ClassifyWidget)
        if there:
            there[-1].controller.project_model.look()
        if self.widget is not None and any(one is self.widget for one in there):
            return
        self.forget()
        if not there:
            return
        self.widget = there[-1]
        session = self.widget.session
        for signal in self._signals(session):
            signal.connect(self._on_changed)
        self.widget.controller.layers.drawn.connect(self.drawn)
        self.widget.controller.runner.ended.connect(self._on_ended)
        self.changed.emit()

    def share_a_tab(self) -> None:
        """Put both docks behind one another, this one in front: side by side both are too low."""
        share_a_tab(self._dock, self.widget)

    def forget(self) -> None:
        """Follow no dock any more."""
        if self.widget is None:
            return
        widget, self.widget = self.widget, None
        for signal in self._signals(widget.session):
            signal.disconnect(self._on_changed, missing_ok=True)
        self.changed.emit()

    def _signals(self, session: Session) -> tuple[Any, ...]:
        return session.image_changed, session.cells_changed, session.predictions_changed

    def _on_ended(self) -> None:
        if self._awaited and self.session is not None and self.session.predictions is None:
            self._awaited = False
            self.changed.emit()  # it was canceled or failed

    def _on_changed(self) -> None:
        self.changed.emit()
