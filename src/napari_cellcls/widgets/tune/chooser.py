"""Which version of the model is in use: shown, chosen, taken back, and taken over by *Classify cells*."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_cellcls.project import versions
from napari_cellcls.widgets.tune import words

if TYPE_CHECKING:
    from napari_cellcls.learn.finetune import Tuned
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.tune.controller import TuneController
    from napari_cellcls.widgets.tune.verdict_panel import VerdictPanel
    from napari_cellcls.widgets.tune.versions_panel import VersionsPanel

RELEASED = "the released model"


class Chooser(QObject):
    """What becomes of new versions.

    Parameters
    ----------
    controller : TuneController
        Also the parent.
    """

    def __init__(self, controller: TuneController) -> None:
        super().__init__(controller)
        self.controller, self.view = controller, controller.view
        self._released = ""

    def connect_to(self, verdict: VerdictPanel, panel: VersionsPanel) -> None:
        """Follow what is asked in two panels."""
        verdict.use_asked.connect(self.use_new)
        verdict.keep_asked.connect(self.keep_old)
        panel.roll_back_asked.connect(self.roll_back)
        panel.use_asked.connect(self.use_version)
        panel.delete_asked.connect(self.delete_unused)

    def use_new(self) -> None:
        """Use the new version in the project and in the window."""
        if self.controller.result is not None:
            self.use_version(self.controller.result.label)

    def keep_old(self) -> None:
        """Use the model that was in use before."""
        if self.controller.result is not None:
            self.use_version(self.controller.before)

    def roll_back(self) -> None:
        """Use the version again that was in use before the present one."""
        self._switch(versions.roll_back)

    def use_version(self, label: str) -> None:
        """Use a version, "" for the released model."""

        def act(project: Project) -> versions.Version | None:
            now = versions.in_use(project)
            if (now.label if now is not None else "") == label:
                return now  # in use in the project already, and not yet in the window
            return versions.use(project, label or None)

        self._switch(act)

    def delete_unused(self) -> None:
        """Delete versions that nobody used or saw."""
        project = self.controller.project
        if project is None:
            return
        keep = (self.controller.result.label,) if self.controller.result is not None else ()

        def act() -> None:
            gone = versions.delete_unused(project, keep=keep)
            self.view.tell(
                f"{len(gone):,} unused versions deleted."
                if gone
                else "All versions were used or shown."
            )
            self.show()

        self.controller.guarded(act)

    def _switch(self, act: Callable[[Project], Any]) -> None:
        project = self.controller.project
        if project is None:
            return

        def change() -> None:
            version = act(project)
            label = RELEASED if version is None else version.label
            path = self._to_show(version)
            classify = self.controller.source.classify
            where = ""
            if classify is not None and path:
                shown = classify.session.manifest
                if shown is not None and shown.level != "tuned":
                    self._released = classify.session.model_name
                classify.controller.adopt(path)
                where = " and in Classify cells"
            self.view.tell(f"In use in this project{where}: {label}.")
            self.show()

        self.controller.guarded(change)

    def show(self) -> None:
        """Show all versions, and which one is in use."""
        project = self.controller.project
        if project is None:
            self.view.versions.show_versions((), (), 0, "There is no project.")
            return
        found = versions.history(project)
        labels = [*(one.label for one in found.versions), ""]
        used = next((k for k, one in enumerate(found.versions) if one.in_use), len(labels) - 1)
        why = "" if labels[used] else "The released model is in use."
        self.view.versions.show_versions(labels, words.version_lines(found), used, why)
        self.view.versions_section.button.setText(f"Versions ({len(found.versions)})")
        self.view.teach.in_use.setText(f"In use: {labels[used] or RELEASED}")
        self.view.teach.in_use.show()
        self._show_choice(labels[used])

    def _show_choice(self, in_use: str) -> None:
        result = self.controller.result
        if result is None:
            return
        is_new = in_use == result.label
        before = self.controller.before or RELEASED
        text = f"In use now: {result.label if is_new else before}."
        if not is_new and not result.promoted:
            text += " The new one is kept, and is not used unless you say so."
        self.view.verdict.show_choice(
            text, can_use=not is_new or not self._is_shown(result), can_keep=is_new, anyway=not result.promoted
        )  # fmt: skip

    def _to_show(self, version: versions.Version | None) -> str:
        """Return what the window shall classify with; "" for a released model without classes."""
        if version is not None:
            return str(version.path)
        if self._released:
            return self._released  # what the window classified with before
        entry = self.controller.base_entry
        has_classes = entry is not None and entry.manifest is not None and entry.manifest.classes
        return self.controller.base if has_classes else ""

    def _is_shown(self, result: Tuned) -> bool:
        """Return whether the window classifies with the new version."""
        classify = self.controller.source.classify
        if classify is None or classify.session.manifest is None:
            return True
        return bool(classify.session.manifest.label == result.label)
