"""Checks beside the work that a large image is still the one that was labeled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_cellcls.project.proof import SHA, Proof, keep, other_content, prove
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.review.controller import ReviewController

_LATER_MS = 3_000


class Prover(QObject):
    """Hashes the image at hand, once per project, some seconds after it was opened.

    Parameters
    ----------
    controller : ReviewController
        Also the parent; its signal ``failed`` says when the image was changed.
    """

    def __init__(self, controller: ReviewController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._begun: tuple[Project, str] | None = None
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_proven)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LATER_MS)
        self._later.timeout.connect(self.begin)
        for signal in (controller.subject_changed, controller.keeper.changed, controller.decided):
            signal.connect(self._plan)

    @property
    def busy(self) -> bool:
        """Whether an image is being read."""
        return self._runner.running

    def retire(self) -> None:
        """Stop what runs."""
        self._later.stop()
        self._runner.cancel()

    def begin(self) -> None:
        """Hash the image at hand, if the project knows it and it was not hashed in this session."""
        controller, project = self._controller, self._controller.keeper.project
        subject = controller.subject
        if project is None or subject is None or not subject.sheet.plane.path:
            return
        image_id = subject.sheet.plane.image_id
        known = project.journal.state.images.get(image_id)
        if known is None or self._begun == (project, image_id):
            return
        if project.journal.refusal is not None and SHA not in known.hints:
            return
        self._begun = project, image_id
        self._runner.start(partial(prove, known, Path(subject.sheet.plane.path)))

    def _plan(self, *_what: object) -> None:
        project, subject = self._controller.keeper.project, self._controller.subject
        if project is None or subject is None:
            self._runner.cancel()
        elif self._begun != (project, subject.sheet.plane.image_id) and not self._later.isActive():
            self._later.start()

    def _on_proven(self, proof: Proof | None) -> None:
        project = self._controller.keeper.project
        if proof is None or project is None or self._begun != (project, proof.image.id):
            return
        if proof.is_other:
            self._controller.failed.emit(other_content(proof))
        elif project.journal.refusal is None:
            with self._controller.in_place():
                self._controller.guarded(lambda: keep(project.journal, proof))
