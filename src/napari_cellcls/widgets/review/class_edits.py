"""Turns what the class editor emits into events of the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from napari_cellcls.review.journal import Journal
    from napari_cellcls.widgets.review.classes import ClassesPanel
    from napari_cellcls.widgets.review.controller import ReviewController


class ClassEdits(QObject):
    """Adds, renames, recolors and merges classes; every change can be undone like a label.

    Parameters
    ----------
    panel : ClassesPanel
    controller : ReviewController
    attempt : callable
        Runs a function and shows its error.
    parent : QObject
    """

    def __init__(
        self,
        panel: ClassesPanel,
        controller: ReviewController,
        attempt: Callable[[Callable[[], object]], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.controller, self._try = controller, attempt
        panel.added.connect(self._on_class_added)
        panel.renamed.connect(self._on_class_renamed)
        panel.recolored.connect(self._on_class_recolored)
        panel.rekeyed.connect(self._on_class_rekeyed)
        panel.merged.connect(self._on_class_merged)
        panel.model_classes_asked.connect(self._on_model_classes)

    def _on_class_added(self, name: str) -> None:
        self._edit(lambda journal: journal.add_class(name))

    def _on_class_renamed(self, class_id: str, name: str) -> None:
        self._edit(lambda journal: journal.rename_class(class_id, name))

    def _on_class_recolored(self, class_id: str, color: str) -> None:
        self._edit(lambda journal: journal.recolor_class(class_id, color))

    def _on_class_rekeyed(self, class_id: str, key: str) -> None:
        self._edit(lambda journal: journal.set_key(class_id, key))

    def _on_class_merged(self, class_id: str, into: str) -> None:
        self._edit(lambda journal: journal.merge_class(class_id, into))

    def _on_model_classes(self) -> None:
        subject = self.controller.subject
        if subject is None or subject.sheet.opinion is None:
            return
        known = {one.name.casefold() for one in subject.sheet.classes}
        missing = [
            one for one in subject.sheet.opinion.scheme.classes if one.name.casefold() not in known
        ]

        def add(journal: Journal) -> None:
            for one in missing:
                journal.add_class(one.name, color=one.color)

        self._edit(add)

    def _edit(self, act: Callable[[Journal], object]) -> None:
        """Change a class; without a project this starts one, as a decision does."""
        controller = self.controller

        def change() -> None:
            controller.ready_desk(True)
            if controller.keeper.project is None:
                controller.keeper.start("labels", None)
            assert controller.keeper.project is not None
            act(controller.keeper.project.journal)
            if controller.desk is None:
                controller.renewed.emit()

        self._try(change)
