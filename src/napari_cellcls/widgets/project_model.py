"""Which model *Classify cells* takes by itself: the one the person chose here, else the one in use in the project."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_cellcls.vocabulary import CellClsError, Progress, Task
from napari_cellcls.widgets import defaults
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.registry import ModelEntry
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.controller import Controller
    from napari_cellcls.widgets.notices import Notice


class ProjectHolder(QObject):
    """Whatever in a window may have a project open.

    Signals
    -------
    changed()
        Another project, or none.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.project: Project | None = None


class ProjectModel(QObject):
    """Follows the project of the window.

    Parameters
    ----------
    controller : Controller
        Of *Classify cells*; also the parent.

    Signals
    -------
    changed()
        Another project, or none.
    """

    changed = Signal()

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._followed: weakref.WeakSet[ProjectHolder] = weakref.WeakSet()
        self._folder, self._name = "", ""
        self._path, self._title = "", ""
        self._picked = ""
        self._retired = False
        self._runner = Runner(self)
        for end in (self._runner.succeeded, self._runner.failed):
            end.connect(self._on_known)

    @property
    def busy(self) -> bool:
        """Whether the model of a project is being read."""
        return self._runner.running

    def look(self) -> None:
        """Follow every dock of the window that may have a project open, and take the model of the one that has."""
        if self._retired:
            return
        for one in self._holders():
            if one not in self._followed:
                self._followed.add(one)
                one.changed.connect(self._on_project)
        self._on_project()

    def retire(self) -> None:
        """React to nothing more."""
        self._retired = True
        self._runner.cancel()

    def pick(self, path: str) -> None:
        """Remember what the person chose in this window; it stays, whatever the project uses."""
        self._picked = path

    def adopt(self, path: str) -> None:
        """Take note of a change of the model in use that the person made in this window."""
        self._read(self._project)
        self._picked = "" if path == self._path else path

    def best(self, image: Image) -> ModelEntry | None:
        """Return the model for a new image: chosen here, in use in the project, else made for such images."""
        catalog = self._controller.catalog
        self._read(self._project)
        for path in (self._picked, self._path):
            entry = catalog.entry(path) if path else None
            if entry is not None and defaults.suits(image, entry):
                return entry
        return defaults.default_model(image, catalog.entries)

    def notices(self) -> tuple[Notice, ...]:
        """Say where the model comes from, or why it is not the project's."""
        session = self._controller.session
        if not self._path or session.manifest is None:
            return ()
        if session.model_name == self._path:
            return (("info", f"Model of the project “{self._name}”: {self._title}."),)
        why = "you chose another one in this window"
        entry = self._controller.catalog.entry(self._path)
        if entry is None or (
            session.image is not None and not defaults.suits(session.image, entry)
        ):
            why = "it does not fit this image"
        return (("info", f"The project “{self._name}” uses {self._title}; {why}."),)

    @property
    def _project(self) -> Project | None:
        found = (one.project for one in self._holders())
        return next((one for one in found if one is not None), None)

    def _holders(self) -> list[ProjectHolder]:
        window = self._controller.view.window()
        return [] if window is None else list(window.findChildren(ProjectHolder))

    def _on_project(self) -> None:
        if self._retired:
            return
        project = self._project
        folder = "" if project is None else str(project.folder)
        if folder == self._folder:
            return
        self._folder = folder
        self._runner.cancel()
        if project is not None:
            self._runner.start(
                lambda: _reading(project)
            )  # a package of some megabytes, known after that
        else:
            self._on_known()

    def _on_known(self, _: object = None) -> None:
        self._read(self._project)
        if self._path and not self._picked:
            self._follow()
        self.changed.emit()

    def _follow(self) -> None:
        """Take the model of a project that was opened just now; what was classified is so anew."""
        controller = self._controller
        session, entry = controller.session, controller.catalog.entry(self._path)
        if entry is None or session.image is None or not defaults.suits(session.image, entry):
            return
        again = session.predictions is not None or controller.classifying
        controller.change_model(self._path)
        if again and session.obstacle is None:
            controller.classify()

    def _read(self, project: Project | None) -> None:
        """Read which version is in use, and offer it."""
        self._path, self._title = "", ""
        if project is None:
            return
        from napari_cellcls.project import versions

        try:
            version = versions.in_use(project)
        except CellClsError as error:
            self._controller.view.error.show_error(error)
            return
        if version is None or version.manifest is None:
            return
        path, made = str(version.path), version.manifest
        known = self._controller.catalog.entry(path) is not None
        if self._controller.catalog.add(path) is None:
            return
        if not known:
            self._controller.view.show_models()
        self._path, self._name = path, project.description.name
        n = made.provenance.n_labels
        self._title = f"{made.name} {made.version}, tuned on {n:,} label{'' if n == 1 else 's'}"


def _reading(project: Project) -> Task[None]:
    from napari_cellcls.project import versions

    yield Progress(0, 0, "Reading the model of the project")
    versions.in_use(project)
