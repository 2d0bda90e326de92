"""Opens the dialog *Groups of images* for the project of a dock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.groups.dialog import GroupsDialog


class GroupsOpener(QObject):
    """At most one dialog at a time.

    Parameters
    ----------
    asked : signal
        What opens it.
    project : callable
        Gives the project, None where there is none.
    view : QWidget
        The dock; also the parent.
    around : callable, optional
        Gives what surrounds the writing.

    Signals
    -------
    saved()
    """

    saved = Signal()

    def __init__(
        self,
        asked: Any,
        project: Callable[[], Project | None],
        view: QWidget,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__(view)
        self._project, self._view, self._around = project, view, around
        self.dialog: GroupsDialog | None = None
        asked.connect(self.show)

    def show(self) -> None:
        """Open the dialog."""
        from napari_cellcls.widgets.groups.dialog import GroupsDialog

        project = self._project()
        if project is None or self.dialog is not None:
            return
        self.dialog = GroupsDialog(project, self._view, self._around)
        self.dialog.accepted.connect(self.saved)
        self.dialog.finished.connect(self._on_finished)
        self.dialog.open()

    def _on_finished(self) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is not None:
            dialog.deleteLater()
