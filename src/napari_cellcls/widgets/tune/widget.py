"""The dock widget *Fine-tune*: puts the panels together and renders what the controller knows."""

from __future__ import annotations

import napari.viewer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_cellcls.widgets.groups.opener import GroupsOpener
from napari_cellcls.widgets.panels.look import Section, TallArea, caption
from napari_cellcls.widgets.panels.messages import ErrorPanel
from napari_cellcls.widgets.tune.controller import TuneController
from napari_cellcls.widgets.tune.run_panel import TuneRunPanel
from napari_cellcls.widgets.tune.teach_panel import TeachPanel
from napari_cellcls.widgets.tune.verdict_panel import VerdictPanel
from napari_cellcls.widgets.tune.versions_panel import VersionsPanel


class TuneWidget(QWidget):
    """Teach a model with the labels of a project.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.teach, self.run = TeachPanel(self), TuneRunPanel(self)
        self.error, self.verdict = ErrorPanel(self), VerdictPanel(self)
        self.versions, self.message = VersionsPanel(self), caption("", self)
        self.versions_section = Section("Versions", self.versions, self)
        self.message.hide()
        self._lay_out()
        self.controller = TuneController(self)
        source = self.controller.source
        self.groups = GroupsOpener(
            self.teach.groups_asked, lambda: source.project, self, source.in_place
        )
        self.groups.saved.connect(source.labeled)
        self._retired = False
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self.controller.begin)
        self._turn.start()

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return self._turn.isActive() or self.controller.busy

    def tell(self, text: str) -> None:
        """Say in one line what happened; an empty text takes the line away."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def changeEvent(self, event: QEvent) -> None:
        """Stop when napari takes the dock away: it sends no close event (napari#8071)."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and not self._retired:
            self._retired = True
            self._turn.stop()
            self.controller.retire()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look which docks were opened meanwhile."""
        super().showEvent(event)
        self.controller.source.look()

    def _lay_out(self) -> None:
        content = QWidget(self)
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        for part in (
            self.teach, self.run, self.error, self.verdict, self.message, self.versions_section
        ):  # fmt: skip
            column.addWidget(part)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(TallArea(content, self))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
