"""Opens, makes and closes the project of a dock, and passes on what its journal says."""

from __future__ import annotations

import os
import re
import weakref
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_cellcls.models.places import home
from napari_cellcls.project.description import SUFFIX
from napari_cellcls.project.project import Project, create_project, open_project
from napari_cellcls.vocabulary import ClassScheme
from napari_cellcls.widgets.project_model import ProjectHolder
from napari_cellcls.widgets.settings import preferences

if TYPE_CHECKING:
    from napari_cellcls.review.errors import JournalError
    from napari_cellcls.review.sheet import Plane
    from napari_cellcls.review.writer import SaveState


class ProjectKeeper(ProjectHolder):
    """The one project of a dock.

    Signals
    -------
    changed()
        Another project, or none.
    saving_changed()
        In the thread of the window, whichever thread saves.
    """

    saving_changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._held: list[Project] = []
        # A window that is closed as a whole takes its docks along without a word to them. No slot of
        # ``destroyed``: Python may have collected what that would call (it crashed).
        weakref.finalize(self, _let_go, self._held)
        self.notes: tuple[str, ...] = ()

    @property
    def refusal(self) -> JournalError | None:
        """Why nothing can be decided in the open project."""
        return self.project.journal.refusal if self.project is not None else None

    @property
    def save_state(self) -> SaveState | None:
        """Whether all is saved, None without a project."""
        return self.project.journal.save_state if self.project is not None else None

    def open(self, folder: str | os.PathLike[str]) -> None:
        """Open a project in place of the present one; it stays when that fails.

        Raises
        ------
        ProjectError, JournalError
        """
        if self.project is not None and _same(self.project.folder, Path(folder)):
            return
        self._take(open_project(folder, annotator=_me()))

    def create(self, folder: str | os.PathLike[str], scheme: ClassScheme | None) -> None:
        """Make a project with the classes of a model, and open it.

        Raises
        ------
        ProjectError, JournalError
        """
        classes = scheme.classes if scheme is not None else ()
        several = scheme.multi_label if scheme is not None else False
        self._take(create_project(folder, classes=classes, multi_label=several, annotator=_me()))

    def start(self, name: str, scheme: ClassScheme | None) -> None:
        """Make a project of its own for an image, in the user's folder, so that no click is lost."""
        plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "cells"
        stamp = f"{datetime.now():%Y-%m-%d %H-%M-%S}"
        self.create(home() / "unnamed" / f"{plain} {stamp}{SUFFIX}", scheme)
        assert self.project is not None
        self.notes = (f"Your decisions are kept in {self.project.folder}.", *self.notes)

    def know_image(self, plane: Plane) -> None:
        """Let the project know the image before the first decision about its cells.

        Raises
        ------
        JournalError
            When the project is open for reading only.
        """
        project = self.project
        if project is None or project.journal.refusal is not None:
            return
        project.know_image(plane.image_id, plane.name, plane.path)

    def close(self) -> None:
        """Save what is left and let the project go."""
        project, self.project = self.project, None
        self.notes = ()
        self._held.clear()
        if project is not None:
            project.journal.save_changed.disconnect(self.saving_changed.emit, missing_ok=True)
            project.close()
            self.changed.emit()

    def _take(self, project: Project) -> None:
        self.close()
        self.project = project
        self._held.append(project)
        self.notes = project.journal.notes
        # A Qt signal crosses from the thread that saves into the thread of the window.
        project.journal.save_changed.connect(self.saving_changed.emit)
        self.changed.emit()


def project_in(event: Any) -> str | None:
    """Return the project folder that is dragged, None for anything else."""
    for url in event.mimeData().urls():
        path = url.toLocalFile().rstrip("/\\")
        if path.endswith(SUFFIX):
            return str(path)
    return None


def _let_go(held: list[Project]) -> None:
    while held:
        held.pop().close()


def _me() -> str | None:
    return preferences().annotator or None


def _same(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()
