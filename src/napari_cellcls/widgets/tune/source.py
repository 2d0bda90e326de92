"""Where the labels come from and where a new model goes: the docks *Review cells* and *Classify cells* of a window."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_cellcls.widgets.classify import ClassifyWidget
from napari_cellcls.widgets.docks import share_a_tab
from napari_cellcls.widgets.review.projects import ProjectKeeper
from napari_cellcls.widgets.review.widget import ReviewWidget

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project


class TuneSource(QObject):
    """The project of the window: that of *Review cells*, else one that was opened here.

    Parameters
    ----------
    dock : QWidget
        Anything in the same window; also the parent.

    Signals
    -------
    changed()
        Another project, or none.
    labeled()
        Something was decided, or taken back.
    decided(object)
        Rows of the image that is reviewed.
    """

    changed = Signal()
    labeled = Signal()
    decided = Signal(object)

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self.own = ProjectKeeper(self)
        self.own.changed.connect(self.changed)
        self.review: ReviewWidget | None = None

    @property
    def project(self) -> Project | None:
        """The project that teaches."""
        keeper = self.own if self.review is None else self.review.controller.keeper
        return keeper.project if keeper.project is not None else self.own.project

    @property
    def classify(self) -> ClassifyWidget | None:
        """The dock *Classify cells*, None when it is not open."""
        there = self._dock.window().findChildren(ClassifyWidget)
        return there[-1] if there else None

    def look(self) -> None:
        """Find the dock *Review cells*; the one at hand is kept while it is there."""
        if (classify := self.classify) is not None:
            classify.controller.project_model.look()
        there: list[Any] = self._dock.window().findChildren(ReviewWidget)
        if self.review is not None and any(one is self.review for one in there):
            return
        self.forget()
        if not there:
            return
        self.review = there[-1]
        controller = self.review.controller
        controller.keeper.changed.connect(self._on_project)
        controller.decided.connect(self._on_decided)
        controller.renewed.connect(self._on_labeled)
        if controller.keeper.project is not None:
            self._on_project()

    def share_a_tab(self) -> None:
        """Put this dock in front of the others: side by side all are too low."""
        other = self.review if self.review is not None else self.classify
        share_a_tab(self._dock, other)

    def forget(self) -> None:
        """Follow no dock any more."""
        review, self.review = self.review, None
        if review is None:
            return
        controller = review.controller
        controller.keeper.changed.disconnect(self._on_project)
        controller.decided.disconnect(self._on_decided)
        controller.renewed.disconnect(self._on_labeled)

    def open(self, folder: str) -> None:
        """Open a project, in *Review cells* where that is open: one window has one project.

        Raises
        ------
        CellClsError
        """
        self.look()
        if self.review is not None:
            self.review.controller.open_project(folder)
        else:
            self.own.open(folder)

    def in_place(self) -> AbstractContextManager[Any]:
        """Leave the cells of *Review cells* where they are, whatever is written meanwhile."""
        return nullcontext() if self.review is None else self.review.controller.in_place()

    def close(self) -> None:
        """Let go of everything."""
        self.forget()
        self.own.close()

    def _on_project(self) -> None:
        # A journal has one writer: what was opened here gives way.
        if self.own.project is not None and self.review is not None:
            self.own.close()
        self.changed.emit()

    def _on_labeled(self) -> None:
        self.labeled.emit()

    def _on_decided(self, rows: Any) -> None:
        self.decided.emit(rows)
        self.labeled.emit()
