"""The models and engines at hand. Models are listed at once, engines are looked for beside the window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_cellcls.vocabulary import CellClsError, Progress, Task
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.models.registry import ModelEntry
    from napari_cellcls.models.runtime import Choice, EngineReport


class Catalog(QObject):
    """What the Model and Device menus offer.

    Signals
    -------
    surveyed()
        Engines are known; ``reports`` and ``automatic`` are filled.
    """

    surveyed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: list[ModelEntry] = []
        self.damaged: list[ModelEntry] = []
        self.reports: list[EngineReport] = []
        self.automatic: Choice | None = None
        self.error = ""
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_surveyed)
        self._runner.failed.connect(self._on_failed)

    def reload(self) -> None:
        """Read the list of models (again)."""
        from napari_cellcls.models import registry

        found = registry.entries()
        self.entries = [entry for entry in found if entry.manifest is not None]
        self.damaged = [entry for entry in found if entry.manifest is None]

    def entry(self, path: str) -> ModelEntry | None:
        """Return the usable model at ``path``."""
        return next((entry for entry in self.entries if str(entry.path) == path), None)

    def add(self, path: str) -> ModelEntry | None:
        """Offer a package that lies elsewhere, such as a version of a project; None when it cannot be used."""
        from napari_cellcls.models import registry

        found = self.entry(path)
        if found is None:
            made = registry.describe_file(Path(path))
            if made.manifest is None:
                return None
            self.entries.append(made)
            found = made
        return found

    def survey(self) -> None:
        """Look for engines and devices in a worker; importing them takes too long for a click."""
        self._runner.start(_survey, "Looking for engines")

    def stop(self) -> None:
        """Give up looking for engines."""
        self._runner.cancel()

    def _on_surveyed(self, result: Any) -> None:
        self.reports, self.automatic = result
        self.surveyed.emit()

    def _on_failed(self, error: CellClsError) -> None:
        self.error = str(error)
        self.surveyed.emit()


def _survey() -> Task[tuple[list[EngineReport], Choice]]:
    from napari_cellcls.models import runtime
    from napari_cellcls.widgets.drawing import glyph

    yield Progress(0, 0, "Looking for engines")
    glyph("A", 12)  # Imports what draws letters here, not between a result and its picture.
    reports = runtime.survey()
    return reports, runtime.choose(reports=reports)
